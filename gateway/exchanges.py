"""The requests a gateway has sent to its invoker and is waiting for, told apart by stream numbers."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from samovar.errors import EnvironmentFailure
from samovar.wire import CHUNK, RESPONSE, Frame, ProtocolError

_LAST_STREAM: Final = 0xFFFF_FFFF


class Reply(NamedTuple):
    """A whole answer."""

    head: bytes
    body: bytes


class Exchange:
    """One request, and as much of its answer as has arrived."""

    __slots__ = ("deadline", "future", "head", "parts", "stream")

    def __init__(self, stream: int, future: asyncio.Future[Reply], deadline: float) -> None:
        self.stream = stream
        self.future = future
        self.deadline = deadline
        self.head = b""
        self.parts: list[bytes] = []

    def take(self, frame: Frame) -> None:
        """The next frame of the answer. Raises `ProtocolError` when it cannot be part of one."""
        if frame.kind == RESPONSE:
            self.head = frame.head
        elif frame.kind != CHUNK:
            raise ProtocolError(f"a frame of kind {frame.kind} is no answer")
        if not frame.ends_message:
            self.parts.append(frame.body)
        elif not self.future.done():
            body = b"".join((*self.parts, frame.body)) if self.parts else frame.body
            self.future.set_result(Reply(self.head, body))

    def fail(self, message: str) -> None:
        """Tell the caller that the outcome is not known, unless the answer has arrived."""
        if not self.future.done():
            self.future.set_exception(EnvironmentFailure(message))


class Exchanges:
    """Owner of the exchanges under way."""

    def __init__(self) -> None:
        self._by_stream: dict[int, Exchange] = {}
        self._stream = 0

    def __len__(self) -> int:
        return len(self._by_stream)

    def open(self, loop: asyncio.AbstractEventLoop, within: float) -> Exchange:
        """Begin an exchange that is to be answered within so many seconds."""
        stream = self._next_stream()
        exchange = self._by_stream[stream] = Exchange(stream, loop.create_future(), loop.time() + within)
        return exchange

    def close(self, exchange: Exchange) -> None:
        """End an exchange; what still arrives for it is ignored."""
        self._by_stream.pop(exchange.stream, None)

    def take(self, frame: Frame) -> None:
        """Hand a frame to its exchange. Raises `ProtocolError` as `Exchange.take` does."""
        exchange = self._by_stream.get(frame.stream)
        if exchange is not None:
            exchange.take(frame)

    def fail_all(self, message: str) -> None:
        """Fail every exchange that has no answer yet."""
        for exchange in self._by_stream.values():
            exchange.fail(message)

    def overdue(self, now: float) -> list[Exchange]:
        """The exchanges without an answer whose deadline has passed."""
        return [
            exchange for exchange in self._by_stream.values() if exchange.deadline <= now and not exchange.future.done()
        ]

    def _next_stream(self) -> int:
        """A number no exchange is using; they are reused after four thousand million calls."""
        while True:
            self._stream = self._stream % _LAST_STREAM + 1
            if self._stream not in self._by_stream:
                return self._stream
