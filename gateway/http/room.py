"""Room for large request bodies: so much of them is in memory at once, and the rest waits in its sender's socket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from samovar.errors import TooManyRequests

ROOM_BYTES: Final = 64 * 1024 * 1024
"""For ten of the largest events of a synchronous call."""
PATIENCE_S: Final = 30.0


class Room:
    """A number of bytes that requests share. They are given theirs in the order in which they asked."""

    def __init__(self, size: int = ROOM_BYTES, patience_s: float = PATIENCE_S) -> None:
        self.size = self.free = size
        self._patience_s = patience_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait for so many bytes, or for all there are; answers with how many have to be given back.

        Raises `TooManyRequests` when there is none for too long.
        """
        size = min(size, self.size)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        self._admit()
        try:
            async with asyncio.timeout(self._patience_s):
                await future
        except TimeoutError as error:
            self._leave(size, future)
            raise TooManyRequests(
                f"The gateway has been receiving other large requests for {self._patience_s:g} s.", retry_after=1.0
            ) from error
        except asyncio.CancelledError:
            self._leave(size, future)
            raise
        return size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.free += size
        self._admit()

    def _leave(self, size: int, future: asyncio.Future[None]) -> None:
        if (size, future) in self._waiting:
            self._waiting.remove((size, future))
            self._admit()
        else:  # it was admitted in the moment in which it gave up
            self.give(size)

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, future = self._waiting.popleft()
            self.free -= size
            if not future.done():
                future.set_result(None)
