"""When schedules are due: AWS's dialect of cron, rates, single moments, and clocks that are put forward and back."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from gateway.schedules.expressions import ticks, timetable
from samovar.errors import ValidationFailed

BERLIN = "Europe/Berlin"


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def due(expression: str, since: str, count: int = 3, zone: str = "UTC") -> list[str]:
    """Moments after `since`, which is not one of them, as a clock on the wall there shows them."""
    after = timetable(expression, zone, moment(since, zone))
    found = islice(ticks(after, moment(since, zone)), count)
    return [datetime.fromtimestamp(one, ZoneInfo(zone)).isoformat()[:16] for one in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # The examples of AWS's user guide, from Monday 2026-11-23 15:40 on.
        ("cron(0 10 * * ? *)", ["2026-11-24T10:00", "2026-11-25T10:00"]),
        ("cron(15 12 * * ? *)", ["2026-11-24T12:15", "2026-11-25T12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-11-23T18:00", "2026-11-24T18:00"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01T08:00", "2027-01-01T08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-11-23T15:45", "2026-11-23T16:00"]),
        ("cron(0/10 * ? * MON-FRI *)", ["2026-11-23T15:50", "2026-11-23T16:00"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["2026-11-23T15:45", "2026-11-23T15:50"]),
        # The last day, days before it, the last weekday, the weekday nearest to a day.
        ("cron(0 0 L * ? *)", ["2026-11-30T00:00", "2026-12-31T00:00"]),
        ("cron(0 0 L-3 * ? *)", ["2026-11-27T00:00", "2026-12-28T00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-29T00:00"]),
        ("cron(0 0 15W * ? *)", ["2026-12-15T00:00", "2027-01-15T00:00"]),
        ("cron(0 0 1W 5 ? *)", ["2027-05-03T00:00", "2028-05-01T00:00"]),
        ("cron(0 0 31W * ? *)", ["2026-12-31T00:00", "2027-01-29T00:00", "2027-03-31T00:00"]),
        # Days of the week: 1 is Sunday, the last one of a month, the n-th one, and the week's last day.
        ("cron(0 0 ? * 1 *)", ["2026-11-29T00:00", "2026-12-06T00:00"]),
        ("cron(0 0 ? * 6L *)", ["2026-11-27T00:00", "2026-12-25T00:00"]),
        ("cron(0 0 ? * FRI#5 *)", ["2027-01-29T00:00", "2027-04-30T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-11-28T00:00", "2026-12-05T00:00"]),
        # Years, and what is rare.
        ("cron(0 0 1 1 ? 2028,2030)", ["2028-01-01T00:00", "2030-01-01T00:00"]),
        ("cron(0 0 1 1 ? 2020)", []),
        ("cron(0 0 1 1 ? 2026-2031/2)", ["2028-01-01T00:00", "2030-01-01T00:00"]),
        ("cron(0 0 1 1 ? 2027/50,2030)", ["2027-01-01T00:00", "2030-01-01T00:00", "2077-01-01T00:00"]),
        ("cron(0 0 1 1 ? */3)", ["2027-01-01T00:00", "2030-01-01T00:00"]),
        # Ranges that go over the end, and names as they come.
        ("cron(0 0 ? * fri-Mon *)", ["2026-11-27T00:00", "2026-11-28T00:00", "2026-11-29T00:00"]),
        ("cron(0 0 1 nov-feb ? *)", ["2026-12-01T00:00", "2027-01-01T00:00", "2027-02-01T00:00"]),
        ("cron(0 22-1 * * ? *)", ["2026-11-23T22:00", "2026-11-23T23:00", "2026-11-24T00:00"]),
        ("cron(0 12 29 2 ? *)", ["2028-02-29T12:00", "2032-02-29T12:00"]),
        ("cron(0 0 ? 2 1#5 *)", ["2032-02-29T00:00", "2060-02-29T00:00"]),
        ("cron(0 0 30 2 ? *)", []),
        ("cron( 0   10 * *  ?   * )", ["2026-11-24T10:00"]),
        ("rate(1 minute)", ["2026-11-23T15:41", "2026-11-23T15:42"]),
        ("rate(2 minute)", ["2026-11-23T15:42", "2026-11-23T15:44"]),
        ("rate(1 hours)", ["2026-11-23T16:40", "2026-11-23T17:40"]),
        ("rate(36 hours)", ["2026-11-25T03:40", "2026-11-26T15:40"]),
        ("rate(7 days)", ["2026-11-30T15:40"]),
        ("at(2026-11-23T15:41:00)", ["2026-11-23T15:41"]),
        ("at(2026-11-23T15:40:00)", []),
    ],
)
def test_expressions_mean_what_aws_says(expression: str, expected: list[str]) -> None:
    assert due(expression, "2026-11-23T15:40:00")[: len(expected) or None] == expected


@pytest.mark.parametrize(
    "expression",
    [
        "", "x", "rate(5)", "rate(0 minutes)", "rate(-1 minutes)",
        "rate(1.5 hours)", "rate(5 weeks)", "rate(5 minutes) ", "cron()", "cron(* * * * *)", "cron(* * * * * *)",
        "cron(0 0 ? * ? *)", "cron(60 * * * ? *)", "cron(0 24 * * ? *)", "cron(0 0 32 * ? *)", "cron(0 0 1 13 ? *)",
        "cron(0 0 ? * 8 *)", "cron(0 0 ? * MON#6 *)", "cron(0/0 * * * ? *)", "cron(0 0 1 1 ? 1969)",
        "cron(0 0 1 1 ? */0)", "cron(0 0 1 1 ? *-2030/2)", "cron(0 0 1 1 ? 2030-2026/2)",
        "cron(0 0 1 1 ? 2200/1)",
        "cron(0 0 W * ? *)", "cron(0 0 1 * ? *)\n", "cron(" + "0," * 200 + ")", "at(2026-02-30T00:00:00)",
        "at(2026-01-01)", "at(2026-01-01T00:00)",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_by_name(expression: str) -> None:
    with pytest.raises(ValidationFailed, match="Invalid Schedule Expression"):
        timetable(expression, "UTC", 0)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\x00"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValidationFailed, match="time zone"):
        timetable("rate(5 minutes)", zone, 0)


def test_a_moment_that_daylight_saving_time_skips_is_skipped() -> None:
    assert due("cron(30 2 * * ? *)", "2027-03-27T12:00:00", 2, BERLIN) == ["2027-03-29T02:30", "2027-03-30T02:30"]
    assert due("cron(0 3 * * ? *)", "2027-03-27T12:00:00", 1, BERLIN) == ["2027-03-28T03:00"]


def test_a_moment_that_comes_twice_is_due_the_first_time_only() -> None:
    after = timetable("cron(30 2 * * ? *)", BERLIN, 0)
    first = after(moment("2027-10-30T12:00:00", BERLIN))
    assert first == datetime(2027, 10, 31, 0, 30, tzinfo=UTC).timestamp()
    assert after(first) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC).timestamp()
    assert after(first + 3600) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC).timestamp(), "in the second of the two hours"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_after_the_last_year_there_is_no_moment(zone: str) -> None:
    for since in ("2199-12-31T23:59:00", "2200-01-01T00:00:00", "9999-12-31T00:00:00"):
        assert timetable("cron(0 0 1 1 ? *)", zone, 0)(moment(since)) is None
    assert due("cron(0 0 1 1 ? *)", "2198-06-01T00:00:00", 2) == ["2199-01-01T00:00"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize(
    "expression", ["rate(999999999 days)", "at(9999-12-31T23:59:59)", "cron(* * * * ? *)", "rate(1 minute)"]
)
def test_what_no_calendar_has_is_no_moment(expression: str, zone: str) -> None:
    made = moment("9999-12-31T23:00:00")
    assert timetable(expression, zone, 0)(made) is None
    assert timetable("rate(999999999 days)", zone, 0)(1) is None
    assert due("rate(365 days)", "9998-06-01T00:00:00", 4) == ["9999-06-01T00:00"]


def test_a_rate_is_not_changed_by_daylight_saving_time() -> None:
    after = timetable("rate(1 day)", BERLIN, moment("2027-03-27T12:00:00", BERLIN))
    assert due("rate(1 day)", "2027-03-27T12:00:00", 2, BERLIN) == ["2027-03-28T13:00", "2027-03-29T13:00"]
    assert after(0) == moment("2027-03-27T12:00:00", BERLIN)


@given(
    minute=st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True),
    hour=st.one_of(st.just("*"), st.integers(0, 23).map(str), st.just("8-17"), st.just("*/7")),
    day=st.one_of(st.just("*"), st.integers(1, 31).map(str), st.just("L")),
    month=st.one_of(st.just("*"), st.integers(1, 12).map(str), st.just("JAN-MAR")),
    since=st.integers(1_700_000_000, 2_000_000_000),
)
def test_what_both_dialects_say_means_the_same_in_both(
    minute: list[int], hour: str, day: str, month: str, since: int
) -> None:
    minutes = ",".join(map(str, minute))
    if (month, day) in (("2", "30"), ("2", "31"), ("4", "31"), ("6", "31"), ("9", "31"), ("11", "31")):
        return
    after = timetable(f"cron({minutes} {hour} {day} {month} ? *)", "UTC", 0)
    other = CronSim(f"{minutes} {hour} {day} {month} *", datetime.fromtimestamp(since, UTC))
    assert list(islice(ticks(after, since), 5)) == [one.timestamp() for one in islice(other, 5)]


@given(st.text(max_size=60), st.sampled_from(["rate({})", "cron({})", "at({})", "{}"]))
def test_nonsense_is_refused_and_nothing_else_happens(text: str, form: str) -> None:
    with contextlib.suppress(ValidationFailed):
        timetable(form.format(text), "UTC", 0)(0)
