"""What the pool keeps for the current record of one version: idle environments, waiting calls, averages."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from invoker.environments.environment import Environment
from invoker.pool import keepalive
from invoker.pool.floor import Floor
from invoker.pool.keepalive import IdleTimes, KeepAlive
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason, Preparation

if TYPE_CHECKING:
    from invoker.pool.lease import Lease, Refusal

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


class Occasion(NamedTuple):
    """Why an environment is being started, as it was when that was decided."""

    reason: ColdReason
    missed: Departed | None = None
    """The one it replaces, which is no longer remembered."""
    provisioned: int = 0
    """Environments the version was to have ready, and how many it had."""
    provisioned_ready: int = 0

    def cold(self, began: float, took_s: float, init_ms: float) -> Cold:
        """The story of a start that began then, for the call that waited for it."""
        missed = self.missed
        preparation = Preparation(
            start_ms=max(0.0, took_s * 1000 - init_ms),
            idle_s=began - missed.idle_since if missed else None,
            kept_s=missed.stopped - missed.idle_since if missed else None,
            provisioned=self.provisioned,
            provisioned_ready=self.provisioned_ready,
        )
        return Cold(self.reason, init_ms, preparation)


class Shelf:
    """See the module. Only the pool changes it."""

    def __init__(self, version: FunctionVersion, keep: KeepAlive, older: Shelf | None = None) -> None:
        self.version = version
        self.since = version.serial
        """Environments of this serial or a later one are of this record: it may have changed in other things since."""
        self.older_version_ran = older is not None and older.has_run
        """Whether there was an environment of an older record."""
        self.idle: list[Environment] = []
        """A stack: the last one used is the first one reused, so that the others can expire."""
        self.sharing: list[Environment] = []
        """Those that run calls and have room for more; empty while calls wait."""
        self._most_at_once = version.concurrency
        self.waiters: deque[Lease] = deque()
        self.crews: set[Environment] = set()
        """Those that have calls lying ready, or had them a moment ago."""
        self.lookout: asyncio.TimerHandle | None = None
        """When to look whether those calls are stuck behind long ones."""
        self.occasions: deque[Occasion] = deque()
        """Of the environments that are being started, in the order it was decided."""
        self.starting = 0
        """Environments of this record that will take calls shortly: being started, or reset after a lost worker."""
        self.live = 0
        """Environments of this record that are not dead, the starting ones among them."""
        self.ending = 0
        """How many of those are being stopped."""
        self.floor = Floor()
        """What it is to have whether it is called or not."""
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
        self.mean_duration_s: float | None = older.mean_duration_s if older is not None else None
        self.mean_start_s: float | None = older.mean_start_s if older is not None else None
        self.mean_fork_s: float | None = older.mean_fork_s if older is not None else None
        """Of starts that fork an initialised process; `mean_start_s` is of the others."""
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

    @property
    def ready(self) -> int:
        """Environments that take calls, now or when they have answered one."""
        return self.live - self.ending - self.starting

    @property
    def busy(self) -> int:
        """Those of them that run a call."""
        return self.ready - len(self.idle)

    @property
    def waiting(self) -> int:
        """Calls that have not begun, those that lie ready in an environment among them."""
        return len(self.waiters) + sum(len(one.followers) for one in self.crews)

    @property
    def provisioned(self) -> int:
        """How many the function asks to have ready."""
        return self.floor.wanted if self.version.provisioned else 0

    @property
    def missing(self) -> int:
        """Environments to start so that it has what it is to have."""
        return self.floor.wanted - (self.live - self.ending)

    @property
    def spare(self) -> list[Environment]:
        """The idle environments that may be stopped, the longest idle first."""
        return self.idle[: max(0, -self.missing)]

    @property
    def next_expiry(self) -> float:
        """Monotonic seconds at which the first of those may be due; `inf` if there are none."""
        return self.idle[0].idle_since + self.keep_s if self.idle and self.missing < 0 else math.inf

    @property
    def concurrency(self) -> int:
        """How many calls one of its environments runs at once, which is never more than the function may have."""
        reserved = self.version.max_environments
        return self._most_at_once if reserved is None else max(1, min(self._most_at_once, reserved))

    def seat(self, environment: Environment) -> None:
        """One more call runs in an environment that takes several."""
        assert environment.slots is not None, "it has places"
        self._most_at_once = max(self._most_at_once, environment.slots.limit)
        environment.slots.take()
        self.note_room(environment)

    def note_room(self, environment: Environment) -> None:
        """See whether an environment has room for more calls than it runs."""
        slots = environment.slots
        has_room = slots is not None and slots.taken > 0 and slots.has_room(self.concurrency)
        if has_room != (environment in self.sharing):
            (self.sharing.append if has_room else self.sharing.remove)(environment)

    def next_waiter(self) -> Lease | None:
        """Take the oldest call that still waits out of the queue."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.is_settled:
                return waiter
        return None

    def fail_waiting(self, failure: Refusal) -> None:
        """Every call in the queue ends with this."""
        while (waiter := self.next_waiter()) is not None:
            waiter.refuse(failure)

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

    def note_start(self, seconds: float, *, forked: bool) -> None:
        """A start took so long."""
        if forked:
            self.mean_fork_s = _average(self.mean_fork_s, seconds)
        else:
            self.mean_start_s = _average(self.mean_start_s, seconds)


def _average(mean: float | None, value: float) -> float:
    return value if mean is None else mean + _WEIGHT * (value - mean)
