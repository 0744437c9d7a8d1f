"""How many stem cells of which runtime there should be. Pure: it starts nothing and is told the time."""

from __future__ import annotations

from collections.abc import Mapping


class StemStock:
    """A floor of cells for every runtime in use, as far as memory goes."""

    def __init__(self, floor: int, most: int, keep_s: float) -> None:
        """`floor` cells a runtime, `most` cells in all; a runtime counts as in use for `keep_s` after a cold start."""
        self._floor = floor
        self._most = most
        self._keep_s = keep_s
        self._always: set[str] = set()
        self._last_use: dict[str, float] = {}

    def always(self, runtime: str) -> None:
        """Have cells of this runtime whether it is used or not."""
        self._always.add(runtime)

    def use(self, runtime: str, now: float) -> None:
        """Take note of a cold start."""
        self._last_use[runtime] = now

    def target(self, now: float) -> dict[str, int]:
        """Cells to have of each runtime. Where there cannot be enough, the last used have theirs before the others."""
        recent = [name for name, used in self._last_use.items() if now - used < self._keep_s]
        recent.sort(key=lambda name: -self._last_use[name])
        runtimes = [*recent, *sorted(self._always.difference(recent))]
        places = [name for _ in range(self._floor) for name in runtimes][: self._most]
        return {name: places.count(name) for name in runtimes}

    def missing(self, ready: Mapping[str, int], now: float) -> str | None:
        """The runtime that most needs another cell; `None` when there are enough."""
        target = self.target(now)
        lacking = [name for name in target if ready.get(name, 0) < target[name]]
        return min(lacking, key=lambda name: ready.get(name, 0), default=None)

    def surplus(self, ready: Mapping[str, int], now: float) -> str | None:
        """A runtime with more cells than it should have; `None` when there is none."""
        target = self.target(now)
        return next((name for name, count in ready.items() if count > target.get(name, 0)), None)
