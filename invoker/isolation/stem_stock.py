"""How many stem cells of which runtime there should be. Pure: it starts nothing and is told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

RUN_S: Final = 5.0
"""Cold starts of a runtime that follow each other within so many seconds are a run."""
RUN_KEPT_S: Final = 20.0
"""How long after a run the cells it showed to be wanted are kept beyond the floor."""
MOST_FLOORS: Final = 4
"""A run makes the floor at most so many times as high."""
AT_REST: Final = 1
"""Cells of a runtime whose functions do not start cold one after the other: the one cold start that comes takes it, and
the next cell is there before most others would come. What an idle platform holds is memory nobody else can use."""


class StemStock:
    """A cell for every runtime in use, as far as memory goes; the floor or more of them after a run of cold starts."""

    def __init__(self, floor: int, most: int, keep_s: float, at_rest: int = AT_REST) -> None:
        """`floor` cells a runtime after a run, `most` in all; a runtime is in use for `keep_s` after a cold start."""
        self._floor = floor
        self._at_rest = min(at_rest, floor)
        self._most = most
        self._keep_s = keep_s
        self._always: set[str] = set()
        self._last_use: dict[str, float] = {}
        self._uses: dict[str, deque[float]] = {}
        """Of the last run of each runtime, as many as can matter."""
        self._runs: dict[str, tuple[int, float]] = {}
        """Runtime → the longest run that still counts, and when it ended."""

    def always(self, runtime: str) -> None:
        """Have cells of this runtime whether it is used or not."""
        self._always.add(runtime)

    def use(self, runtime: str, now: float) -> None:
        """Take note of a cold start."""
        self._last_use[runtime] = now
        uses = self._uses.setdefault(runtime, deque(maxlen=MOST_FLOORS * self._floor))
        uses.append(now)
        length = sum(now - used < RUN_S for used in uses)
        if length >= self._run(runtime, now):
            self._runs[runtime] = (length, now)

    def _run(self, runtime: str, now: float) -> int:
        length, ended = self._runs.get(runtime, (0, now))
        return length if now - ended < RUN_KEPT_S else 0

    def floor(self, runtime: str, now: float) -> int:
        """Cells to have of a runtime in use, were there memory for all. One cold start alone is no run."""
        run = self._run(runtime, now)
        return self._at_rest if run <= 1 else max(self._floor, min(run, MOST_FLOORS * self._floor))

    def target(self, now: float) -> dict[str, int]:
        """Cells to have of each runtime. Where there cannot be enough, the last used have theirs before the others."""
        recent = [name for name, used in self._last_use.items() if now - used < self._keep_s]
        recent.sort(key=lambda name: -self._last_use[name])
        runtimes = [*recent, *sorted(self._always.difference(recent))]
        floors = {name: self.floor(name, now) for name in runtimes}
        rounds = range(max(floors.values(), default=0))
        places = [name for number in rounds for name in runtimes if number < floors[name]][: self._most]
        return {name: places.count(name) for name in runtimes}

    def missing(self, ready: Mapping[str, int], now: float) -> str | None:
        """The runtime that most needs another cell; `None` when there are enough."""
        target = self.target(now)
        lacking = [name for name in target if ready.get(name, 0) < target[name]]
        return min(lacking, key=lambda name: ready.get(name, 0), default=None)

    def starts(self, ready: Mapping[str, int], making: Mapping[str, int], cores: int, now: float) -> list[str]:
        """The runtimes of which to start a cell each at this moment: no more are under way than there are cores.

        For when nobody waits for a start: those come first, and cells are for the next one.
        """
        there = {name: ready.get(name, 0) + making.get(name, 0) for name in {*ready, *making}}
        chosen: list[str] = []
        while sum(making.values()) + len(chosen) < cores and (name := self.missing(there, now)) is not None:
            chosen.append(name)
            there[name] = there.get(name, 0) + 1
        return chosen

    def surplus(self, ready: Mapping[str, int], now: float) -> str | None:
        """A runtime with more cells than it should have; `None` when there is none."""
        target = self.target(now)
        return next((name for name, count in ready.items() if count > target.get(name, 0)), None)
