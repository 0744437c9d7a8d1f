"""Which idle environments are a reserve: while no core has time left, one more in use would slow down the others."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from invoker.pool import policy
from invoker.pool.shelf import Shelf
from samovar.clock import Clock

_SPAN_S = 0.1
"""The kernel counts in hundredths of a second."""
_IDLE_SHARE = 0.3
"""Of all cores' time. So much is left over while short calls go from one process to the next as fast as they can."""


class Crowd:
    """Remembers how the cores were; asking costs next to nothing until that is old."""

    def __init__(self, cores: int, clock: Clock, times: Callable[[], tuple[float, float]] | None = None) -> None:
        """`times` tells for how long (s) cores were idle, and the sum of all their time; `None` asks the kernel."""
        self._cores = cores
        self._clock = clock
        self._times = times or _times
        self._read_at = clock.monotonic()
        self._idle_s, self._total_s = self._times()
        self._is_saturated = False

    def holds_back(self, shelf: Shelf, busy: int) -> bool:
        """Whether a call had better wait for one of the `busy` environments than be given one more."""
        if busy < self._cores:
            return False  # and no time is lost on looking closer
        now = self._clock.monotonic()
        is_crowded = policy.is_crowded(
            busy=busy,
            cores=self._cores,
            mean_duration_s=shelf.mean_duration_s,
            oldest_wait_s=now - shelf.waiters[0].since if shelf.waiters else 0.0,
        )
        return is_crowded and self.is_saturated(now)

    def is_saturated(self, now: float) -> bool:
        """Whether the cores had hardly any time left lately."""
        if now - self._read_at >= _SPAN_S:
            idle_s, total_s = self._times()
            self._is_saturated = idle_s - self._idle_s < _IDLE_SHARE * (total_s - self._total_s)
            self._read_at, self._idle_s, self._total_s = now, idle_s, total_s
        return self._is_saturated


def _times() -> tuple[float, float]:
    times = psutil.cpu_times()
    return times.idle + times.iowait, sum(times)
