"""The sole owner of environments: leases them to calls and carries out what `policy.py` decides.

All mutable state is in `Pool` and the parts it makes for itself (`Shelves`, `Roster`, `Departures` and others), and
changes only in the event loop's thread, between awaits.
A call that finds an environment idle gets it without waiting for anything. Any other call joins its
version's queue; an environment that becomes free goes to the oldest waiting call.
"""

from __future__ import annotations

import asyncio
import logging

from invoker.environments import sharing
from invoker.environments.environment import Environment, InitFailed
from invoker.environments.factory import EnvironmentFactory
from invoker.environments.handover import Handover
from invoker.environments.lifecycle import Event, State
from invoker.pool import outlook, policy
from invoker.pool.crowd import Crowd
from invoker.pool.departures import Departures
from invoker.pool.ending import Ending
from invoker.pool.expiry import Expiry
from invoker.pool.floors import Floors
from invoker.pool.lease import Lease
from invoker.pool.outlook import PoolSettings
from invoker.pool.patience import Patience, throttled
from invoker.pool.roster import Roster
from invoker.pool.shelf import Cold, Occasion, Shelf
from invoker.pool.shelves import Key, Shelves
from invoker.pool.starts import attempt
from invoker.pool.tasks import Tasks
from invoker.pool.warmth import Warmth
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure, ResourceNotFound, SamovarError, ServiceUnavailable
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason
from samovar.link.operations import ProvisionedView

log = logging.getLogger("samovar.pool")

_PAUSE_AFTER_FAILURE_S = 1.0
"""Between attempts to scale out that the host refuses, while other environments serve the calls."""


