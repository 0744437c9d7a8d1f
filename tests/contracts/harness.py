"""The invoker's side of a box, small enough for tests: two sockets, one keeper, workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from invoker.environments.mailbox import Mailbox
from invoker.environments.variables import Folders
from invoker.isolation.contract import INVOKER_SOCKET, OUTPUT_SOCKET, Box, BoxSpec, Isolation
from samovar.function import Limits, Network, OciRuntime
from samovar.link import wire

T = TypeVar("T")
PATIENCE_S = 60.0
"""How long a step may take on a busy machine before the test fails."""

SUBJECT = """
def handler(event, context):
    names = {"event": event, "context": context}
    exec(event["source"], names)
    return names.get("result")
"""
"""The function every contract test deploys: it runs what it is given and answers with `result`."""


class Message(NamedTuple):
    """One whole message from the runtime."""

    kind: int
    stream: int
    head: dict[str, Any]
    body: bytes
    flags: int = 0
    """Of its last frame."""


class Connection:
    """One connection of the runtime."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = wire.Decoder()
        self._frames: list[wire.Frame] = []

    def send(self, kind: int, stream: int, head: object = None, body: bytes = b"") -> None:
        """Send one message."""
        for part in wire.encode_message(kind, stream, msgspec.json.encode(head) if head else b"", body):
            self._writer.write(part)

    async def receive(self) -> Message | None:
        """The next message; `None` once the runtime has gone."""
        first: wire.Frame | None = None
        parts: list[bytes] = []
        while True:
            while not self._frames:
                try:
                    data = await self._reader.read(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._frames = self._decoder.feed(data)
            frame = self._frames.pop(0)
            first = first or frame
            parts.append(frame.body)
            if frame.ends_message:
                head = msgspec.json.decode(first.head or b"{}")
                return Message(first.kind, first.stream, head, b"".join(parts), frame.flags)

    def duplicate(self) -> socket.socket:
        """See `samovar.link.channel.FrameChannel.duplicate`."""
        return socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno()))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@dataclass
class Room:
    """A box with the invoker's ends of its sockets."""

    box: Box
    socket_dir: Path
    arrivals: asyncio.Queue[Connection]
    keeper: Connection
    hello: Message
    output: bytearray
    workers: int = 0
    invocations: int = 0
    connections: list[Connection] = field(default_factory=list)

    async def spawn(self, handler: str = "subject.handler", mailbox: Mailbox | None = None) -> Connection:
        """A worker that has loaded its handler, and finds its events in a mailbox if it is given one."""
        self.workers += 1
        order = {
            "handler": handler,
            "environment": {
                "TMPDIR": self.box.tmp_dir,
                "LAMBDA_TASK_ROOT": self.box.task_root,
                "PATH": "/usr/bin:/bin",
            },
            "max_response_bytes": 6_291_556,
            "search_path": Folders.of(self.box).search_path("python3.11"),
        }
        self.keeper.send(wire.SPAWN, self.workers, body=msgspec.json.encode(order))
        worker = await within(self.arrivals.get())
        self.connections.append(worker)
        hello = await within(worker.receive())
        assert hello is not None
        if mailbox is not None:
            assert hello.head["mailbox"] is True
            mailbox.offer(worker)
        ready = await within(worker.receive())
        assert ready is not None, f"the worker ended while loading: {self.output.decode(errors='replace')}"
        assert "error" not in ready.head, ready.body
        return worker

    def send(self, worker: Connection, source: str) -> None:
        """Have a worker run `source` without waiting for it."""
        self.invocations += 1
        head = {"request_id": f"request-{self.invocations}", "deadline_ms": 4_000_000_000_000, "arn": "arn:aws:lambda"}
        worker.send(wire.EVENT, self.invocations, head, msgspec.json.encode({"source": source}))

    async def attempt(self, worker: Connection, source: str) -> Message | None:
        """Have a worker run `source`; its RESULT, or `None` when it ended instead."""
        self.send(worker, source)
        return await within(worker.receive())

    async def run(self, worker: Connection, source: str) -> Any:
        """What `source` leaves in `result`."""
        answer = await self.attempt(worker, source)
        assert answer is not None, f"the worker ended: {self.output.decode(errors='replace')}"
        assert "error" not in answer.head, answer.body.decode()
        return msgspec.json.decode(answer.body)

    async def error(self, worker: Connection, source: str) -> str:
        """The type of the exception `source` raises; empty when it raises none."""
        answer = await self.attempt(worker, source)
        assert answer is not None, f"the worker ended: {self.output.decode(errors='replace')}"
        return str(answer.head.get("error", ""))

    async def drain(self) -> None:
        """Take in the output that is in the socket already: a turn of the event loop reads it, the next delivers it."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def kill(self) -> Message:
        """Have the keeper kill the worker; its EXITED."""
        self.keeper.send(wire.KILL, self.workers)
        return await self.exited()

    async def exited(self) -> Message:
        """The keeper's next message, which must be EXITED."""
        message = await within(self.keeper.receive())
        assert message is not None, "the keeper ended"
        assert message.kind == wire.EXITED
        return message

    async def over(self) -> None:
        """Return when the keeper has told how the worker ended, or has ended with it."""
        if await within(self.keeper.receive()) is None:
            await within(self.box.wait())


