"""What the policy is shown: frozen views of the pool's shelves and roster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from invoker.environments.environment import Environment
from invoker.environments.lifecycle import State
from invoker.pool import keepalive
from invoker.pool.keepalive import KeepAlive
from invoker.pool.policy import (
    FIRST_GUESS_FORK_S,
    FIRST_GUESS_START_S,
    PATIENCE_S,
    SHORT_CALL_S,
    Demand,
    Host,
    IdleEnvironment,
    Queue,
)
from invoker.pool.roster import Roster
from invoker.pool.shelf import Shelf
from samovar.function import FunctionVersion


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """What a pool takes from the platform's settings."""

    cores: int
    memory_budget_mb: int
    max_environments: int
    max_environments_per_function: int
    max_starts: int
    keep_alive: KeepAlive
    queue_timeout_s: float
    init_timeout_s: float
    queue_limit: int


class Around(NamedTuple):
    """What a shelf does not know of what is around it."""

    forks: bool
    """Whether its next environment would be forked."""
    promised: int = 0
    """Environments that other versions of the function keep ready."""
    saturated: bool = False
    """Whether the cores have no time left."""


def queue(shelf: Shelf, roster: Roster, settings: PoolSettings, promised: int) -> Queue:
    """What a call would join; `promised` as in `Around`."""
    return Queue(
        waiting=shelf.waiting,
        usable=shelf.live - shelf.starting,
        mean_duration_s=shelf.mean_duration_s,
        function_live=roster.of_function(shelf.version.arn),
        function_limit=function_limit(shelf, settings),
        queue_limit=settings.queue_limit,
        queue_timeout_s=settings.queue_timeout_s,
        promised_elsewhere=promised,
        concurrency=shelf.concurrency,
    )


def demand(shelf: Shelf, roster: Roster, settings: PoolSettings, now: float, around: Around) -> Demand:
    """What one version has and wants."""
    long_s = PATIENCE_S if around.saturated else SHORT_CALL_S
    return Demand(
        **msgspec.structs.asdict(queue(shelf, roster, settings, around.promised)),
        oldest_wait_s=now - shelf.waiters[0].since if shelf.waiters else 0.0,
        held=_held(roster.of_version(shelf.version.key), now, long_s) if shelf.waiters else 0,
        reserve=len(shelf.idle) if shelf.waiters else 0,
        starting=shelf.starting,
        memory_mb=shelf.version.limits.memory_mb,
        mean_start_s=(shelf.mean_fork_s or FIRST_GUESS_FORK_S) if around.forks else shelf.mean_start_s,
    )


def _held(environments: Iterable[Environment], now: float, long_s: float) -> int:
    """How many of them are in the middle of a long call."""
    return sum(one.state is State.BUSY and now - one.busy_since >= long_s for one in environments)


def function_limit(shelf: Shelf, settings: PoolSettings) -> int:
    """How many environments a function may have in all its versions, so that no more calls run than are reserved."""
    reserved = shelf.version.max_environments
    return settings.max_environments_per_function if reserved is None else reserved // shelf.concurrency


def can_precede(old: Shelf, version: FunctionVersion, roster: Roster, settings: PoolSettings) -> bool:
    """Whether environments of a record serve while the first of a newer one is started: they exist, and differ."""
    if not old.ready or old.version.is_built_like(version):
        return False
    reserved = version.max_environments
    limit = settings.max_environments_per_function if reserved is None else reserved // old.concurrency
    return roster.of_function(version.arn) < limit


def host(roster: Roster, settings: PoolSettings, starting: int) -> Host:
    """What the box has left."""
    return Host(
        cores=settings.cores,
        starting=starting,
        max_starts=settings.max_starts,
        live=len(roster),
        max_live=settings.max_environments,
        memory_reserved_mb=roster.reserved_mb,
        memory_budget_mb=settings.memory_budget_mb,
    )


def evictable(shelves: Iterable[Shelf], for_: Shelf, box: Host) -> list[IdleEnvironment]:
    """The idle environments of other versions, if the box has no room for one more of this version."""
    has_memory = box.memory_budget_mb - box.memory_reserved_mb >= for_.version.limits.memory_mb
    if has_memory and box.live < box.max_live:
        return []
    return [one for shelf in shelves if shelf is not for_ for one in idle_on(shelf)]


def idle_on(shelf: Shelf) -> list[IdleEnvironment]:
    """The idle environments of one version that may be stopped, as the policy sees them."""
    start_s = shelf.mean_start_s or FIRST_GUESS_START_S
    memory_mb = shelf.version.limits.memory_mb
    return [
        IdleEnvironment(
            id=one.id,
            idle_since=one.idle_since,
            memory_mb=memory_mb,
            keep_s=shelf.keep_s,
            priority=keepalive.priority(shelf.clocks.get(one.id, 0.0), shelf.uses, start_s, memory_mb),
        )
        for one in shelf.spare
    ]


def picture(roster: Roster, settings: PoolSettings, starting: int, waiting: int) -> str:
    """How a pool stands, for people."""
    return (
        f"{roster.count(State.BUSY)} of {len(roster)} environments are busy, {roster.count(State.IDLE)} idle, "
        f"{starting} being started; {waiting} calls wait; "
        f"{roster.reserved_mb} of {settings.memory_budget_mb} MB are taken"
    )
