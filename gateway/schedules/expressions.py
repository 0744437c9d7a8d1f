"""When a schedule is due: `rate(…)`, `cron(…)` and `at(…)` in a time zone, with daylight saving time. Pure.

Amazon EventBridge Scheduler user guide, "Schedule types": cron has six fields, the last one years, and knows `L`, `W`,
`#` and `?`; a moment that daylight saving time skips is skipped, and one that comes twice is due once, the first time.
The fields are read and counted by aws-croniter; what it does not hold is translated into what it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from samovar.errors import ValidationFailed

if TYPE_CHECKING:
    from aws_croniter import AwsCroniter  # type: ignore[import-untyped]  # it has no types

MAX_EXPRESSION: Final = 256
_RATE: Final = re.compile(r"rate\((\d{1,9})\s+(minute|minutes|hour|hours|day|days)\)")
_CRON: Final = re.compile(r"cron\(\s*([^()]+?)\s*\)")
_AT: Final = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_STEPS: Final = re.compile(r"(\*|\d{4})(?:(?<=\d)-(\d{4}))?/([1-9]\d{0,2})")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_END: Final = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
"""From then on a moment can no longer be written as a date in every zone, and is none."""
_UNITS_S: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_YEARS_AHEAD: Final = 60
"""How far a cron expression's next moment is looked for; Februaries of five Sundays are up to 40 years apart."""
_MAX_GAPS: Final = 1000
"""Moments in a row that daylight saving time may skip before there are none: all, if each day's only one is in the gap
of a zone that skips it for good."""


class InvalidExpression(ValidationFailed):
    """An expression is none. The message has AWS's words and, behind them, what is wrong."""

    def __init__(self, expression: str, why: str = "") -> None:
        self.plain = f"Invalid Schedule Expression {expression}."
        """What AWS says, which is all that AWS says."""
        super().__init__(self.plain + (f" {why[0].upper()}{why[1:]}." if why else ""))


After = Callable[[float], float | None]
"""The first moment after another one, both epoch seconds; `None`: there is none."""


def timetable(expression: str, timezone: str, anchor: float) -> After:
    """Read an expression. A rate counts from `anchor` (epoch seconds), which is due itself.

    Raises `InvalidExpression` for what is none, `ValidationFailed` for a time zone that does not exist.
    """
    after = _read(expression, _zone(timezone), anchor)

    def within(moment: float) -> float | None:
        found = after(moment) if moment < _END else None
        return None if found is None or found >= _END else found

    return within


def _read(expression: str, zone: ZoneInfo, anchor: float) -> After:
    if len(expression) > MAX_EXPRESSION:
        raise InvalidExpression(expression)
    if rate := _RATE.fullmatch(expression):
        return _rate(expression, int(rate[1]), rate[2], anchor)
    if at := _AT.fullmatch(expression):
        return _once(expression, at[1], zone)
    if cron := _CRON.fullmatch(expression):
        return _cron(expression, cron[1], zone)
    raise InvalidExpression(expression, "it is neither rate(VALUE UNIT), cron(FIELDS) nor at(YYYY-MM-DDTHH:MM:SS)")


def ticks(after: After, since: float) -> Iterator[float]:
    """Every moment after one, in order."""
    due = after(since)
    while due is not None:
        yield due
        due = after(due)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # of the last, a folder of zones
        raise ValidationFailed(
            f"The time zone {name!r} does not exist. Use a name of the IANA database, such as Europe/Berlin."
        ) from error


def _rate(expression: str, value: int, unit: str, anchor: float) -> After:
    if value < 1:  # EventBridge's rules want `1 minute` and `2 minutes`; Scheduler takes either
        raise InvalidExpression(
            expression, "a rate is a whole number from 1 and minute or minutes, hour or hours, day or days"
        )
    period = value * _UNITS_S[unit.removesuffix("s")]

    def after(moment: float) -> float:
        return anchor if moment < anchor else anchor + ((moment - anchor) // period + 1) * period

    return after


def _once(expression: str, text: str, zone: ZoneInfo) -> After:
    try:
        due = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidExpression(expression, str(error)) from error
    return lambda moment: due if moment < due else None


def _cron(expression: str, fields: str, zone: ZoneInfo) -> After:
    walls = _walls(expression, fields)

    def after(moment: float) -> float | None:
        local = datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)
        for wall in islice(walls(local), _MAX_GAPS):
            due = wall.replace(tzinfo=zone)
            instant = due.timestamp()
            # What comes back as another time of day was skipped; what lies behind is the second of two equal hours.
            if instant > moment and datetime.fromtimestamp(instant, zone).replace(tzinfo=None, fold=0) == wall:
                return instant
        return None

    return after


def _walls(expression: str, fields: str) -> Callable[[datetime], Iterator[datetime]]:
    """Gives the times of day, without a zone, that match after one."""
    parts = fields.upper().split()
    last_weekday = len(parts) == 6 and parts[2] == "LW"
    if last_weekday:
        parts[2] = "L"
    if len(parts) == 6:
        parts[4] = "SAT" if parts[4] == "L" else parts[4]  # the last day of a week
        parts[5] = ",".join(map(_years, parts[5].split(",")))
    table = _table(expression, " ".join(parts))

    def walls(after: datetime) -> Iterator[datetime]:
        at = after
        while (found := _next(table, at)) is not None:
            at = found
            wall = found - timedelta(days=max(0, found.weekday() - 4)) if last_weekday else found
            if wall > after:
                yield wall

    return walls


def _years(text: str) -> str:
    """Years in steps, one by one; anything else as it is."""
    found = _STEPS.fullmatch(text)
    if found is None:
        return text
    first = _FIRST_YEAR if found[1] == "*" else int(found[1])
    last = _LAST_YEAR if found[2] is None else int(found[2])
    return ",".join(map(str, range(first, min(last, _LAST_YEAR) + 1, int(found[3])))) or text


@cache
def _table(expression: str, fields: str) -> AwsCroniter:
    from aws_croniter import AwsCroniter
    from aws_croniter.exceptions import AwsCroniterExpressionError  # type: ignore[import-untyped]  # as above

    try:
        return AwsCroniter(fields)
    except (AwsCroniterExpressionError, ValueError) as error:
        raise InvalidExpression(expression, str(error).rstrip(".")) from error


def _next(table: AwsCroniter, after: datetime) -> datetime | None:
    """The next match. The library gives up after ten steps from month to month, so years are tried one by one then."""
    at = after.replace(tzinfo=UTC)
    for year in range(after.year, min(after.year + _YEARS_AHEAD, _LAST_YEAR + 1)):
        (found,) = table.get_next(at)
        if found is not None:
            match: datetime = found.replace(tzinfo=None)
            return match
        at = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    return None
