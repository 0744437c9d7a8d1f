"""One worker: a process inside an environment that has the handler loaded and takes one event at a time.

The objects here are the invoker's view of it. They learn what happens from `runtime_link.py` and never touch
a socket themselves but to send.
"""

from __future__ import annotations

import asyncio

import msgspec

from invoker.faults import ProcessEnd
from samovar.channel import FrameChannel
from samovar.invocation import MAX_RESPONSE_BYTES
from samovar.wire import CHUNK, CHUNK_SIZE, EVENT, READY, RESULT, Frame


class WorkerEnded(Exception):
    """The process ended before it answered."""

    def __init__(self, end: ProcessEnd) -> None:
        super().__init__(end.describe())
        self.end = end


class AnswerTooLarge(Exception):
    """The answer is over the limit; the rest of it was not kept."""


class Ready(msgspec.Struct, frozen=True):
    """Head of READY: how initialisation went."""

    init_ms: float = 0.0
    error: str | None = None
    """The error's type; its JSON is the frame's body."""
    snapshot: str | None = None
    """Why there is no snapshot process although one was asked for."""


class Answer(msgspec.Struct, frozen=True):
    """What the handler made of an event."""

    error: str | None
    payload: bytes


class EventHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """Head of EVENT; see `docs/runtime-protocol.md`."""

    request_id: str
    deadline_ms: int
    arn: str
    client_context: str | None = None
    trace_id: str | None = None


class _ResultHead(msgspec.Struct, frozen=True):
    error: str | None = None


_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(_ResultHead).decode
_decode_ready = msgspec.json.Decoder(Ready).decode


class Worker:
    """One worker, from its SPAWN to its end."""

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.channel: FrameChannel | None = None
        self.has_hung_up = False
        """Its connection has been read to the end."""
        self.ready: asyncio.Future[tuple[Ready, bytes]] = loop.create_future()
        self.obituary: ProcessEnd | None = None
        """How it ended, as the keeper told; it counts once nothing more can come from the worker itself."""
        self.ended: asyncio.Future[ProcessEnd] = loop.create_future()
        self._loop = loop
        self._exchange: _Exchange | None = None
        self._events = 0

    async def ask(self, head: EventHead, event: bytes, timeout_s: float) -> Answer:
        """Give it one event and wait for the answer.

        Raises `WorkerEnded`, `AnswerTooLarge`, or `TimeoutError` when it has not answered within `timeout_s`.
        """
        if self.channel is None or self.ended.done():
            raise WorkerEnded(self.ended.result() if self.ended.done() else ProcessEnd())
        self._events += 1
        exchange = self._exchange = _Exchange(self._events, self._loop.create_future())
        try:
            if len(event) <= CHUNK_SIZE:
                self.channel.send(EVENT, self._events, _encode(head), event)
                return await self._answer_within(exchange, timeout_s)
            async with asyncio.timeout(timeout_s):
                return await self._ask_in_chunks(self.channel, exchange, head, event)
        finally:
            self._exchange = None
            exchange.done.cancel()

    async def _answer_within(self, exchange: _Exchange, timeout_s: float) -> Answer:
        # A bare timer, because `asyncio.timeout` costs more than all else that happens to a small event here.
        timer = self._loop.call_later(timeout_s, exchange.fail, TimeoutError())
        try:
            return await exchange.done
        finally:
            timer.cancel()

    async def _ask_in_chunks(self, channel: FrameChannel, exchange: _Exchange, head: EventHead, event: bytes) -> Answer:
        try:
            await channel.send_message(EVENT, exchange.number, _encode(head), event)
        except ConnectionResetError:
            raise WorkerEnded(await self.ended) from None
        return await exchange.done

    def take(self, frame: Frame) -> None:
        """A frame of this worker arrived. Raises `ValueError` on one that has no place here."""
        if frame.kind in (RESULT, CHUNK):
            if self._exchange is not None and frame.stream == self._exchange.number:
                self._exchange.add(frame)
        elif frame.kind == READY and not self.ready.done():
            self.ready.set_result((_decode_ready(frame.head or b"{}"), frame.body))
        else:
            raise ValueError(f"unexpected frame of kind {frame.kind} from a worker")

    def end(self, end: ProcessEnd) -> None:
        """The process is gone; whoever waits for it is told. Only the first call counts."""
        if self.ended.done():
            return
        self.ended.set_result(end)
        if not self.ready.done():
            self.ready.set_exception(WorkerEnded(end))
            self.ready.exception()  # nobody may be waiting any more
        if self._exchange is not None:
            self._exchange.fail(WorkerEnded(end))

    def disconnect(self) -> None:
        """Hang up on it."""
        if self.channel is not None:
            channel, self.channel = self.channel, None
            channel.abort()


class _Exchange:
    """One event and the answer being put together."""

    __slots__ = ("_head", "_parts", "_size", "done", "number")

    def __init__(self, number: int, done: asyncio.Future[Answer]) -> None:
        self.number = number
        self.done = done
        self._head = b""
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, frame: Frame) -> None:
        if self.done.done():
            return
        if frame.kind == RESULT:
            self._head = frame.head
        self._size += len(frame.body)
        if self._size > MAX_RESPONSE_BYTES:
            self.fail(AnswerTooLarge())
            return
        self._parts.append(frame.body)
        if frame.ends_message:
            error = _decode_result(self._head).error if self._head else None
            self.done.set_result(Answer(error, b"".join(self._parts)))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
