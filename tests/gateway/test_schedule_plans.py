"""What becomes of a schedule's moments: on time, missed, caught up, late on purpose, within dates; and what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.schedules import payloads
from gateway.schedules.schedule import MAX_CAUGHT_UP, CatchUp, Schedule, Target, Tick, plan

MADE = 1_800_000_000.0
MINUTE, HOUR = 60.0, 3600.0


def schedule(**changes: Any) -> Schedule:
    target = Target(arn="arn:aws:lambda:us-east-1:123456789012:function:report", **changes.pop("target", {}))
    usual: dict[str, Any] = {
        "account": "123456789012", "region": "us-east-1", "name": "often", "expression": "rate(1 minute)",
        "target": target, "created": MADE, "modified": MADE,
    }  # fmt: skip
    return Schedule(**usual | changes)


def run(made: Schedule, due: float, now: float) -> tuple[list[float], float | None]:
    planned = plan(made, MADE + due, MADE + now)
    following = None if planned.following is None else planned.following - MADE
    return [tick.due - MADE for tick in planned.ticks], following


def test_a_moment_on_time_runs_and_the_next_one_follows() -> None:
    assert run(schedule(), MINUTE, MINUTE + 0.01) == ([MINUTE], 2 * MINUTE)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("skip", [10 * MINUTE]), ("last", [10 * MINUTE]), ("all", [one * MINUTE for one in range(1, 11)])],
)
def test_what_was_missed_while_nobody_was_there(policy: CatchUp, expected: list[float]) -> None:
    """Ten minutes late, and one moment is due just now: it runs whatever the policy is."""
    assert run(schedule(catch_up=policy), MINUTE, 10 * MINUTE + 1) == (expected, 11 * MINUTE)


@pytest.mark.parametrize(("policy", "expected"), [("skip", []), ("last", [2 * HOUR]), ("all", [HOUR, 2 * HOUR])])
def test_what_was_missed_when_nothing_is_due_just_now(policy: CatchUp, expected: list[float]) -> None:
    made = schedule(expression="rate(1 hour)", catch_up=policy)
    assert run(made, HOUR, 2.5 * HOUR) == (expected, 3 * HOUR)


def test_all_has_a_bound_and_keeps_the_latest() -> None:
    due, following = run(schedule(catch_up="all"), MINUTE, 1000 * MINUTE)
    assert len(due) == MAX_CAUGHT_UP + 1
    assert (due[-1], following) == (1000 * MINUTE, 1001 * MINUTE)


def test_what_is_older_than_the_target_takes_is_not_caught_up() -> None:
    made = schedule(expression="rate(1 hour)", catch_up="all", target={"max_age_s": 7200})
    assert run(made, HOUR, 10.5 * HOUR) == ([9 * HOUR, 10 * HOUR], 11 * HOUR)


def test_a_clock_that_is_set_back_makes_nothing_due_twice() -> None:
    planned = plan(schedule(), MADE + MINUTE, MADE + MINUTE)
    assert planned.following == MADE + 2 * MINUTE
    # An hour back: the next moment stays where it was, so the store has nothing due until it has come again.
    assert plan(schedule(), planned.following, MADE + 2 * MINUTE).ticks == (Tick(MADE + 2 * MINUTE),)


def test_dates_bound_the_moments() -> None:
    made = schedule(start=MADE + HOUR, end=MADE + HOUR + 90)
    assert made.after()(MADE) == MADE + HOUR
    assert run(made, HOUR, HOUR) == ([HOUR], HOUR + MINUTE)
    assert run(made, HOUR + MINUTE, HOUR + MINUTE) == ([HOUR + MINUTE], None)


def test_a_single_moment_is_over_when_it_has_run() -> None:
    made = schedule(expression="at(2027-01-15T08:01:00)", timezone="UTC")
    assert run(made, MINUTE, MINUTE) == ([MINUTE], None)


def test_a_flexible_window_spreads_moments_the_same_way_whoever_asks() -> None:
    made = schedule(expression="rate(1 hour)", window_min=15)
    offsets = [made.fires(MADE + hour * HOUR) - (MADE + hour * HOUR) for hour in range(50)]
    assert all(0 <= offset < 15 * MINUTE for offset in offsets)
    assert len(set(offsets)) > 10
    assert offsets == [made.fires(MADE + hour * HOUR) - (MADE + hour * HOUR) for hour in range(50)]
    late = made.fires(MADE + HOUR)
    assert plan(made, MADE + HOUR, late).ticks == (Tick(MADE + HOUR),)


@given(
    policy=st.sampled_from(["skip", "last", "all"]),
    window=st.integers(0, 30),
    absences=st.lists(st.floats(0, 3 * HOUR), min_size=1, max_size=8),
)
def test_however_long_the_beat_is_away_each_moment_comes_once_and_in_order(
    policy: CatchUp, window: int, absences: list[float]
) -> None:
    made = schedule(expression="rate(10 minutes)", catch_up=policy, window_min=window)
    due: float | None = MADE + 10 * MINUTE
    now, seen = MADE, []
    for absence in absences:
        now += absence
        if due is not None and made.fires(due) <= now:
            planned = plan(made, due, now)
            seen += [tick.due for tick in planned.ticks]
            assert planned.following is not None
            assert planned.following > due
            due = planned.following
    assert seen == sorted(set(seen))
    assert all(one <= now for one in seen)


def test_without_an_input_the_event_says_which_schedule_it_was_and_when() -> None:
    made, tick = schedule(), Tick(MADE + MINUTE)
    assert json.loads(payloads.payload(made, tick)) == {
        "version": "0",
        "id": payloads.request_id(made, tick),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": "2027-01-15T08:01:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/often"],
        "detail": {},
    }


def test_an_input_is_sent_as_it_is_with_the_moment_put_in() -> None:
    given = '{"at":"<aws.scheduler.scheduled-time>","who":"<aws.scheduler.schedule-arn>","x":"<aws.scheduler.other>"}'
    made = schedule(target={"input": given})
    sent = json.loads(payloads.payload(made, Tick(MADE + MINUTE)))
    assert sent == {"at": "2027-01-15T08:01:00Z", "who": made.arn, "x": "<aws.scheduler.other>"}


def test_a_moment_has_the_same_names_whoever_asks_and_a_new_schedule_has_others() -> None:
    tick = Tick(MADE)
    assert payloads.request_id(schedule(), tick) == payloads.request_id(schedule(), tick)
    assert tick.name(schedule()) != tick.name(schedule(created=MADE + 1))
    assert tick.name(schedule()) != Tick(MADE + 60).name(schedule())
