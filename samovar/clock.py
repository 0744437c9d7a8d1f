"""Time as an argument: what needs the time of day or a monotonic reading takes a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two readings Samovar takes."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations and deadlines."""
        ...

    def epoch(self) -> float:
        """Seconds since 1970-01-01 UTC; for what people and other machines read."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def epoch(self) -> float:
        """See `Clock.epoch`."""
        return time.time()


class ManualClock:
    """A clock that stands still until it is moved; tests and simulations use it."""

    def __init__(self, start: float = 1_000.0, epoch: float = 1_700_000_000.0) -> None:
        self._now = start
        self._offset = epoch - start

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now

    def epoch(self) -> float:
        """See `Clock.epoch`."""
        return self._now + self._offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds
