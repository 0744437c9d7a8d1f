"""An invoker that speaks the real wire over a real unix socket and runs a Python function for every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from samovar.invocation import AnswerHead, InvokeHead
from samovar.link.channel import FrameChannel
from samovar.link.operations import OperationAnswer
from samovar.link.wire import CANCEL, CHUNK, CHUNK_SIZE, PULL, REQUEST, RESPONSE, Frame

Run = Callable[[InvokeHead, bytes], Awaitable[tuple[AnswerHead, bytes]]]


async def echo(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
    """Answer with the event."""
    return AnswerHead(version=head.version), body


def answering(body: bytes, head: AnswerHead | None = None) -> Run:
    """Always answer the same."""

    async def run(_: InvokeHead, __: bytes) -> tuple[AnswerHead, bytes]:
        return head or AnswerHead(version="$LATEST"), body

    return run


class FakeInvoker:
    """An async context manager: inside it the socket is served."""

    def __init__(self, socket: Path, run: Run = echo) -> None:
        self.run = run
        self.calls: list[tuple[InvokeHead, bytes]] = []
        self.operations: list[tuple[str, bytes]] = []
        self.cancelled: list[int] = []
        self.reads: list[int] = []
        """How many frames each read from the socket held."""
        self.chunks = 0
        self.asks = True
        """Whether it asks for what is too large for one frame."""
        self.asks = True
        """Whether it asks at once for what is too large for one frame."""
        self.asked = 0
        """How many chunks it has asked for."""
        self.changed = asyncio.Event()
        self._announced: list[tuple[FrameChannel, Frame]] = []
        self._socket = socket
        self._channels: set[FrameChannel] = set()
        self._parts: dict[tuple[FrameChannel, int], list[Frame]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: FrameChannel(self), str(self._socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hang_up()
        while self._channels:
            await self.until_changed()

    def hang_up(self) -> None:
        """Break every connection, as an invoker that is killed does."""
        for channel in self._channels:
            channel.abort()

    def ask(self, more: int = 0) -> None:
        """Ask for the chunks of what was announced, and perhaps for `more` than there are."""
        for channel, frame in self._announced:
            chunks = -(-msgspec.json.decode(frame.head, type=InvokeHead).size // CHUNK_SIZE)
            for _ in range(chunks + more):
                channel.send(PULL, frame.stream)
            self.asked += chunks
        self._announced.clear()

    async def until_changed(self) -> None:
        """Wait until anything arrives or a connection goes."""
        self.changed.clear()
        async with asyncio.timeout(5):
            await self.changed.wait()

    async def until_calls(self, count: int) -> None:
        """Wait until so many invocations have arrived."""
        while len(self.calls) < count:
            await self.until_changed()

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """Collect requests and answer the complete ones."""
        self._channels.add(channel)
        self.reads.append(len(frames))
        for frame in frames:
            if frame.kind == CANCEL:
                self.cancelled.append(frame.stream)
                self._parts.pop((channel, frame.stream), None)
                continue
            assert frame.kind in (REQUEST, CHUNK)
            parts = self._parts.setdefault((channel, frame.stream), [])
            parts.append(frame)
            if frame.kind == REQUEST and not frame.ends_message:
                self._announced.append((channel, frame))
                if self.asks:
                    self.ask()
            if frame.ends_message:
                del self._parts[channel, frame.stream]
                task = asyncio.create_task(
                    self._answer(channel, frame.stream, parts[0].head, b"".join(part.body for part in parts))
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self.changed.set()

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """Forget a connection."""
        self._channels.discard(channel)
        self.changed.set()

    async def _answer(self, channel: FrameChannel, stream: int, head: bytes, body: bytes) -> None:
        op = msgspec.json.decode(head)[0]
        if op == "invoke":
            invoke = msgspec.json.decode(head, type=InvokeHead)
            self.calls.append((invoke, body))
            self.changed.set()
            answer, result = await self.run(invoke, body)
            await channel.send_message(RESPONSE, stream, msgspec.json.encode(answer), result)
        else:
            self.operations.append((op, body))
            known = op in ("declare", "status")
            operation = OperationAnswer() if known else OperationAnswer("ServiceFailure", f"no operation {op!r}")
            await channel.send_message(RESPONSE, stream, msgspec.json.encode(operation), body)


@asynccontextmanager
async def fake_invoker(socket: Path, run: Run = echo) -> AsyncIterator[FakeInvoker]:
    """A served fake invoker."""
    async with FakeInvoker(socket, run) as invoker:
        yield invoker
