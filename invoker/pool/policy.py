"""What the pool decides, as pure functions of what it sees. No clock, no I/O, no state.

The pool takes a snapshot, asks, and carries the answers out (`pool.py`). Times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from samovar.invocation import ColdReason

FIRST_GUESS_START_S = 0.05
FIRST_GUESS_FORK_S = 0.01
"""How long a start is taken to last before one has been seen."""
SHORT_CALL_S = 0.02
"""Calls that take less on average are taken to need a core more than anything else."""
PATIENCE_S = 0.25
"""What such calls may wait before more environments than the cores can serve are tried."""


BRIEF_CALL_S = 0.005
"""Calls that take less on average may lie ready behind each other."""
MOST_LYING_READY = 7
"""Behind each call that runs."""
STUCK_AFTER_S = 0.003
"""How long that one may run, at least, until those behind it are taken back."""


class Queue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call has to join that finds no environment idle. Made for each of them: it holds what is at hand."""

    waiting: int
    """Calls in it."""
    usable: int
    """Environments that are idle or busy: they will take calls again."""
    mean_duration_s: float | None
    """Mean duration of the version's recent invocations; `None` before the first has ended."""
    function_live: int
    """Environments of all versions of the function that are not dead."""
    function_limit: int
    queue_limit: int
    queue_timeout_s: float
    promised_elsewhere: int = 0
    """Environments that other versions of the function keep ready, whoever calls them."""
    concurrency: int = 1
    """Calls that each of its environments runs at once."""


class Demand(Queue, frozen=True, kw_only=True, gc=False):
    """One version of a function and what it has and wants."""

    oldest_wait_s: float
    """How long the first of the calls has been waiting."""
    starting: int
    """Environments that are being started, or reset after a lost worker."""
    held: int
    """Those in the middle of a call that is not short; counted when calls wait.

    While no core has time left, a call may take long because it is not its turn, and counts later (`PATIENCE_S`).
    """
    reserve: int = 0
    """Those that are idle although calls wait; see `crowd.py`."""
    memory_mb: int
    mean_start_s: float | None


class IdleEnvironment(msgspec.Struct, frozen=True, gc=False):
    """An environment that could make room, or whose time is up."""

    id: str
    idle_since: float
    memory_mb: int
    keep_s: float
    """How long it is kept idle; see `keepalive.window`."""
    priority: float = 0.0
    """What it is worth; see `keepalive.priority`."""


