"""Environments a function keeps ready whether it is called or not: how many, and when.

Lambda calls this provisioned concurrency; its windows are Application Auto Scaling's scheduled actions there. Here
both are one list of provisions: at any moment the greatest count of those in force holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from samovar.errors import InvalidParameterValue

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_PROVISIONED: Final = 1000
MAX_PROVISIONS: Final = 20


class Provision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """So many environments, always or in windows. Raises `InvalidParameterValue` when it makes no sense."""

    count: int
    start: str | None = None
    """Cron expression of the moments at which windows open, e.g. `0 8 * * mon-fri`; `None`: always open."""
    end: str | None = None
    """Cron expression of the moments at which they close; given with `start` or not at all."""
    timezone: str = "UTC"
    """IANA name of the zone both are read in."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_PROVISIONED:
            raise InvalidParameterValue(f"provisioned count = {self.count} is not allowed: 1 to {MAX_PROVISIONED}")
        if (self.start is None) != (self.end is None):
            raise InvalidParameterValue(
                "provisioned environments have both `start` and `end` (cron expressions) or neither"
            )
        if self.start is not None and self.end is not None:
            _check_cron("start", self.start)
            _check_cron("end", self.end)
            if self.start.split() == self.end.split():
                raise InvalidParameterValue(f"provisioned start and end are the same moments: {self.start!r}")
        _zone(self.timezone)

    def is_open(self, now: float) -> bool:
        """Whether it is in force at `now` (epoch seconds): it has opened since it last closed."""
        if self.start is None or self.end is None:
            return True
        opened, closed = _last(self.start, self.timezone, now), _last(self.end, self.timezone, now)
        return opened is not None and (closed is None or opened > closed)

    def next_change(self, now: float) -> float | None:
        """Epoch seconds of the next moment after `now` at which it may open or close; `None`: never."""
        if self.start is None or self.end is None:
            return None
        moments = (_next(expression, self.timezone, now) for expression in (self.start, self.end))
        return min((moment for moment in moments if moment is not None), default=None)

    def __str__(self) -> str:
        when = "always" if self.start is None else f"from {self.start} to {self.end} ({self.timezone})"
        return f"{self.count} {when}"


def check_provisions(provisions: tuple[Provision, ...]) -> None:
    """Raise `InvalidParameterValue` when there are too many."""
    if len(provisions) > MAX_PROVISIONS:
        raise InvalidParameterValue(
            f"{len(provisions)} provisions are not allowed: a function has at most {MAX_PROVISIONS}"
        )


def wanted(provisions: Iterable[Provision], now: float) -> int:
    """How many environments are to be ready at `now` (epoch seconds)."""
    return max((one.count for one in provisions if one.is_open(now)), default=0)


def most(provisions: Iterable[Provision]) -> int:
    """How many that may ever be."""
    return max((one.count for one in provisions), default=0)


def next_change(provisions: Iterable[Provision], now: float) -> float | None:
    """Epoch seconds of the next moment after `now` at which `wanted` may change; `None`: never."""
    moments = (one.next_change(now) for one in provisions)
    return min((moment for moment in moments if moment is not None), default=None)


# CronSim and zoneinfo are imported where they are used: every process has this module, and few functions have windows.


def _check_cron(name: str, expression: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        if len(expression.split()) != 5:
            raise CronSimError("Wrong number of fields")
        CronSim(expression, datetime(2000, 1, 1))
    except CronSimError as error:
        raise InvalidParameterValue(
            f"provisioned {name} = {expression!r} is no cron expression ({error}): it takes minute, hour, day of the "
            'month, month and day of the week, e.g. "0 8 * * mon-fri"'
        ) from error


@cache
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidParameterValue(
            f'provisioned timezone = {name!r} is not known on this host; it takes a name such as "Europe/Berlin"'
        ) from error


def _last(expression: str, zone: str, now: float) -> float | None:
    """The last moment of a cron expression up to and including `now`."""
    from cronsim import CronSim

    after = datetime.fromtimestamp(int(now) + 1, _zone(zone))
    found = next(CronSim(expression, after, reverse=True), None)
    return None if found is None else found.timestamp()


def _next(expression: str, zone: str, now: float) -> float | None:
    """The first moment of a cron expression after `now`."""
    from cronsim import CronSim

    found = next(CronSim(expression, datetime.fromtimestamp(int(now), _zone(zone))), None)
    return None if found is None else found.timestamp()
