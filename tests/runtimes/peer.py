"""The invoker's side of docs/runtime-protocol.md, small enough for tests: real sockets, a real keeper."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import runtimes
from samovar.link import wire

BOOTSTRAP = Path(runtimes.__file__).parent / "python" / "start.py"
PATIENCE_S = 60.0
"""How long a step may take on a busy machine before the test fails."""

VARIABLES = {
    "AWS_LAMBDA_FUNCTION_NAME": "orders",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]00000000000000000000000000000000",
    "PATH": os.environ["PATH"],
}
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


class Message(NamedTuple):
    """One whole message from the runtime."""

    kind: int
    stream: int
    head: dict[str, Any]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Connected:
    """One accepted connection of the runtime."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self._decoder = wire.Decoder()
        self._frames: list[wire.Frame] = []

    def send(self, kind: int, stream: int, head: Mapping[str, Any] | None = None, body: bytes = b"") -> None:
        for part in wire.encode_message(kind, stream, json.dumps(head).encode() if head else b"", body):
            self.socket.sendall(part)

    def frame(self) -> wire.Frame:
        """The next frame. Raises `ConnectionError` once the runtime has closed the connection."""
        while not self._frames:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the runtime is gone")
            self._frames = self._decoder.feed(data)
        return self._frames.pop(0)

    def pending(self) -> bool:
        """Whether a frame is here already."""
        return bool(self._frames)

    def receive(self) -> Message | None:
        """The next message; `None` once the runtime has closed the connection."""
        first: wire.Frame | None = None
        parts: list[bytes] = []
        while True:
            while not self._frames:
                try:
                    data = self.socket.recv(65536)
                except ConnectionResetError:  # it was killed before it had read all we sent
                    return None
                if not data:
                    return None
                self._frames = self._decoder.feed(data)
            frame = self._frames.pop(0)
            first = first or frame
            parts.append(frame.body)
            if frame.ends_message:
                return Message(first.kind, first.stream, json.loads(first.head or b"{}"), b"".join(parts))


class Worker:
    """The test's grip on one worker."""

    def __init__(self, number: int, connection: Connected, output: socket.socket, hello: Message) -> None:
        self.number = number
        self.pid: int = hello.head["pid"]
        self.hello = hello
        self._connection = connection
        self.output = output
        self._invocation = 0
        self._written = b""
        self.ready: Message | None = None

    def wait_ready(self) -> Message:
        """The READY message."""
        message = self._connection.receive()
        assert message is not None
        assert message.kind == wire.READY
        self.ready = message
        return message

    def send(self, event: bytes, **head: Any) -> None:
        """Send an event without waiting for its result."""
        self._invocation += 1
        given = {"request_id": f"request-{self._invocation}", "deadline_ms": 4_000_000_000_000, "arn": ARN, **head}
        self._connection.send(wire.EVENT, self._invocation, given, event)

    def hold(self, number: int, *, paused: bool) -> None:
        """Have a streamed answer wait, or go on."""
        self._connection.send(wire.FLOW, number, {"paused": paused})

    def receive_frame(self) -> wire.Frame:
        """The next frame of a streamed answer."""
        return self._connection.frame()

    def receive(self) -> Message | None:
        """The next message, `None` when the worker has gone. Takes in output meanwhile, as an invoker does."""
        while not self._connection.pending():
            ready = select.select([self._connection.socket, self.output], [], [], PATIENCE_S)[0]
            assert ready, "the worker neither answers nor writes"
            if self.output in ready and not self._take():
                break
            if self._connection.socket in ready:
                break
        return self._connection.receive()

    def call(self, event: Any = None, **head: Any) -> Message:
        """Send an event and wait for its RESULT."""
        return self.call_raw(json.dumps(event).encode(), **head)

    def call_raw(self, event: bytes, **head: Any) -> Message:
        """As `call`, with an event that need not be JSON."""
        self.send(event, **head)
        message = self.receive()
        assert message is not None, "the worker ended instead of answering: " + self.last_words()
        assert (message.kind, message.stream) == (wire.RESULT, self._invocation)
        return message

    def log(self) -> str:
        """What is in the output now, which is all an invocation has written once its RESULT is here."""
        return self._read(wait=False)

    def last_words(self) -> str:
        """All output until the worker and everything that shares its output has ended."""
        return self._read(wait=True)

    def _read(self, *, wait: bool) -> str:
        while (wait or select.select([self.output], [], [], 0)[0]) and self._take():
            continue
        written, self._written = self._written, b""
        return written.decode()

    def _take(self) -> bool:
        part = self.output.recv(65536)
        self._written += part
        return bool(part)


