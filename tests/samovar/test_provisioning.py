"""When how many environments are to be ready."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from samovar.errors import InvalidParameterValue
from samovar.provisioning import MAX_PROVISIONS, Provision, check_provisions, most, next_change, wanted

BERLIN = "Europe/Berlin"
OFFICE_HOURS = Provision(count=3, start="0 8 * * mon-fri", end="0 18 * * mon-fri", timezone=BERLIN)
ALWAYS = Provision(count=1)


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("2026-11-23 07:59:59", 1),  # a Monday
        ("2026-11-23 08:00:00", 3),
        ("2026-11-23 17:59:59.9", 3),
        ("2026-11-23 18:00:00", 1),
        ("2026-11-28 12:00:00", 1),  # a Saturday
        ("2026-07-06 08:00:00", 3),  # a Monday in summer: the zone's eight o'clock, not UTC's
        ("2026-07-06 07:59:00", 1),
    ],
)
def test_a_window_is_open_from_its_start_to_its_end(moment: str, count: int) -> None:
    assert wanted([ALWAYS, OFFICE_HOURS], at(moment)) == count


def test_a_window_may_span_midnight() -> None:
    night = Provision(count=2, start="0 22 * * *", end="0 6 * * *")
    assert [night.is_open(at(f"2026-11-23 {hour}:00", "UTC")) for hour in ("21", "22", "23", "05", "06")] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_of_several_that_are_open_the_greatest_counts() -> None:
    noon = Provision(count=5, start="30 11 * * *", end="0 14 * * *", timezone=BERLIN)
    assert wanted([OFFICE_HOURS, noon], at("2026-11-23 12:00")) == 5
    assert most([OFFICE_HOURS, noon]) == 5
    assert wanted([], 0.0) == most([]) == 0


def test_a_window_keeps_to_the_wall_clock_when_clocks_change() -> None:
    early = Provision(count=2, start="30 2 * * *", end="0 5 * * *", timezone=BERLIN)
    # In spring there is no half past two on that day: it opens when the clocks have gone forward.
    assert not early.is_open(at("2026-03-29 01:59"))
    assert early.is_open(at("2026-03-29 03:30"))
    assert not early.is_open(at("2026-03-29 05:00"))


def test_the_next_change_is_the_next_opening_or_closing() -> None:
    assert next_change([ALWAYS, OFFICE_HOURS], at("2026-11-23 12:00")) == at("2026-11-23 18:00")
    assert next_change([OFFICE_HOURS], at("2026-11-23 18:00")) == at("2026-11-24 08:00")
    assert next_change([OFFICE_HOURS], at("2026-11-27 18:00")) == at("2026-11-30 08:00")
    assert next_change([ALWAYS], 0.0) is None


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"count": 0}, "count = 0"),
        ({"count": 1001}, "1 to 1000"),
        ({"count": 1, "start": "0 8 * * *"}, "both `start` and `end`"),
        ({"count": 1, "start": "8:00", "end": "0 18 * * *"}, "start = '8:00' is no cron expression"),
        ({"count": 1, "start": "0 8 * * *", "end": "0 25 * * *"}, "Bad hour"),
        ({"count": 1, "start": "0 0 8 * * *", "end": "0 18 * * *"}, "Wrong number of fields"),
        ({"count": 1, "start": "0 8 * * *", "end": "0  8 * * *"}, "the same moments"),
        ({"count": 1, "timezone": "Middle-earth/Shire"}, "Middle-earth/Shire"),
        ({"count": 1, "timezone": "../../etc/passwd"}, "timezone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(members: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterValue) as refusal:
        Provision(**members)
    assert said in refusal.value.message


def test_there_is_a_bound_to_their_number() -> None:
    with pytest.raises(InvalidParameterValue):
        check_provisions((ALWAYS,) * (MAX_PROVISIONS + 1))


def test_one_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(OFFICE_HOURS), type=Provision) == OFFICE_HOURS


def test_one_reads_as_a_sentence() -> None:
    assert str(ALWAYS) == "1 always"
    assert str(OFFICE_HOURS) == "3 from 0 8 * * mon-fri to 0 18 * * mon-fri (Europe/Berlin)"
