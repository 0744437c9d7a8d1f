"""A function's answer as it arrives from the invoker. At most a window of it is kept: the invoker waits for credit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from gateway.link.exchanges import Reply
from samovar.errors import EnvironmentFailure, SamovarError, by_class_name
from samovar.invocation import AnswerHead, StreamHead

_answer_head: Final = msgspec.json.Decoder(AnswerHead).decode
_stream_head: Final = msgspec.json.Decoder(StreamHead).decode


def _nothing(*_: object) -> None:
    """Tells nobody."""


class AnswerStream:
    """See the module. The link feeds it; whoever sends the answer on waits for `first`, then takes the parts.

    `ending` and `payload` are there once the parts have come to an end, or at once where the answer came whole.
    """

    def __init__(self) -> None:
        self.head: StreamHead | None = None
        """Where the answer comes in parts."""
        self.payload = b""
        """The whole answer, or the error it ended with."""
        self._ending: AnswerHead | EnvironmentFailure | None = None
        self._parts: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_abandoned = False
        self._credit: Callable[[int], None] = _nothing
        self._cancel: Callable[[], None] = _nothing

    def opened(self, credit: Callable[[int], None], cancel: Callable[[], None]) -> None:
        """From the link: how to say that bytes were taken, and that nothing more is wanted."""
        self._credit, self._cancel = credit, cancel

    # From the exchange.

    def begin(self, head: bytes) -> None:
        """See `gateway.link.exchanges.Parts`."""
        self.head = _stream_head(head)
        self._news.set()

    def part(self, part: bytes) -> None:
        """See `gateway.link.exchanges.Parts`."""
        self._parts.append(part)
        self._news.set()

    def end(self, reply: Reply | EnvironmentFailure) -> None:
        """See `gateway.link.exchanges.Parts`."""
        if isinstance(reply, Reply):
            self._ending, self.payload = _answer_head(reply.head), reply.body
        else:
            self._ending = reply
        self._news.set()

    # For whoever sends the answer on.

    async def first(self) -> None:
        """Wait until it is known whether the answer comes in parts."""
        while self.head is None and self._ending is None:
            await self._wait()

    async def failure(self) -> str | None:
        """The platform error that took the answer's place, if one did."""
        await self.first()
        return self._ending.failure if isinstance(self._ending, AnswerHead) else None

    @property
    def ending(self) -> AnswerHead:
        """How the call ended. Raises the platform error it ended with."""
        assert self._ending is not None, "known once the parts have been taken"
        if isinstance(self._ending, SamovarError):
            raise self._ending
        head = self._ending
        if head.failure is not None:
            raise by_class_name(head.failure)(head.message, retry_after=head.retry_after, reason=head.reason)
        return head

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts as they arrive. They end early when the answer has been abandoned."""
        while True:
            while self._parts and not self._is_abandoned:
                part = self._parts.popleft()
                yield part
                self._credit(len(part))
            if self._ending is not None or self._is_abandoned:
                return
            await self._wait()

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody wanted the rest."""
        return self._is_abandoned

    def abandon(self) -> None:
        """Take nothing more. Who waits for a part is told that there are none."""
        if not self._is_abandoned:
            self._is_abandoned = True
            self._news.set()
            if self._ending is None:
                self._cancel()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()
