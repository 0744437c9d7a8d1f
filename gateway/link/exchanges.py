"""The requests a gateway has sent to its invoker and is waiting for, told apart by stream numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from samovar.errors import EnvironmentFailure
from samovar.link.wire import CHUNK, CHUNK_SIZE, END, RESPONSE, Frame, ProtocolError

_LAST_STREAM: Final = 0xFFFF_FFFF
_STREAM: Final = b'["stream"'
"""How a `StreamHead` begins."""


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    head: bytes
    body: bytes


Deliver = Callable[[Reply | EnvironmentFailure], None]
"""Takes what came of an exchange, once. It must not raise: others' answers came in the same read."""


def nothing() -> None:
    """Waits for nothing."""


class Outgoing:
    """The body of a request. One that is too large for a frame waits here until the invoker asks for it.

    It is let go of with its last part, and `gone` is told: a function may take minutes for its answer.
    """

    __slots__ = ("_gone", "_sent", "body")

    def __init__(self, body: bytes, gone: Callable[[], None] = nothing) -> None:
        self.body = body
        self._gone = gone
        self._sent = 0

    def next_part(self) -> tuple[bytes, int]:
        """See `Exchanges.pulled`."""
        part = self.body[self._sent : self._sent + CHUNK_SIZE]
        if not part:
            raise ProtocolError("the invoker asks for more of a request than there is")
        self._sent += len(part)
        if self._sent < len(self.body):
            return part, 0
        self.body = b""
        self._gone()
        return part, END


_NOTHING: Final = Outgoing(b"")


class Exchange:
    """One request, and as much of its answer as has arrived."""

    __slots__ = ("deadline", "deliver", "head", "outgoing", "parts", "stream")

    def __init__(self, stream: int, deliver: Deliver, deadline: float) -> None:
        self.stream = stream
        self.deliver = deliver
        self.deadline = deadline
        self.outgoing = _NOTHING
        self.head = b""
        self.parts: list[bytes] = []

    def whole(self, frame: Frame) -> Reply | None:
        """The answer, once `frame` completes it. Raises `ProtocolError` when the frame cannot be part of one."""
        if frame.kind == RESPONSE:
            self.head = frame.head
        elif frame.kind != CHUNK:
            raise ProtocolError(f"a frame of kind {frame.kind} is no answer")
        if not frame.ends_message:
            self.parts.append(frame.body)
            return None
        return Reply(self.head, b"".join((*self.parts, frame.body)) if self.parts else frame.body)


class Parts(Protocol):
    """What takes an answer that comes in parts. Nothing of it may raise."""

    def begin(self, head: bytes) -> None:
        """The first part follows."""
        ...

    def part(self, part: bytes) -> None:
        """More of the answer."""
        ...

    def end(self, reply: Reply | EnvironmentFailure) -> None:
        """How it ended; the only call where the answer came whole."""
        ...


class StreamExchange(Exchange):
    """A request whose answer may come in parts."""

    __slots__ = ("_is_ending", "_is_stream", "_parts")

    def __init__(self, stream: int, parts: Parts, deadline: float) -> None:
        super().__init__(stream, parts.end, deadline)
        self._parts = parts
        self._is_stream = False
        self._is_ending = False

    def whole(self, frame: Frame) -> Reply | None:
        """See `Exchange`. In a stream a chunk with a head ends it; those behind it are more of its body."""
        if not self._is_stream:
            if frame.kind != RESPONSE or not frame.head.startswith(_STREAM):
                return super().whole(frame)
            self._is_stream = True
            self._parts.begin(frame.head)
            return None
        if frame.kind != CHUNK:
            raise ProtocolError(f"a frame of kind {frame.kind} is no part of an answer")
        if not self._is_ending and not frame.head:
            self._parts.part(frame.body)
            return None
        if not self._is_ending:
            self._is_ending, self.head = True, frame.head
        return super().whole(frame)


class Exchanges:
    """Owner of the exchanges under way."""

    def __init__(self) -> None:
        self._by_stream: dict[int, Exchange] = {}
        self._stream = 0

    def __len__(self) -> int:
        return len(self._by_stream)

    def open(self, deliver: Deliver, deadline: float) -> Exchange:
        """Begin an exchange that is to be answered before a moment of the event loop's clock."""
        stream = self._next_stream()
        exchange = self._by_stream[stream] = Exchange(stream, deliver, deadline)
        return exchange

    def open_stream(self, parts: Parts, deadline: float) -> Exchange:
        """As `open`, for an answer that may come in parts."""
        stream = self._next_stream()
        exchange = self._by_stream[stream] = StreamExchange(stream, parts, deadline)
        return exchange

    def close(self, exchange: Exchange) -> None:
        """Forget an exchange; what still arrives for it is ignored."""
        self._by_stream.pop(exchange.stream, None)

    def pulled(self, stream: int) -> tuple[bytes, int] | None:
        """The next part of a request that the invoker asks for, and its frame's flags; `None` when that is over.

        Raises `ProtocolError` when there is no more of it.
        """
        exchange = self._by_stream.get(stream)
        return None if exchange is None else exchange.outgoing.next_part()

    def take(self, frame: Frame) -> None:
        """Hand a frame to its exchange, which ends with its answer. Raises `ProtocolError` as `Exchange.whole` does."""
        exchange = self._by_stream.get(frame.stream)
        if exchange is None:
            return
        reply = exchange.whole(frame)
        if reply is not None:
            del self._by_stream[frame.stream]
            exchange.deliver(reply)

    def fail(self, exchange: Exchange, message: str) -> None:
        """End an exchange without an answer: its outcome is not known."""
        if self._by_stream.pop(exchange.stream, None) is not None:
            exchange.deliver(EnvironmentFailure(message))

    def fail_all(self, message: str) -> None:
        """End every exchange so."""
        for exchange in list(self._by_stream.values()):
            self.fail(exchange, message)

    def overdue(self, now: float) -> list[Exchange]:
        """The exchanges whose deadline has passed."""
        return [exchange for exchange in self._by_stream.values() if exchange.deadline <= now]

    def _next_stream(self) -> int:
        """A number no exchange is using; they are reused after four thousand million calls."""
        while True:
            self._stream = self._stream % _LAST_STREAM + 1
            if self._stream not in self._by_stream:
                return self._stream
