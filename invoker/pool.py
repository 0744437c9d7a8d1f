"""The sole owner of environments: leases them to calls and carries out what `policy.py` decides.

All mutable state is in `Pool` and its `_Shelf`s, and changes only in the event loop's thread, between awaits.
A call that finds an environment idle gets it without waiting for anything. Any other call joins its
version's queue; an environment that becomes free goes to the oldest waiting call.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Coroutine
from typing import Any

from invoker import keepalive, outlook, policy
from invoker.environment import Environment, InitFailed
from invoker.factory import EnvironmentFactory
from invoker.lease import Lease
from invoker.lifecycle import Event, State
from invoker.outlook import PoolSettings
from invoker.roster import Roster
from invoker.shelf import Cold, Shelf
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure, ResourceNotFound, SamovarError, ServiceUnavailable, TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason, Preparation

log = logging.getLogger("samovar.pool")

_PAUSE_AFTER_FAILURE_S = 1.0
"""Between attempts to scale out that the host refuses, while other environments serve the calls."""


class Pool:
    """See the module."""

    def __init__(self, factory: EnvironmentFactory, settings: PoolSettings, clock: Clock) -> None:
        self._factory = factory
        self._settings = settings
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._roster = Roster()
        self._shelves: dict[tuple[str, str], Shelf] = {}
        """The current version of each function and what it has; outdated environments are on none."""
        self._starting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        """Everything under way; `_starts` are those of them that shutdown cuts short."""
        self._starts: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_due = 0.0
        """Monotonic seconds at which `_expiry` rings."""
        self._worth = 0.0
        """The clock of `keepalive.priority`: what the last evicted environment was worth."""
        self._closing = False
        self._hurried = False
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Pool [{len(self._roster)} environments: {self.count(State.BUSY)} busy, "
            f"{self.count(State.IDLE)} idle, {self._starting} starting | {self.waiting} calls waiting | "
            f"{self._roster.reserved_mb} of {self._settings.memory_budget_mb} MB]>"
        )

    @property
    def environments(self) -> list[Environment]:
        """All environments that are not dead, oldest first."""
        return list(self._roster)

    @property
    def reserved_mb(self) -> int:
        """Sum of the memory limits of all environments."""
        return self._roster.reserved_mb

    @property
    def budget_mb(self) -> int:
        """What that sum may come to."""
        return self._settings.memory_budget_mb

    @property
    def waiting(self) -> int:
        """Calls in all queues."""
        return sum(len(shelf.waiters) for shelf in self._shelves.values())

    def count(self, state: State) -> int:
        """How many environments are in a state."""
        return self._roster.count(state)

    # Leasing ----------------------------------------------------------------------------------------

    def request(self, lease: Lease) -> None:
        """Grant a lease, now or later. Raises `TooManyRequests` and `ServiceUnavailable`."""
        if self._closing:
            raise ServiceUnavailable("the invoker is shutting down", retry_after=1)
        shelf = self._shelf(lease.version)
        now = self._clock.monotonic()
        if shelf.idle and not shelf.waiters:
            environment = shelf.idle.pop()
            shelf.note_idle(now - environment.idle_since)
            environment.fire(Event.LEASED)
            lease.grant(environment)
            return
        refusal = policy.admit(self._demand(shelf))
        if refusal is not None:
            raise _throttled(refusal)
        lease.since = now
        shelf.waiters.append(lease)
        self._be_patient(shelf)
        if shelf.timer is None or len(shelf.waiters) >= shelf.look_again_at:
            self._scale(shelf)

    def withdraw(self, lease: Lease) -> bool:
        """Take a request back; whether it was still waiting."""
        if lease.is_settled:
            return False
        lease.is_settled = True
        shelf = self._shelves.get(lease.version.key)
        if shelf is not None and lease in shelf.waiters:
            shelf.waiters.remove(lease)
        return True

    def _be_patient(self, shelf: Shelf) -> None:
        """Have one timer for all calls that wait; it rings when the first of them may have waited too long."""
        if shelf.patience is None and shelf.waiters:
            ends = shelf.waiters[0].since + self._settings.queue_timeout_s
            shelf.patience = self._loop.call_later(max(0.0, ends - self._clock.monotonic()), self._give_up, shelf)

    def _give_up(self, shelf: Shelf) -> None:
        shelf.patience = None
        latest = self._clock.monotonic() - self._settings.queue_timeout_s
        while shelf.waiters and shelf.waiters[0].since <= latest:
            lease = shelf.waiters.popleft()
            if not lease.is_settled:
                lease.refuse(_throttled(self._late(lease.version)))
        self._be_patient(shelf)

    def _late(self, version: FunctionVersion) -> policy.Reject:
        shelf = self._shelf(version)
        return policy.Reject(
            "ConcurrentInvocationLimitExceeded",
            retry_after_s=shelf.mean_duration_s or 1.0,
            message=f"Rate Exceeded. No environment of {version.name} was free within "
            f"{self._settings.queue_timeout_s:g} s: {self!r}",
        )

    def release(self, lease: Lease, *, worker_lost: bool) -> None:
        """Take an environment back from a lease."""
        environment = lease.environment
        shelf = self._current_shelf(environment)
        if shelf is not None:
            shelf.note_duration(lease.duration_s)
        self._changed.set()
        if shelf is None or self._closing:
            self._stop(environment, "outdated" if shelf is None else "shutdown")
        elif environment.is_exhausted:
            self._stop(environment, "out of memory", ColdReason.CRASH)
        elif worker_lost:
            environment.fire(Event.RESET)
            shelf.starting += 1
            self._starts.add(self._spawn(self._reload(shelf, environment)))
        else:
            environment.fire(Event.RELEASED)
            self._place(environment)

    def _place(self, environment: Environment) -> None:
        """An environment is idle: to the oldest waiting call, or on its shelf."""
        shelf = self._current_shelf(environment)
        if shelf is None:
            self._stop(environment, "outdated")
            return
        waiter = shelf.next_waiter()
        if waiter is not None:
            self._grant(waiter, environment, None)
        else:
            shelf.idle.append(environment)
            if self._worth:
                shelf.clocks[environment.id] = self._worth
            self._arm_expiry(shelf.idle[0].idle_since + shelf.keep_s)

    # Starting ---------------------------------------------------------------------------------------

    def _scale(self, shelf: Shelf) -> None:
        """Ask the policy what to do for the calls that wait, and do it."""
        if not shelf.waiters or self._closing or self._clock.monotonic() < shelf.paused_until:
            return
        box = outlook.host(self._roster, self._settings, self._starting)
        elsewhere = outlook.evictable(self._shelves.values(), shelf, box)
        match policy.scale(self._demand(shelf), box, elsewhere):
            case policy.Start(count):
                for _ in range(count):
                    self._begin_start(shelf)
                self._scale_later(shelf, None)
            case policy.Evict(ids):
                self._worth = keepalive.clock_after(self._worth, (one.priority for one in elsewhere if one.id in ids))
                for environment_id in ids:
                    self._evict(self._roster[environment_id])
            case policy.Wait(again_s):
                self._scale_later(shelf, again_s)

    def _scale_later(self, shelf: Shelf, delay_s: float | None) -> None:
        if shelf.timer is not None:
            shelf.timer.cancel()
        shelf.timer = None if delay_s is None else self._loop.call_later(delay_s, self._scale_again, shelf)
        shelf.look_again_at = 2 * len(shelf.waiters)

    def _scale_again(self, shelf: Shelf) -> None:
        shelf.timer = None
        self._scale(shelf)

    def _begin_start(self, shelf: Shelf) -> None:
        past = policy.Past(live_now=shelf.live, last_end=shelf.last_end, older_version_ran=shelf.older_version_ran)
        try:
            environment = self._factory.create(shelf.version)
        except OSError as error:
            self._start_failed(shelf, EnvironmentFailure(f"no environment could be started: {error}"))
            return
        environment.on_idle_death = self._died_idle
        self._roster.add(environment)
        self._starting += 1
        shelf.starting += 1
        shelf.live += 1
        shelf.occasions.append((policy.cold_reason(past), shelf.missed(self._clock.monotonic())))
        self._starts.add(self._spawn(self._start(shelf, environment)))

    async def _start(self, shelf: Shelf, environment: Environment) -> None:
        began = self._clock.monotonic()
        failure: InitFailed | SamovarError | None = None
        init_ms = 0.0
        try:
            init_ms = await self._factory.start(environment)
        except (InitFailed, SamovarError) as error:
            failure = error
        except Exception as error:
            log.exception("starting an environment of %s failed unexpectedly", shelf.version.name)
            failure = EnvironmentFailure(f"no environment could be started: {error}")
        if failure is not None:
            self._start_failed(shelf, failure)
            self._stop(environment, "it could not be started", ColdReason.CRASH)
        self._starting -= 1
        shelf.starting -= 1
        # The first environment that is ready answers the first occasion, whichever of the starts it came from.
        reason, missed = shelf.occasions.popleft()
        if failure is None:
            took_s = self._clock.monotonic() - began
            shelf.note_start(took_s)
            preparation = Preparation(
                start_ms=max(0.0, took_s * 1000 - init_ms),
                idle_s=began - missed.idle_since if missed else None,
                kept_s=missed.stopped - missed.idle_since if missed else None,
            )
            self._hand_out_new(environment, Cold(reason, init_ms, preparation))
        self._scale_all()

    def _hand_out_new(self, environment: Environment, cold: Cold) -> None:
        shelf = self._current_shelf(environment)
        waiter = shelf.next_waiter() if shelf is not None and not self._closing else None
        if waiter is None:
            self._place(environment)
        else:
            self._grant(waiter, environment, cold)

    def _grant(self, waiter: Lease, environment: Environment, cold: Cold | None) -> None:
        environment.fire(Event.LEASED)
        waiter.queue_ms = (self._clock.monotonic() - waiter.since) * 1000
        waiter.grant(environment, cold)

    def _start_failed(self, shelf: Shelf, failure: InitFailed | SamovarError) -> None:
        """The calls that wait for a start share its failure: each of their own would meet the same.

        Unless it is the host's failure and others of the version run: then the calls wait for those.
        """
        if isinstance(failure, EnvironmentFailure):
            log.error("an environment of %s could not be started: %s", shelf.version.name, failure.message)
            if shelf.live > shelf.starting:
                shelf.paused_until = self._clock.monotonic() + _PAUSE_AFTER_FAILURE_S
                self._scale_later(shelf, _PAUSE_AFTER_FAILURE_S)
                return
        self._fail_waiting(shelf, failure)

    def _fail_waiting(self, shelf: Shelf, failure: InitFailed | SamovarError) -> None:
        while (waiter := shelf.next_waiter()) is not None:
            waiter.refuse(failure)

    async def _reload(self, shelf: Shelf, environment: Environment) -> None:
        """Replace a lost worker; the environment and its /tmp stay."""
        try:
            if not await environment.link.kill_worker():
                raise EnvironmentFailure("its keeper did not kill the worker in time")
            await self._factory.load(environment)
        except (InitFailed, SamovarError) as error:
            shelf.starting -= 1
            self._stop(environment, f"could not be reset: {error}", ColdReason.CRASH)
        else:
            shelf.starting -= 1
            self._place(environment)
        self._scale_all()

    # Stopping ---------------------------------------------------------------------------------------

    def supersede(self, version: FunctionVersion) -> None:
        """A newer record of a version is in force: its calls get new environments, the old ones drain."""
        old = self._shelves.get(version.key)
        if old is None or old.version.serial >= version.serial:
            return
        shelf = self._shelves[version.key] = Shelf(version, self._settings.keep_alive, old)
        shelf.waiters, old.waiters = old.waiters, shelf.waiters
        self._be_patient(shelf)
        self._retire(old)
        self._scale(shelf)

    def forget(self, key: tuple[str, str]) -> None:
        """A version is gone: its environments drain, its waiting calls are told."""
        shelf = self._shelves.pop(key, None)
        if shelf is not None:
            gone = f"Function not found: {shelf.version.qualified_arn}, it was deleted while the call waited"
            self._fail_waiting(shelf, ResourceNotFound(gone))
            self._retire(shelf)

    def _retire(self, shelf: Shelf) -> None:
        self._scale_later(shelf, None)
        while shelf.idle:
            self._stop(shelf.idle.pop(), "outdated")

    def _evict(self, environment: Environment) -> None:
        shelf = self._current_shelf(environment)
        assert shelf is not None, "an idle environment is on its shelf"
        shelf.depart(environment, self._clock.monotonic())
        self._stop(environment, "evicted to make room", ColdReason.EVICTED)

    def _died_idle(self, environment: Environment) -> None:
        shelf = self._current_shelf(environment)
        if shelf is not None and environment in shelf.idle:
            shelf.idle.remove(environment)
            self._stop(environment, "died while idle", ColdReason.CRASH)

    def _stop(self, environment: Environment, why: str, ending: ColdReason | None = None) -> None:
        shelf = self._current_shelf(environment)
        if shelf is not None and ending is not None:
            shelf.last_end = ending
        self._spawn(self._destroy(environment, shelf, why))

    async def _destroy(self, environment: Environment, shelf: Shelf | None, why: str) -> None:
        log.debug("%r stops: %s", environment, why)
        try:
            await environment.stop(why)
        except SamovarError as error:
            # Its isolation could not remove it; the sweep at the next start will.
            log.error("environment %s could not be removed: %s", environment.id, error.message)
        self._roster.remove(environment)
        if shelf is not None:
            shelf.live -= 1
            shelf.clocks.pop(environment.id, None)
            if shelf.live == 0:
                shelf.uses = 0
        self._changed.set()
        self._scale_all()

    def _arm_expiry(self, due: float) -> None:
        """Have one timer for all environments, which rings when the first of them may be due."""
        if self._expiry is not None:
            if self._expiry_due <= due:
                return
            self._expiry.cancel()
        self._expiry_due = due
        self._expiry = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._expire)

    def _expire(self) -> None:
        self._expiry = None
        idle = [one for shelf in self._shelves.values() for one in outlook.idle_on(shelf)]
        now = self._clock.monotonic()
        due, next_due = policy.expired(idle, now)
        for environment_id in due:
            environment = self._roster[environment_id]
            shelf = self._current_shelf(environment)
            assert shelf is not None, "an idle environment is on its shelf"
            shelf.depart(environment, now)
            self._stop(environment, "idle for too long", ColdReason.EXPIRED)
        if next_due is not None:
            self._arm_expiry(next_due)

    async def close(self, deadline_s: float) -> None:
        """Take no more calls, let the running ones finish for `deadline_s`, then stop everything."""
        self._closing = True
        for shelf in self._shelves.values():
            self._fail_waiting(shelf, ServiceUnavailable("the invoker is shutting down", retry_after=1))
            self._scale_later(shelf, None)
        if self._expiry is not None:
            self._expiry.cancel()
        try:
            async with asyncio.timeout(deadline_s):
                while self.count(State.BUSY) and not self._hurried:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log.warning("running calls did not finish within %g s", deadline_s)
        if self.count(State.BUSY):
            log.warning("%d running calls are cut off", self.count(State.BUSY))
        await self._cut_starts_short()
        await asyncio.gather(*(one.stop("shutdown") for one in self.environments), return_exceptions=True)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hurry(self) -> None:
        """Have `close` wait for running calls no longer."""
        self._hurried = True
        self._changed.set()

    async def _cut_starts_short(self) -> None:
        starts = list(self._starts)
        for task in starts:
            task.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    # Finding ----------------------------------------------------------------------------------------

    def _shelf(self, version: FunctionVersion) -> Shelf:
        shelf = self._shelves.get(version.key)
        if shelf is None or shelf.version.serial < version.serial:
            self.supersede(version)
            shelf = self._shelves.setdefault(version.key, Shelf(version, self._settings.keep_alive))
        return shelf

    def _current_shelf(self, environment: Environment) -> Shelf | None:
        """The shelf an environment belongs to; `None` when its version is outdated."""
        shelf = self._shelves.get(environment.key)
        return shelf if shelf is not None and shelf.version.serial == environment.version.serial else None

    def _demand(self, shelf: Shelf) -> policy.Demand:
        return outlook.demand(shelf, self._roster, self._settings, self._clock.monotonic())

    def _scale_all(self) -> None:
        """There may be room now: look at every queue, the longest waiting first."""
        hungry = [shelf for shelf in self._shelves.values() if shelf.waiters]
        for shelf in sorted(hungry, key=lambda one: one.waiters[0].since):
            self._scale(shelf)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _throttled(refusal: policy.Reject) -> TooManyRequests:
    return TooManyRequests(refusal.message, retry_after=refusal.retry_after_s, reason=refusal.reason)
