"""The `fake` isolation: keeper and workers as tasks of this very process, for tests of everything above boxes.

It speaks docs/runtime-protocol.md over the box's real sockets, so that what is tested with it is the real other
end. It isolates nothing and limits nothing. Functions are Python callables given by handler name, or files in
the code folder; what goes wrong is scripted by raising `Exit` or `OutOfMemory`, or by awaiting `hang()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import os
import shutil
import socket
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from invoker.environments.marks import MARK
from invoker.isolation.contract import INVOKER_SOCKET, OPT_DIR, OUTPUT_SOCKET, BoxSpec, Usage
from samovar.errors import EnvironmentFailure
from samovar.link import wire
from samovar.link.operations import IsolationStatus

PROTOCOL = 1
_KILLED = {"signal": 9}
_CPU_US_AN_EVENT = 1000
_PEAK_BYTES = 32 * 1024 * 1024


class Exit(BaseException):
    """Raised by a function: its process ends like this, without an answer."""

    def __init__(self, *, status: int = 1, signal: int | None = None) -> None:
        super().__init__(f"signal {signal}" if signal else f"status {status}")
        self.head = {"signal": signal} if signal else {"status": status}


class OutOfMemory(BaseException):
    """Raised by a function: the memory limit kills its process."""


async def hang() -> None:
    """Awaited by a function: nothing more happens until somebody kills it."""
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Function:
    """What stands for a handler. Both callables may be coroutine functions, and may raise anything."""

    handle: Callable[[Any, Mapping[str, Any]], Any]
    """Given the event and the head of its frame."""
    init: Callable[[], Any] = lambda: None
    concurrency: int = 1
    """Events it takes at once."""


class FakeBox:
    """See `Box`."""

    pid: int | None = None

    def __init__(self, spec: BoxSpec, functions: Mapping[str, Function], *, has_mailboxes: bool = False) -> None:
        self.id = spec.id
        self.has_mailboxes = has_mailboxes
        """Whether its workers ask for one, as Python's do."""
        self.spec = spec
        self.task_root = str(spec.code_dir)
        self.runtime_dir = str(Path(__file__).parent)
        self.tmp_dir = tempfile.mkdtemp(prefix="samovar-fake-")
        self.opt_dir = str(spec.layers_dir or OPT_DIR)
        self.used = Usage(0, 0)
        """What `usage` answers; a test may set it."""
        self.destroyed: str | None = None
        """The reason given to `destroy`."""
        self._functions = functions
        self._out_of_memory = False
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name=f"fake-{spec.id}")
        self._workers: dict[int, asyncio.Task[dict[str, int]]] = {}

    def usage(self) -> Usage:
        """See `Box.usage`."""
        return self.used

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        self.used = Usage(0, self.used.cpu_us)

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`."""
        killed, self._out_of_memory = self._out_of_memory, False
        return killed

    async def wait(self) -> str:
        """See `Box.wait`."""
        return await asyncio.shield(self._ended)

    async def destroy(self, reason: str) -> None:
        """See `Box.destroy`."""
        if self.destroyed is None:
            self.destroyed = reason
            shutil.rmtree(self.tmp_dir)
        self.die("killed by SIGKILL")
        await asyncio.wait({self._keeper, *self._workers.values()})

    def die(self, how: str) -> None:
        """Let the first process end, and with it everything inside."""
        self._keeper.cancel()
        for task in self._workers.values():
            task.cancel()
        if not self._ended.done():
            self._ended.set_result(how)

    async def _keep(self) -> None:
        reader, writer = await _connect(self.spec.socket_dir / INVOKER_SOCKET)
        with contextlib.closing(writer):
            _send(writer, wire.HELLO, 0, {"role": "keeper", "pid": os.getpid(), "protocol": PROTOCOL})
            async for kind, number, _, body in _messages(reader):
                if kind == wire.SPAWN:
                    self._spawn(number, body, writer)
                elif kind == wire.KILL and number in self._workers:
                    self._workers[number].cancel()
        self.die("exited with status 0")

    def _spawn(self, number: int, body: bytes, keeper: asyncio.StreamWriter) -> None:
        worker = _Worker(self, number, msgspec.json.decode(body))

        def report(task: asyncio.Task[dict[str, int]]) -> None:
            del self._workers[number]
            if not keeper.is_closing():
                _send(keeper, wire.EXITED, number, _KILLED if task.cancelled() else task.result())

        task = asyncio.create_task(worker.run(), name=f"fake-{self.id}-{number}")
        self._workers[number] = task
        task.add_done_callback(report)

    def function(self, handler: str) -> Function:
        """The function of that handler name: given, or loaded anew from its file."""
        return self._functions.get(handler) or _load(self.spec.code_dir, handler)

    def ran(self) -> None:
        """Count one event."""
        self.used = Usage(max(self.used.peak_memory_bytes, _PEAK_BYTES), self.used.cpu_us + _CPU_US_AN_EVENT)

    def ran_out_of_memory(self) -> None:
        """Remember that the limit has killed."""
        self._out_of_memory = True


class _Worker:
    """One worker process, so to speak."""

    def __init__(self, box: FakeBox, number: int, order: dict[str, Any]) -> None:
        self._box = box
        self._number = number
        self._order = order

    async def run(self) -> dict[str, int]:
        """Live; answers with how it ended, as the head of `EXITED`. Being cancelled is being killed."""
        socket_dir = self._box.spec.socket_dir
        _, output = await _connect(socket_dir / OUTPUT_SOCKET)
        with contextlib.closing(output):
            hello = {"role": "worker", "pid": os.getpid(), "protocol": PROTOCOL}
            mailbox: socket.socket | None = None
            if self._box.has_mailboxes:
                hello["mailbox"] = True
                reader, writer, mailbox = await _connect_for_mailbox(socket_dir / INVOKER_SOCKET, self._number, hello)
            else:
                reader, writer = await _connect(socket_dir / INVOKER_SOCKET)
                _send(writer, wire.HELLO, self._number, hello)
            with contextlib.closing(writer), contextlib.closing(mailbox) if mailbox else contextlib.nullcontext():
                events = _messages(reader) if mailbox is None else self._packets(mailbox, reader, output)
                try:
                    return await self._serve(events, writer, output)
                except Exit as end:
                    return end.head
                except OutOfMemory:
                    self._box.ran_out_of_memory()
                    return _KILLED

    async def _packets(
        self, mailbox: socket.socket, reader: asyncio.StreamReader, output: asyncio.StreamWriter
    ) -> AsyncIterator[Message]:
        """Events out of a mailbox, and where they are announced there, out of the connection."""
        large = _messages(reader)
        while packet := await asyncio.get_running_loop().sock_recv(mailbox, 2**17):
            (frame,) = wire.Decoder().feed(packet)
            if not frame.ends_message:
                yield await anext(large)
                continue
            if frame.flags & wire.LAID:
                output.write(b"%s%d\n" % (MARK, frame.stream))
            yield frame.kind, frame.stream, msgspec.json.decode(frame.head), frame.body

    async def _serve(
        self, events: AsyncIterator[Message], writer: asyncio.StreamWriter, output: asyncio.StreamWriter
    ) -> dict[str, int]:
        try:
            function = self._box.function(self._order["handler"])
            await self._call(output, function.init)
        except Exception as error:  # noqa: BLE001 - whatever initialisation raises is reported as the runtime does
            _send(writer, wire.READY, self._number, {"init_ms": 0.0, "error": _type(error)}, _told(error, ""))
            return {"status": 1}
        _send(writer, wire.READY, self._number, {"init_ms": 0.0, "concurrency": function.concurrency})
        try:
            async with asyncio.TaskGroup() as calls:
                async for kind, stream, head, body in events:
                    if kind != wire.EVENT:
                        continue
                    answer = calls.create_task(self._answer(function, writer, output, stream, head, body))
                    if function.concurrency == 1:
                        await asyncio.wait({answer})
        except BaseExceptionGroup as ends:
            raise ends.exceptions[0] from None
        return {"status": 0}

    async def _answer(
        self, function: Function, writer: asyncio.StreamWriter, output: asyncio.StreamWriter, stream: int,
        head: Mapping[str, Any], body: bytes,
    ) -> None:  # fmt: skip
        self._box.ran()
        try:
            result = await self._call(output, function.handle, msgspec.json.decode(body), head)
            _send(writer, wire.RESULT, stream, {}, msgspec.json.encode(result))
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
            _send(writer, wire.RESULT, stream, {"error": _type(error)}, _told(error, head["request_id"]))

    async def _call(self, output: asyncio.StreamWriter, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call with the worker's variables and output in place; a coroutine runs on without them."""
        written = io.StringIO()
        try:
            with _environment(self._order["environment"]), contextlib.redirect_stdout(written):
                result = function(*arguments)
        finally:
            output.write(written.getvalue().encode())
        return await result if inspect.isawaitable(result) else result


class FakeIsolation:
    """Starts fake boxes. `functions` are known by their handler names."""

    name = "fake"

    def __init__(self, functions: Mapping[str, Function] | None = None, *, has_mailboxes: bool = False) -> None:
        self.functions = dict(functions or {})
        self._has_mailboxes = has_mailboxes
        self.boxes: list[FakeBox] = []
        """Every box ever started, in order."""
        self.refusal: str | None = None
        """When set, `start` fails with it."""
        self.silent = False
        """When set, boxes start but their keepers never say hello."""

    def can_seat(self, spec: BoxSpec) -> bool:
        """See `Isolation.can_seat`: there is nothing to fork."""
        return False

    async def start(self, spec: BoxSpec) -> FakeBox:
        """See `Isolation.start`."""
        if self.refusal is not None:
            raise EnvironmentFailure(self.refusal)
        kind = _SilentBox if self.silent else FakeBox
        box = kind(spec, self.functions, has_mailboxes=self._has_mailboxes)
        self.boxes.append(box)
        return box

    async def prepare(self, runtime: str) -> None:
        """See `Isolation.prepare`: there is nothing to wait for."""

    async def sweep(self) -> int:
        """See `Isolation.sweep`: what ran in a former process ended with it."""
        return 0

    async def status(self) -> IsolationStatus:
        """See `Isolation.status`."""
        return IsolationStatus(name=self.name, available=True, detail="in this process, isolates nothing")

    async def close(self) -> None:
        """See `Isolation.close`."""


class _SilentBox(FakeBox):
    async def _keep(self) -> None:
        await hang()


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(path))


def _send(writer: asyncio.StreamWriter, kind: int, stream: int, head: Mapping[str, Any], body: bytes = b"") -> None:
    for part in wire.encode_message(kind, stream, msgspec.json.encode(head), body):
        writer.write(part)


async def _connect_for_mailbox(
    path: Path, number: int, hello: Mapping[str, Any]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, socket.socket]:
    """Say hello; what comes back first is the mailbox."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.setblocking(False)
        await loop.sock_connect(connection, str(path))
        await loop.sock_sendall(connection, wire.encode(wire.HELLO, number, msgspec.json.encode(hello)))
        arrived = asyncio.Event()
        loop.add_reader(connection, arrived.set)
        undo.callback(loop.remove_reader, connection)
        await arrived.wait()
        loop.remove_reader(connection)
        _, (descriptor,), _, _ = socket.recv_fds(connection, 64, 1)
        mailbox = undo.enter_context(socket.socket(fileno=descriptor))
        mailbox.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        undo.pop_all()
    return reader, writer, mailbox


Message = tuple[int, int, dict[str, Any], bytes]
"""Kind, stream, head and body."""


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Whole messages `(kind, stream, head, body)` until the connection ends."""
    decoder = wire.Decoder()
    first: dict[int, wire.Frame] = {}
    bodies: dict[int, list[bytes]] = {}
    while data := await reader.read(65536):
        for frame in decoder.feed(data):
            begun = first.setdefault(frame.stream, frame)
            bodies.setdefault(frame.stream, []).append(frame.body)
            if frame.ends_message:
                del first[frame.stream]
                head = msgspec.json.decode(begun.head or b"{}")
                yield begun.kind, frame.stream, head, b"".join(bodies.pop(frame.stream))


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _load(code_dir: Path, handler: str) -> Function:
    """A fresh copy of the module `handler` names, in a namespace of its own."""
    name, _, attribute = handler.rpartition(".")
    file = code_dir / f"{name.replace('.', '/')}.py"
    module = ModuleType(name)
    module.__file__ = str(file)
    exec(compile(file.read_bytes(), file, "exec"), module.__dict__)  # noqa: S102 - running the code is the point
    return Function(getattr(module, attribute))


def _type(error: Exception) -> str:
    return type(error).__name__


def _told(error: Exception, request_id: str) -> bytes:
    stack = traceback.format_tb(error.__traceback__)
    told = {"errorMessage": str(error), "errorType": _type(error), "requestId": request_id, "stackTrace": stack}
    return msgspec.json.encode(told)
