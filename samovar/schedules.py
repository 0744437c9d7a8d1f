"""Schedules as `function.toml`, the command line and `/samovar/v1/schedules` speak of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

CatchUp = Literal["skip", "last", "all"]
"""What becomes of moments that passed while the platform was down: none of them, the last one, or all."""

ScheduleName = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z_.-]{1,64}$")]


class ScheduleWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a schedule is to be."""

    expression: Annotated[str, Meta(min_length=1, max_length=256)]
    """`rate(5 minutes)`, `cron(0 6 ? * MON-FRI *)` or `at(2027-01-01T00:00:00)`."""
    timezone: str = "UTC"
    """IANA name of the zone that the expression is read in."""
    input: Any = None
    """The event, any JSON; without, one that says which schedule it was and when."""
    window: Annotated[int, Meta(ge=0, le=1440)] = 0
    """Minutes by which it may be late on purpose."""
    enabled: bool = True
    catch_up: CatchUp = "last"
    dead_letter: str | None = None
    """ARN of the queue for events that could not be handed to the function."""
    description: Annotated[str, Meta(max_length=512)] = ""


class NamedWish(ScheduleWish, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A schedule of a `function.toml`."""

    name: ScheduleName | None = None
    """Without one, it is called as its function, with a number from the second one on."""


class PutSchedule(ScheduleWish, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A schedule to be made, or to be put in the place of the one of its name."""

    target: Annotated[str, Meta(min_length=1, max_length=1600)]
    """A function by name, `NAME:QUALIFIER` or ARN; or the ARN of a queue."""
    of_function: str = ""
    """The function whose `function.toml` it is in."""


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, and when it is due."""

    name: str
    group: str
    arn: str
    expression: str
    timezone: str
    target: str
    """The ARN of what it starts."""
    enabled: bool
    input: Any = None
    window: int = 0
    catch_up: CatchUp = "last"
    dead_letter: str | None = None
    description: str = ""
    of_function: str = ""
    next: tuple[str, ...] = ()
    """The moments that come next, ISO 8601 in UTC; none when it is off or over."""


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    """What was started by hand."""

    request_id: str


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a schedule is on."""

    enabled: bool
