"""The stem cells there are: those that wait, those under way, and the starts that wait for one of these."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator

from invoker.isolation.stem_cell import StemCell

_FIRST_GUESS_S = 1.0
"""How long it takes to start a cell, before one has been."""
_WEIGHT = 0.3
"""Of the newest value in the moving average of that."""
_PATIENCE = 2.0
"""A start waits for a cell that is under way for so many times as long as one takes, and then helps itself."""


class StemSupply:
    """See the module. Starting and removing cells is its owner's."""

    def __init__(self, start: Callable[[str], Awaitable[StemCell | None]]) -> None:
        """`start` makes a cell of a runtime; `None` says that it could not be made, for reasons it has told."""
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._ready: dict[str, deque[StemCell]] = {}
        self._waiting: dict[str, deque[asyncio.Future[StemCell | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._mean_s = _FIRST_GUESS_S
        self.making: Counter[str] = Counter()
        """Cells that are being started, by runtime."""

    @property
    def ready(self) -> Counter[str]:
        """Cells that wait for a function, by runtime."""
        return Counter({runtime: len(cells) for runtime, cells in self._ready.items() if cells})

    def __iter__(self) -> Iterator[StemCell]:
        return (cell for cells in list(self._ready.values()) for cell in list(cells))

    def make(self, runtime: str, then: Callable[[], None]) -> None:
        """Start a cell, and call `then` when that has come to its end."""
        self.making[runtime] += 1
        task = self._loop.create_task(self._make(runtime, then), name=f"stem-cell-{runtime}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, runtime: str, then: Callable[[], None]) -> None:
        began = self._loop.time()
        cell: StemCell | None = None
        try:
            cell = await self._start(runtime)
        finally:
            self.making[runtime] -= 1
            self._made(runtime, cell)
        if cell is not None:
            self._mean_s += _WEIGHT * (self._loop.time() - began - self._mean_s)
        then()

    def _made(self, runtime: str, cell: StemCell | None) -> None:
        if cell is not None:
            self.put(cell)
            return
        # Of the starts that wait, the last one has lost its cell.
        waiting = self._waiting.get(runtime, deque())
        while len(waiting) > self.making[runtime]:
            _settle(waiting.pop(), None)

    def put(self, cell: StemCell) -> None:
        """A cell is there: for the start that has waited longest, or for one to come."""
        waiting = self._waiting.get(cell.runtime, deque())
        while waiting:
            if _settle(waiting.popleft(), cell):
                return
        self._ready.setdefault(cell.runtime, deque()).append(cell)

    async def take(self, runtime: str) -> StemCell | None:
        """A cell that is ready, or the next one that is under way and not promised; `None` when there is neither.

        A cell that was begun earlier is there before a box that is begun now.
        """
        if cells := self._ready.get(runtime):
            return cells.popleft()
        waiting = self._waiting.setdefault(runtime, deque())
        if len(waiting) >= self.making[runtime]:
            return None
        promised: asyncio.Future[StemCell | None] = self._loop.create_future()
        waiting.append(promised)
        try:
            await asyncio.wait([promised], timeout=_PATIENCE * self._mean_s)
        except asyncio.CancelledError:
            if promised.done() and (cell := promised.result()) is not None:
                self.put(cell)
            raise
        finally:
            if promised in waiting:
                waiting.remove(promised)
        return promised.result() if promised.done() else None

    def surrender(self, runtime: str) -> StemCell:
        """Take the newest cell that waits out of the supply."""
        return self._ready[runtime].pop()

    def remove(self, cell: StemCell) -> bool:
        """Take a cell out of the supply; whether it was in it."""
        cells = self._ready.get(cell.runtime, deque())
        if cell not in cells:
            return False
        cells.remove(cell)
        return True

    async def close(self) -> list[StemCell]:
        """Start no more; gives the cells that are left."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = list(self)
        self._ready.clear()
        return left


def _settle(promised: asyncio.Future[StemCell | None], cell: StemCell | None) -> bool:
    if promised.done():
        return False
    promised.set_result(cell)
    return True