class Pool:
    """See the module."""

    def __init__(self, factory: EnvironmentFactory, settings: PoolSettings, crowd: Crowd, clock: Clock) -> None:
        self._factory = factory
        self._settings = settings
        self._clock = clock
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._roster = Roster()
        self._shelves = Shelves(settings.keep_alive)  # outdated environments are on none
        self._floors = Floors(clock, self._top_up, lambda shelf: self._expiry.arm(shelf.next_expiry))
        self.warmth = Warmth(self._shelves, self._floors, self._roster, settings, self._retire, self._shelf)
        """What is started before calls get it."""
        self._patience = Patience(clock, settings.queue_timeout_s, settings.init_timeout_s, self._picture)
        self._handover = Handover(clock, crowd, self._look_again)
        self._starting = 0
        self._starved = False
        """Whether somebody needs room, which an environment that becomes idle can make."""
        self._tasks = Tasks()
        self._departures = Departures(self._roster, self._shelves, self._tasks, clock, self._gone)
        self._expiry = Expiry(clock, self._expire)
        self._closing = False
        self._ending = Ending(lambda: self.count(State.BUSY))

    def __repr__(self) -> str:
        return f"<Pool [{self._picture()}]>"

    def _picture(self) -> str:
        """How it stands, for people."""
        return outlook.picture(self._roster, self._settings, self._starting, self.waiting)

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
        return self._shelves.waiting

    @property
    def provisioned(self) -> list[ProvisionedView]:
        """Of every version that has provisioned environments."""
        return self._floors.views()

    def count(self, state: State) -> int:
        """How many environments are in a state."""
        return self._roster.count(state)

    def request(self, lease: Lease) -> None:
        """Grant a lease, now or later. Raises `TooManyRequests` and `ServiceUnavailable`."""
        if self._closing:
            raise ServiceUnavailable("the invoker is shutting down", retry_after=1)
        shelf = self._shelf(lease.version)
        if shelf.sharing:
            sharing.join(shelf, lease, self._clock.monotonic())
            return
        now = self._clock.monotonic()
        is_barred = self._floors.leave_nothing(shelf)
        if shelf.idle and not (is_barred or shelf.waiters or self._crowd.holds_back(shelf, shelf.busy)):
            environment = shelf.idle.pop()
            shelf.note_idle(now - environment.idle_since)
            environment.fire(Event.LEASED)
            if environment.slots is not None:
                shelf.seat(environment)
            lease.grant(environment)
            return
        refusal = policy.admit(outlook.queue(shelf, self._roster, self._settings, self._floors.promised(shelf)))
        if refusal is not None:
            raise throttled(refusal)
        lease.since = now
        shelf.waiters.append(lease)
        self._patience.watch(shelf)
        if shelf.timer is None or len(shelf.waiters) >= shelf.look_again_at:
            self._scale(shelf)

    def withdraw(self, lease: Lease) -> bool:
        """Take a request back; whether it was still waiting."""
        shelf = self._shelf(lease.version)
        if lease.is_settled or not self._handover.recall(shelf, lease):
            return False
        lease.settle()
        shelf.waiters.remove(lease)
        return True

    def release(self, lease: Lease, *, worker_lost: bool) -> None:
        """Take an environment back from a lease."""
        environment = lease.environment
        shelf = self._shelves.home(environment)
        if shelf is not None:
            shelf.note_duration(lease.duration_s)
        if environment.slots is not None:
            worker_lost = environment.slots.leave(worker_lost=worker_lost)
            if shelf is not None:
                shelf.note_room(environment)
                sharing.fill(shelf, self._clock.monotonic())
            if environment.slots.taken:
                return
        if self._handover.follow(shelf, environment, worker_lost=worker_lost):
            return
        self._ending.look()
        if shelf is None or self._closing:
            self._departures.stop(environment, "outdated" if shelf is None else "shutdown")
        elif environment.is_exhausted:
            self._departures.stop(environment, "out of memory", ColdReason.CRASH)
        elif worker_lost:
            environment.fire(Event.RESET)
            shelf.starting += 1
            self._tasks.spawn_start(self._reload(shelf, environment))
        else:
            environment.fire(Event.RELEASED)
            self._place(environment)

    def _place(self, environment: Environment) -> None:
        """An environment is idle: to the oldest waiting call, or on its shelf."""
        shelf = self._shelves.home(environment)
        if shelf is None:
            self._departures.stop(environment, "outdated")
            return
        waiter = None if self._crowd.holds_back(shelf, shelf.busy - 1) else shelf.next_waiter()
        if waiter is not None:
            self._grant(shelf, waiter, environment, None)
            if shelf.idle:
                self._serve(shelf)
        else:
            shelf.idle.append(environment)
            if self._departures.worth:
                shelf.clocks[environment.id] = self._departures.worth
            self._expiry.arm(shelf.next_expiry)
            self._handover.relieve(shelf)
            if self._starved:
                self._loop.call_soon(self._scale_all)

    def _serve(self, shelf: Shelf) -> None:
        """Give the calls that wait what there is in reserve, unless it is too crowded for that."""
        while shelf.idle and shelf.waiters and not self._crowd.holds_back(shelf, shelf.busy):
            waiter = shelf.next_waiter()
            if waiter is not None:
                self._grant(shelf, waiter, shelf.idle.pop(), None)

    def _scale(self, shelf: Shelf) -> None:
        """Ask the policy what to do for the calls that wait, and do it."""
        self._serve(shelf)
        if not shelf.waiters or self._closing or self._clock.monotonic() < shelf.paused_until:
            return
        box = outlook.host(self._roster, self._settings, self._starting)
        elsewhere = outlook.evictable(self._shelves, shelf, box)
        match policy.scale(self._demand(shelf), box, elsewhere):
            case policy.Start(count):
                for _ in range(count):
                    self._begin_start(shelf)
                self._scale_later(shelf, None)
            case policy.Evict(ids):
                self._departures.evict(ids, elsewhere)
            case policy.NoRoom():
                self._starved = True
            case policy.Wait(again_s):
                self._scale_later(shelf, again_s)

    def _look_again(self, shelf: Shelf) -> None:
        """Calls are back in its queue."""
        self._patience.watch(shelf)
        self._scale(shelf)

    def _scale_later(self, shelf: Shelf, delay_s: float | None) -> None:
        if shelf.timer is not None:
            shelf.timer.cancel()
        shelf.timer = None if delay_s is None else self._loop.call_later(delay_s, self._scale_again, shelf)
        shelf.look_again_at = 2 * len(shelf.waiters)

    def _scale_again(self, shelf: Shelf) -> None:
        shelf.timer = None
        self._scale(shelf)

    def _top_up(self, shelf: Shelf, missing: int) -> None:
        """Start what a version is to have whether it is called or not, if there is room."""
        if self._closing:
            return
        box = outlook.host(self._roster, self._settings, self._starting)
        # Others make room for what is promised to be ready, not for what only makes a change of code smoother.
        elsewhere = outlook.evictable(self._shelves, shelf, box) if shelf.version.provisioned else []
        match policy.top_up(missing, shelf.version.limits.memory_mb, box, elsewhere):
            case policy.Start(count):
                for _ in range(count):
                    self._begin_start(shelf, uncalled=True)
            case policy.Evict(ids):
                self._departures.evict(ids, elsewhere)
            case policy.NoRoom(reason):
                shelf.floor.refused(reason)
                self._starved = True

    def _begin_start(self, shelf: Shelf, *, uncalled: bool = False) -> None:
        past = policy.Past(live_now=shelf.live, last_end=shelf.last_end, older_version_ran=shelf.older_version_ran)
        try:
            environment = self._factory.create(shelf.version)
        except OSError as error:
            failure = EnvironmentFailure(f"no environment could be started: {error}")
            self._start_failed(shelf, failure)
            self._floors.started(shelf, failure.message)
            return
        environment.on_idle_death = self._departures.died_idle
        if uncalled and shelf.provisioned:
            environment.initialization_type = "provisioned-concurrency"
        self._roster.add(environment)
        missed = None if uncalled else shelf.missed(self._clock.monotonic())
        shelf.occasions.append(Occasion(policy.cold_reason(past), missed, shelf.provisioned, shelf.ready))
        self._starting += 1
        shelf.starting += 1
        shelf.live += 1
        self._tasks.spawn_start(self._start(shelf, environment))

    async def _start(self, shelf: Shelf, environment: Environment) -> None:
        started = await attempt(self._factory, environment, self._clock)
        if started.failure is not None:
            if started.is_told:
                self._start_failed(shelf, started.failure)
            self._departures.stop(environment, "it could not be started", ColdReason.CRASH)
        self._starting -= 1
        shelf.starting -= 1
        # The first environment that is ready answers the first occasion, whichever of the starts it came from.
        occasion = shelf.occasions.popleft()
        if started.failure is None:
            shelf.note_start(started.took_s, forked=environment.is_forked)
            self._hand_out_new(environment, occasion.cold(started.began, started.took_s, started.init_ms))
        self._floors.started(shelf, started.problem)
        self._scale_all()

    def _hand_out_new(self, environment: Environment, cold: Cold) -> None:
        shelf = self._shelves.home(environment)
        waiter = shelf.next_waiter() if shelf is not None and not self._closing else None
        if shelf is None or waiter is None:
            self._place(environment)
        else:
            self._grant(shelf, waiter, environment, cold)

    def _grant(self, shelf: Shelf, waiter: Lease, environment: Environment, cold: Cold | None) -> None:
        environment.fire(Event.LEASED)
        if environment.slots is not None:
            shelf.seat(environment)
        waiter.queue_ms = (self._clock.monotonic() - waiter.since) * 1000
        waiter.grant(environment, cold)
        if shelf.waiters:
            self._handover.top_up(shelf, environment)
            sharing.fill(shelf, self._clock.monotonic())

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
        shelf.fail_waiting(failure)

    async def _reload(self, shelf: Shelf, environment: Environment) -> None:
        """Replace a lost worker; the environment and its /tmp stay."""
        try:
            if not await environment.link.kill_worker():
                raise EnvironmentFailure("its worker could not be ended, or nobody is left to start another")
            await self._factory.load(environment)
        except (InitFailed, SamovarError) as error:
            shelf.starting -= 1
            self._departures.stop(environment, f"could not be reset: {error}", ColdReason.CRASH)
        else:
            shelf.starting -= 1
            self._place(environment)
        self._scale_all()

    def supersede(self, version: FunctionVersion) -> None:
        """A newer record of a version is in force: its calls get new environments, the old ones drain."""
        old = self._shelves.get(version.key)
        if old is None:
            if version.provisioned:
                self._floors.watch(self._shelves.add(version))
            return
        if old.version.serial >= version.serial:
            return
        self._handover.take_back(old)
        shelf, outdated = self._shelves.succeed(version)
        for one in outdated:
            self._retire(one)
        self._patience.watch(shelf)
        while shelf.waiters and shelf.idle:
            self._place(shelf.idle.pop())
        self._floors.watch(shelf)
        self._scale(shelf)

    def forget(self, key: Key) -> None:
        """A version is gone: its environments drain, its waiting calls are told."""
        for shelf in self._shelves.remove(key):
            gone = f"Function not found: {shelf.version.qualified_arn}, it was deleted while the call waited"
            self._handover.take_back(shelf)
            shelf.fail_waiting(ResourceNotFound(gone))
            self._retire(shelf)

    def _retire(self, shelf: Shelf) -> None:
        self._floors.drop(shelf)
        self._scale_later(shelf, None)
        while shelf.idle:
            self._departures.stop(shelf.idle.pop(), "outdated")

    def _gone(self) -> None:
        """An environment has ended, and left room."""
        self._ending.look()
        self._scale_all()

    def _expire(self) -> None:
        idle = [one for shelf in self._shelves for one in outlook.idle_on(shelf)]
        due, next_due = policy.expired(idle, self._clock.monotonic())
        for environment_id in due:
            self._departures.depart(environment_id, "idle for too long", ColdReason.EXPIRED)
        if next_due is not None:
            self._expiry.arm(next_due)

    async def close(self, deadline_s: float) -> None:
        """Take no more calls, let the running ones finish for `deadline_s`, then stop everything."""
        self._closing = True
        for shelf in self._shelves:
            self._handover.take_back(shelf)
            shelf.fail_waiting(ServiceUnavailable("the invoker is shutting down", retry_after=1))
            self._scale_later(shelf, None)
        self._expiry.cancel()
        self._floors.close()
        await self._ending.wait(deadline_s)
        await self._tasks.cut_starts_short()
        await asyncio.gather(*(one.stop("shutdown") for one in self.environments), return_exceptions=True)
        await self._tasks.ended()

    def hurry(self) -> None:
        """Have `close` wait for running calls no longer."""
        self._ending.hurry()

    def _shelf(self, version: FunctionVersion) -> Shelf:
        shelf = self._shelves.get(version.key)
        if shelf is None or shelf.version.serial < version.serial:
            self.supersede(version)
            shelf = self._shelves.get(version.key) or self._shelves.add(version)
        return shelf

    def _demand(self, shelf: Shelf) -> policy.Demand:
        now, forks = self._clock.monotonic(), self._factory.can_fork(shelf.version)
        around = outlook.Around(forks, self._floors.promised(shelf), self._crowd.is_saturated(now))
        return outlook.demand(shelf, self._roster, self._settings, now, around)

    def _scale_all(self) -> None:
        """There may be room now: look at every queue, the longest waiting first."""
        self._starved = False
        for shelf in self._shelves.hungry():
            self._scale(shelf)
        self._floors.look()
