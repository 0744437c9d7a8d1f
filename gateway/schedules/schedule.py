"""What a schedule is, and what becomes of its moments: which are due, which were missed, and which comes next. Pure.

Names and limits are those of Amazon EventBridge Scheduler (API reference, "CreateSchedule"). `catch_up` is our own: AWS
has no platform that was switched off.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.schedules.expressions import After, ticks, timetable

CatchUp = Literal["skip", "last", "all"]
"""What becomes of moments that passed while nobody was there: none of them, the last one, or all."""

MAX_CAUGHT_UP: Final = 100
"""Missed moments that `all` still runs; of more, the latest."""
MAX_RETRIES: Final = 185
MAX_AGE_S: Final = 86_400
LATE_S: Final = 60.0
"""A moment that is later than this was missed."""
_COUNTED: Final = 100_000
"""Missed moments looked at; a schedule by the minute has as many in ten weeks."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule starts."""

    arn: str
    """Of a function, a version or an alias of it, or of a queue."""
    role_arn: str = ""
    input: str | None = None
    """What it is sent; without, an event that says which schedule it was and when."""
    retries: int = MAX_RETRIES
    max_age_s: int = MAX_AGE_S
    """Moments that were missed by more are not caught up."""
    dead_letter: str | None = None
    """ARN of the queue for what could not be delivered."""
    group: str | None = None
    """The message group of a FIFO queue."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule. Moments are epoch seconds."""

    account: str
    region: str
    group: str = "default"
    name: str
    expression: str
    timezone: str = "UTC"
    window_min: int = 0
    """Minutes by which it may be late on purpose; 0 is exactly on time."""
    start: float | None = None
    end: float | None = None
    enabled: bool = True
    target: Target
    after_completion: Literal["NONE", "DELETE"] = "NONE"
    description: str = ""
    kms_key: str | None = None
    catch_up: CatchUp = "last"
    function: str = ""
    """The function whose `function.toml` says it; empty for one that was made otherwise."""
    created: float
    modified: float
    token: str | msgspec.UnsetType = msgspec.UNSET
    """Of the request that says it. Left out where there is none, as records are found again by how they are written."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        return schedule_arn(self.account, self.region, self.group, self.name)

    def after(self) -> After:
        """Its moments within its dates. Raises `ValidationFailed` for an expression that is none."""
        begin = self.created if self.start is None else self.start
        moments = timetable(self.expression, self.timezone, begin)

        def within(moment: float) -> float | None:
            found = moments(moment if self.start is None else max(moment, self.start - 1))
            return None if found is None or (self.end is not None and found > self.end) else found

        return within

    def fires(self, due: float) -> float:
        """When the target is started for a moment: some time in the flexible window, the same whoever asks."""
        if not self.window_min:
            return due
        drawn = int.from_bytes(sha256(f"{self.arn}@{due}".encode()).digest()[:4])
        return due + drawn % (self.window_min * 60)


class Tick(NamedTuple):
    """One moment of a schedule that is to run."""

    due: float

    def name(self, schedule: Schedule) -> str:
        """Names it for ever: what has run under that name is not run again."""
        return f"schedule:{schedule.arn}@{schedule.created:.3f}/{self.due:.0f}"


class Plan(NamedTuple):
    """What is to be done about a schedule now."""

    ticks: tuple[Tick, ...]
    following: float | None
    """The moment that comes next; `None` when there is none."""
    skipped: int = 0
    """Moments that were missed and are not caught up."""


def schedule_arn(account: str, region: str, group: str, name: str) -> str:
    """As AWS writes it."""
    return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}"


def first(schedule: Schedule, now: float) -> float | None:
    """The moment that comes next after now. Raises `ValidationFailed`."""
    return schedule.after()(now) if schedule.enabled else None


def plan(schedule: Schedule, due: float, now: float) -> Plan:
    """What to run when a moment's time has come: it, and what else has come by since, as far as the schedule wants it.

    A clock that was set back makes nothing due twice, because moments are counted from the last one and not from now.
    """
    after = schedule.after()
    came, following = [due], after(due)
    for moment in islice(ticks(after, due), _COUNTED):
        following = moment
        if schedule.fires(moment) > now:
            break
        came.append(moment)
    else:
        following = after(came[-1])
    *missed, newest = came
    if now - schedule.fires(newest) > LATE_S:
        missed.append(newest)
    on_time = [] if missed and missed[-1] == newest else [newest]
    caught_up = _caught_up(schedule, missed, now, bool(on_time))
    run = tuple(Tick(moment) for moment in [*caught_up, *on_time])
    return Plan(run, following, len(came) - len(run))


def _caught_up(schedule: Schedule, missed: list[float], now: float, is_on_time: bool) -> list[float]:
    young = [moment for moment in missed if now - moment <= schedule.target.max_age_s]
    if schedule.catch_up == "all":
        return young[-MAX_CAUGHT_UP:]
    if schedule.catch_up == "last" and not is_on_time:
        return young[-1:]
    return []
