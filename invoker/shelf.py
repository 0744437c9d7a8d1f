"""What the pool keeps for the current record of one version: idle environments, waiting calls, averages."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from invoker import keepalive
from invoker.environment import Environment
from invoker.keepalive import IdleTimes, KeepAlive
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason, Preparation

if TYPE_CHECKING:
    from invoker.lease import Lease

_REMEMBERED = 32
"""Departed environments of a version of which is known when they were last used."""
_WEIGHT = 0.2
"""Of the newest value in a moving average: the last ten or so count."""


class Cold(NamedTuple):
    """A call waited for this environment to be started."""

    reason: ColdReason
    init_ms: float
    preparation: Preparation


class Departed(NamedTuple):
    """An idle environment that was stopped though it could have served more calls. Monotonic seconds."""

    idle_since: float
    stopped: float


class Shelf:
    """See the module. Only the pool changes it."""

    def __init__(self, version: FunctionVersion, keep: KeepAlive, older: Shelf | None = None) -> None:
        self.version = version
        self.older_version_ran = older is not None and older.has_run
        """Whether there was an environment of an older record."""
        self.idle: list[Environment] = []
        """A stack: the last one used is the first one reused, so that the others can expire."""
        self.waiters: deque[Lease] = deque()
        self.occasions: deque[tuple[ColdReason, Departed | None]] = deque()
        """Why environments are being started, in the order it was decided, each with the one it replaces."""
        self.starting = 0
        """Environments of this record that will take calls shortly: being started, or reset after a lost worker."""
        self.live = 0
        """Environments of this record that are not dead, the starting ones among them."""
        self.uses = 0
        """Invocations since the version last had no environment."""
        self.clocks: dict[str, float] = {}
        """Environment → the pool's clock of worth when it was last used, unless that still stood at 0."""
        self.departed: deque[Departed] = deque(maxlen=_REMEMBERED)
        """The one used last, at the end: the call that finds it gone shows how long it should have been kept."""
        self.idle_times: IdleTimes = older.idle_times if older is not None else IdleTimes()
        """A function keeps its habits when its code changes."""
        self.keep_s = keepalive.window(self.idle_times, keep)
        """How long environments are kept idle."""
        self._keep = keep
        self._sure_s = keep.sure_s
        self.last_end: ColdReason | None = None
        """Why the last environment that ended did so."""
        self.mean_duration_s: float | None = None
        self.mean_start_s: float | None = None
        self.paused_until = 0.0
        """Monotonic seconds before which no environment is started: the host has just refused one."""
        self.timer: asyncio.TimerHandle | None = None
        """When to ask the policy again although nothing happened."""
        self.patience: asyncio.TimerHandle | None = None
        """When the call that has waited longest may have waited too long."""
        self.look_again_at = 0
        """Length of the queue at which to ask it earlier than that: under load, not for each call that joins."""

    @property
    def has_run(self) -> bool:
        """Whether there ever was an environment of this function."""
        return self.older_version_ran or self.live > 0 or self.last_end is not None

    def next_waiter(self) -> Lease | None:
        """Take the oldest call that still waits out of the queue."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.is_settled:
                return waiter
        return None

    def depart(self, environment: Environment, now: float) -> None:
        """An idle environment is stopped, because its time is up or to make room."""
        self.idle.remove(environment)
        self.departed.append(Departed(environment.idle_since, now))

    def missed(self, now: float) -> Departed | None:
        """The departed environment that would have served a call at this moment, which is no longer remembered."""
        if not self.departed:
            return None
        departed = self.departed.pop()
        self.note_idle(now - departed.idle_since)
        return departed

    def note_idle(self, seconds: float) -> None:
        """An environment was wanted again after so long."""
        if seconds > self._sure_s:
            self.idle_times = keepalive.noted(self.idle_times, seconds)
            self.keep_s = keepalive.window(self.idle_times, self._keep)

    def note_duration(self, seconds: float) -> None:
        """An invocation took so long."""
        self.uses += 1
        self.mean_duration_s = _average(self.mean_duration_s, seconds)

    def note_start(self, seconds: float) -> None:
        """A start took so long."""
        self.mean_start_s = _average(self.mean_start_s, seconds)


def _average(mean: float | None, value: float) -> float:
    return value if mean is None else mean + _WEIGHT * (value - mean)