async def within(step: Awaitable[T]) -> T:
    """Await a step, but not for ever."""
    async with asyncio.timeout(PATIENCE_S):
        return await step


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a test wants of its box, where it cares."""

    limits: Limits = field(default_factory=lambda: Limits(memory_mb=256))
    network: Network = "none"
    oci_runtime: OciRuntime = "runc"
    layers: dict[str, str] = field(default_factory=dict)
    """Path → content of executable files under `OPT_DIR`; without any there are no layers."""


@contextlib.asynccontextmanager
async def open_room(isolation: Isolation, wish: Wish) -> AsyncIterator[Room]:
    """A started box whose keeper has said hello; destroyed at the end."""
    folder, code, sockets = _folders()
    arrivals: asyncio.Queue[Connection] = asyncio.Queue()
    output = bytearray()
    readers: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                output.extend(data)

    def on_output(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(take(reader, writer))
        readers.add(task)
        task.add_done_callback(readers.discard)

    def on_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrivals.put_nowait(Connection(reader, writer))

    box: Box | None = None
    connections: list[Connection] = []
    try:
        async with (
            await _listen(sockets / INVOKER_SOCKET, on_frames),
            await _listen(sockets / OUTPUT_SOCKET, on_output),
        ):
            spec = BoxSpec(
                id=secrets.token_hex(8),
                runtime="python3.11",
                code_dir=code,
                socket_dir=sockets,
                layers_dir=_layers(folder, wish.layers),
                limits=wish.limits,
                network=wish.network,
                oci_runtime=wish.oci_runtime,
            )
            box = await isolation.start(spec)
            ended = asyncio.create_task(box.wait())
            arriving = asyncio.create_task(arrivals.get())
            await asyncio.wait({ended, arriving}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            assert arriving.done(), f"no hello: {ended.result() if ended.done() else 'the box is silent'}"
            keeper = arriving.result()
            connections.append(keeper)
            hello = await within(keeper.receive())
            assert hello is not None
            try:
                yield Room(box, sockets, arrivals, keeper, hello, output, connections=connections)
            finally:
                await box.destroy("the test is over")
                await within(ended)
                for connection in connections:
                    connection.close()
                while readers:
                    await asyncio.wait(readers)
    finally:
        if box is not None:
            await box.destroy("the test is over")
        shutil.rmtree(folder)


def _folders() -> tuple[Path, Path, Path]:
    """All, the code's and the sockets' folder; a short path, because those of sockets are limited."""
    folder = Path(tempfile.mkdtemp(prefix="smv-"))
    folder.chmod(0o755)
    code, sockets = folder / "code", folder / "run"
    code.mkdir()
    sockets.mkdir()
    (code / "subject.py").write_text(SUBJECT)
    return folder, code, sockets


def _layers(folder: Path, files: dict[str, str]) -> Path | None:
    if not files:
        return None
    layers = folder / "layers"
    for name, content in files.items():
        path = layers / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    return layers


async def _listen(
    path: Path, on_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
) -> asyncio.Server:
    server = await asyncio.start_unix_server(on_connect, path)
    os.chmod(path, 0o666)
    return server
