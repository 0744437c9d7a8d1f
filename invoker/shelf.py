"""What the pool keeps for the current record of one version: idle environments, waiting calls, averages."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from invoker.environment import Environment
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason

_WEIGHT = 0.2
"""Of the newest value in a moving average: the last ten or so count."""


class Cold(NamedTuple):
    """A call waited for this environment to be started."""

    reason: ColdReason
    init_ms: float


class Waiter(NamedTuple):
    """One call in a queue."""

    future: asyncio.Future[tuple[Environment, Cold | None]]
    since: float
    """Monotonic seconds."""


class Shelf:
    """See the module. Only the pool changes it."""

    def __init__(self, version: FunctionVersion, *, older_version_ran: bool) -> None:
        self.version = version
        self.older_version_ran = older_version_ran
        self.idle: list[Environment] = []
        """A stack: the last one used is the first one reused, so that the others can expire."""
        self.waiters: deque[Waiter] = deque()
        self.starting = 0
        """Environments of this record that will take calls shortly: being started, or reset after a lost worker."""
        self.live = 0
        """Environments of this record that are not dead, the starting ones among them."""
        self.last_end: ColdReason | None = None
        """Why the last environment that ended did so."""
        self.mean_duration_s: float | None = None
        self.mean_start_s: float | None = None
        self.paused_until = 0.0
        """Monotonic seconds before which no environment is started: the host has just refused one."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def has_run(self) -> bool:
        """Whether there ever was an environment of this function."""
        return self.older_version_ran or self.live > 0 or self.last_end is not None

    def next_waiter(self) -> Waiter | None:
        """Take the oldest call that still waits out of the queue."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.future.done():
                return waiter
        return None

    def note_duration(self, seconds: float) -> None:
        """An invocation took so long."""
        self.mean_duration_s = _average(self.mean_duration_s, seconds)

    def note_start(self, seconds: float) -> None:
        """A start took so long."""
        self.mean_start_s = _average(self.mean_start_s, seconds)


def _average(mean: float | None, value: float) -> float:
    return value if mean is None else mean + _WEIGHT * (value - mean)