class Host(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the box has left."""

    cores: int
    starting: int
    max_starts: int
    live: int
    max_live: int
    memory_reserved_mb: int
    memory_budget_mb: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start this many environments of the version."""

    count: int


@dataclass(frozen=True, slots=True)
class Evict:
    """Stop idle environments of other versions; there is room once they are dead."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing now; look again after `again_s` seconds, or when something changes if that is `None`."""

    again_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Throttle the call: `reason` is AWS's, `retry_after_s` an honest estimate, and `None` where waiting is no help."""

    reason: str
    retry_after_s: float | None
    message: str = "Rate Exceeded."


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The host cannot hold one more environment of the version; says why."""

    reason: str


ScaleDecision = Start | Evict | Wait | NoRoom


def scale(demand: Demand, host: Host, idle_elsewhere: Sequence[IdleEnvironment]) -> ScaleDecision:
    """How many environments to start for the calls that wait.

    A call that would be served by a running environment sooner than by a new one waits for it. That
    keeps a burst of short calls from starting a process each, and gives every long call one of its own.
    """
    missing = min(_wanted(demand), _useful(demand, host.cores)) - demand.starting - demand.reserve
    if missing <= 0:
        return Wait(_again_s(demand))
    count = min(
        missing,
        demand.function_limit - demand.function_live,
        host.max_starts - host.starting,
    )
    if count <= 0:
        return Wait()
    return _place(count, demand.memory_mb, host, idle_elsewhere)


def top_up(missing: int, memory_mb: int, host: Host, idle_elsewhere: Sequence[IdleEnvironment]) -> ScaleDecision:
    """How many environments to start of a version that has `missing` fewer than it is to have, called or not."""
    count = min(missing, host.max_starts - host.starting)
    if count <= 0:
        return Wait()
    return _place(count, memory_mb, host, idle_elsewhere)


def _place(count: int, memory_mb: int, host: Host, idle_elsewhere: Sequence[IdleEnvironment]) -> Start | Evict | NoRoom:
    """Start up to `count`, as there is room; make room for one if there is none."""
    free_mb = host.memory_budget_mb - host.memory_reserved_mb
    fitting = min(count, free_mb // memory_mb, host.max_live - host.live)
    if fitting > 0:
        return Start(fitting)
    victims = _victims(memory_mb - free_mb, host.live + 1 - host.max_live, idle_elsewhere)
    if victims:
        return Evict(victims)
    return NoRoom(
        f"{memory_mb} MB for one more do not fit: of {host.memory_budget_mb} MB (memory_budget_mb), "
        f"{host.memory_reserved_mb} are taken, and of {host.max_live} environments (max_environments), {host.live}"
    )


def _wanted(demand: Demand) -> int:
    """Environments to start in all, were there no limits."""
    if demand.waiting == 0:
        return 0
    enough = -(-demand.waiting // demand.concurrency)
    if demand.usable == 0:
        # Nothing can take the calls: one environment for the first, and more once a duration is known
        # or, as the first call of a burst says nothing about the others, one for each.
        return enough
    if demand.mean_duration_s is None:
        return enough
    start_s = demand.mean_start_s or FIRST_GUESS_START_S
    if demand.oldest_wait_s >= start_s or demand.held >= demand.usable:
        return enough
    return min(enough, int(enough * demand.mean_duration_s / start_s))


def _again_s(demand: Demand) -> float | None:
    """When the calls that have no start under way will have waited for so long that the answer may be another."""
    if demand.waiting <= demand.starting * demand.concurrency:
        return None
    moments = (demand.mean_start_s or FIRST_GUESS_START_S, SHORT_CALL_S, PATIENCE_S)
    return min((at_s - demand.oldest_wait_s for at_s in moments if at_s > demand.oldest_wait_s), default=None)


def _useful(demand: Demand, cores: int) -> int:
    """Environments to start in all, were there no limits but the cores.

    Calls that mostly compute are not served sooner by more environments than cores: they take longer there, which would
    look like demand for still more. Two a core fill the pauses of each other. One that is held by a long call does not
    count. More are tried one at a time, when calls have waited for long though those should have been enough.
    """
    if demand.mean_duration_s is None or demand.mean_duration_s >= SHORT_CALL_S:
        return demand.waiting
    if demand.oldest_wait_s >= PATIENCE_S:
        return max(1, demand.starting)
    return max(0, 2 * cores - demand.usable + demand.held)


def is_crowded(*, busy: int, cores: int, mean_duration_s: float | None, oldest_wait_s: float) -> bool:
    """Whether one more environment in use would only slow down those that are, where no core has time left.

    For the reason that `_useful` gives: with more processes than the cores can serve, each call pays for more switching
    between them. Environments that were started for a burst are a reserve then.
    """
    is_short = mean_duration_s is not None and mean_duration_s < SHORT_CALL_S
    return is_short and busy >= 2 * cores and oldest_wait_s < PATIENCE_S


def lying_ready(*, mean_duration_s: float | None, starting: int, is_saturated: bool) -> int:
    """How many calls may lie ready behind one that runs, instead of waiting for whichever environment is free first.

    So the environment goes on without being woken. It only does for calls that are over before a process is, and where
    no environment is being started: a call that waits gets that one. Calls that compute take longer while no core has
    time left; they are no less short for that.
    """
    if mean_duration_s is None or starting:
        return 0
    return MOST_LYING_READY if mean_duration_s < (SHORT_CALL_S if is_saturated else BRIEF_CALL_S) else 0


def stuck_after(mean_duration_s: float | None) -> float:
    """How long a call may run, in seconds, until those that lie ready behind it are taken back."""
    return min(max(STUCK_AFTER_S, 2 * (mean_duration_s or 0.0)), 2 * SHORT_CALL_S)


def _victims(missing_mb: int, missing_slots: int, idle: Sequence[IdleEnvironment]) -> tuple[str, ...]:
    """The environments of least worth that together make enough room; none if all of them do not."""
    chosen: list[IdleEnvironment] = []
    for environment in sorted(idle, key=lambda one: (one.priority, one.idle_since)):
        if missing_mb <= 0 and missing_slots <= 0:
            break
        chosen.append(environment)
        missing_mb -= environment.memory_mb
        missing_slots -= 1
    if missing_mb > 0 or missing_slots > 0:
        return ()
    # A large one that came last may make some of the small ones before it unnecessary: spare the worthiest.
    for environment in reversed(chosen[:-1]):
        if missing_mb + environment.memory_mb <= 0 and missing_slots < 0:
            chosen.remove(environment)
            missing_mb += environment.memory_mb
            missing_slots += 1
    return tuple(one.id for one in chosen)


def admit(queue: Queue) -> Reject | None:
    """Whether one more call may join a queue, which does not count it yet."""
    if queue.function_limit <= queue.promised_elsewhere:
        return Reject("ReservedFunctionConcurrentInvocationLimitExceeded", retry_after_s=None)
    if queue.waiting >= queue.queue_limit:
        return Reject("ConcurrentInvocationLimitExceeded", retry_after_s=_clearing_time(queue))
    if queue.function_live >= queue.function_limit and _clearing_time(queue) > queue.queue_timeout_s:
        return Reject("ReservedFunctionConcurrentInvocationLimitExceeded", retry_after_s=_clearing_time(queue))
    return None


def init_time_s(init_timeout_s: float, timeout_s: float) -> float:
    """Seconds an initialisation may take: where Lambda would begin it again within the first call, this one goes on.

    AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle": 10 s, then once more with
    the function's timeout.
    """
    return max(init_timeout_s, timeout_s)


def patience_s(queue_timeout_s: float, init_s: float, *, usable: int, starting: int) -> float:
    """Seconds a call may wait: for the first environment there is, as long as that may initialise itself, too."""
    return queue_timeout_s + init_s if starting and not usable else queue_timeout_s


def late(name: str, mean_duration_s: float | None, waited_s: float, picture: str) -> Reject:
    """A call has waited for too long; `picture` says how the pool looks."""
    return Reject(
        "ConcurrentInvocationLimitExceeded",
        retry_after_s=mean_duration_s or 1.0,
        message=f"Rate Exceeded. No environment of {name} was free within {waited_s:g} s: {picture}",
    )


def _clearing_time(queue: Queue) -> float:
    """Seconds until the queue as it stands will have been served; a guess of one second without history."""
    if queue.mean_duration_s is None:
        return 1.0
    return math.ceil(queue.waiting / max(queue.usable * queue.concurrency, 1)) * queue.mean_duration_s


def expired(idle: Iterable[IdleEnvironment], now: float) -> tuple[list[str], float | None]:
    """The environments whose keep-alive is over, and when to look again (`None`: no other is idle)."""
    due: list[str] = []
    next_due: float | None = None
    for environment in idle:
        ends = environment.idle_since + environment.keep_s
        if ends <= now:
            due.append(environment.id)
        elif next_due is None or ends < next_due:
            next_due = ends
    return due, next_due


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is remembered of a version when a call finds no environment idle."""

    live_now: int
    """Other environments of this version that exist."""
    last_end: ColdReason | None
    """Why the last environment of this version ended, if one has."""
    older_version_ran: bool
    """Whether the function had environments of an earlier code or configuration."""


def cold_reason(past: Past) -> ColdReason:
    """Why a call has to wait for a new environment."""
    if past.live_now:
        return ColdReason.SCALE_OUT
    if past.last_end is not None:
        return past.last_end
    return ColdReason.NEW_VERSION if past.older_version_ran else ColdReason.FIRST_CALL
