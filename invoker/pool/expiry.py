"""One timer for all idle environments, which rings when the first of them may be due. Nothing polls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from samovar.clock import Clock


class Expiry:
    """See the module."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def arm(self, due: float) -> None:
        """Ring at `due` (monotonic seconds, `inf`: never), unless it will ring earlier anyway."""
        if due >= self._due:
            return
        self.cancel()
        self._due = due
        self._timer = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._rings)

    def cancel(self) -> None:
        """Do not ring any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _rings(self) -> None:
        self._timer, self._due = None, math.inf
        self._ring()
