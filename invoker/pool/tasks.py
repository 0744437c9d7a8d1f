"""What a pool has under way: the event loop itself keeps no task alive, and shutdown waits for all of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """See the module."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._all: set[asyncio.Task[None]] = set()
        self._starts: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done that runs to its end."""
        task = self._loop.create_task(work)
        self._all.add(task)
        task.add_done_callback(self._all.discard)
        return task

    def spawn_start(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done that shutdown cuts short."""
        self._starts.add(self.spawn(work))

    async def cut_starts_short(self) -> None:
        """Cancel what may be cancelled, and wait until it has ended."""
        starts = list(self._starts)
        for task in starts:
            task.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    async def ended(self) -> None:
        """Return when nothing is under way."""
        while self._all:
            await asyncio.gather(*self._all, return_exceptions=True)