class Peer:
    """Listens on both sockets, starts a keeper on them, and ends it."""

    def __init__(
        self,
        folder: Path,
        python: str,
        variables: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        flags: Sequence[str] = (),
        command: Sequence[str] = (),
    ) -> None:
        """`command` is what starts the keeper, in place of an interpreter and the runtime's own file."""
        self.folder = folder
        self._invoker, self._outputs = (listen(folder / name) for name in ("invoker.sock", "output.sock"))
        environment = {"SAMOVAR_SOCKET_DIR": str(folder), "PATH": os.environ["PATH"], **(variables or {})}
        self.process = subprocess.Popen([*prefix, *(command or [python, *flags, str(BOOTSTRAP)])], env=environment)
        self._workers: list[Worker] = []
        try:
            self.keeper = self.accept()
            hello = self.keeper.receive()
        except BaseException:
            self.close()
            raise
        assert hello is not None
        self.hello = hello
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the keeper ends its workers and itself."""
        for listening in (self._invoker, self._outputs):
            listening.close()
        for worker in self._workers:
            worker.output.close()
            worker._connection.socket.close()
        if hasattr(self, "keeper"):
            self.keeper.socket.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()

    def spawn(
        self, handler: str, search_path: Path, variables: Mapping[str, str] | None = None, **order: Any
    ) -> Worker:
        """Order a worker and wait until it has said hello."""
        self.order(handler, search_path, variables, **order)
        output, _ = self._outputs.accept()
        output.settimeout(PATIENCE_S)
        connection = self.accept()
        hello = connection.receive()
        assert hello is not None
        worker = Worker(self._number, connection, output, hello)
        self._workers.append(worker)
        return worker

    def order(self, handler: str, search_path: Path, variables: Mapping[str, str] | None = None, **order: Any) -> int:
        """Send SPAWN, with more fields if given, and return the worker's number."""
        self._number += 1
        fields = {
            "handler": handler,
            "environment": {**VARIABLES, "LAMBDA_TASK_ROOT": str(search_path), **(variables or {})},
            "max_response_bytes": 6_291_556,
            "search_path": [str(search_path)],
            **order,
        }
        self.keeper.send(wire.SPAWN, self._number, body=json.dumps(fields).encode())
        return self._number

    def start(self, handler: str, search_path: Path, variables: Mapping[str, str] | None = None) -> Worker:
        """A worker that has loaded its handler."""
        worker = self.spawn(handler, search_path, variables)
        ready = worker.wait_ready()
        assert "error" not in ready.head, ready.body
        return worker

    def kill(self, worker: Worker) -> Message:
        """Send KILL and wait for EXITED."""
        self.keeper.send(wire.KILL, worker.number)
        return self.exited()

    def exited(self) -> Message:
        """The keeper's next message, which must be EXITED."""
        message = self.keeper.receive()
        assert message is not None
        assert message.kind == wire.EXITED
        return message

    def accept(self) -> Connected:
        """The next connection to `invoker.sock`."""
        return accept(self._invoker)


def listen(path: Path) -> socket.socket:
    """A unix socket that listens."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(8)
    listening.settimeout(PATIENCE_S)
    return listening


def accept(listening: socket.socket) -> Connected:
    """The next connection of the runtime to a socket."""
    accepted, _ = listening.accept()
    accepted.settimeout(PATIENCE_S)
    return Connected(accepted)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter between opening and reading
        return False
    return state not in "ZX"


def ends_soon(pid: int) -> bool:
    """Wait until a process has ended; false when it does not."""
    until = time.monotonic() + PATIENCE_S
    while is_alive(pid):
        if time.monotonic() > until:
            return False
        select.select([], [], [], 0.001)
    return True
