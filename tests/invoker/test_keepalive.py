"""How long environments are kept and what they are worth; each test is one sentence about it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoker.pool.keepalive import (
    BUCKETS,
    FEWEST,
    GROWTH,
    LONGEST_S,
    MOST,
    IdleTimes,
    KeepAlive,
    bucket_end,
    bucket_of,
    clock_after,
    noted,
    priority,
    window,
)
from invoker.pool.shelf import Shelf
from tests.invoker.building import version

KEEP = KeepAlive(adaptive=True, ttl_s=600.0, min_s=60.0, max_s=4 * 3600.0)
MINUTE, HOUR = 60.0, 3600.0

pauses = st.floats(0.0, 10 * LONGEST_S, allow_nan=False)


def after(*idle_s: float) -> IdleTimes:
    times = IdleTimes()
    for one in idle_s:
        times = noted(times, one)
    return times


@pytest.mark.parametrize(
    ("idle_s", "kept_s"),
    [
        pytest.param([], 600.0, id="nothing known"),
        pytest.param([20 * MINUTE] * (FEWEST - 1), 600.0, id="too little known"),
        pytest.param([2 * MINUTE] * 10, 1.1 * GROWTH**22, id="every two minutes: just longer than that"),
        pytest.param([8 * MINUTE] * 10, 1.1 * GROWTH**28, id="every eight minutes: still worth it"),
        pytest.param([20 * MINUTE] * 10, 60.0, id="every twenty minutes: a cold start costs less than the waiting"),
        pytest.param([5.0] * 50, 60.0, id="every few seconds: the least"),
        pytest.param([20 * HOUR] * 10, 60.0, id="once a day: waiting is in vain"),
        pytest.param([5 * MINUTE, 20 * HOUR] * 10, 1.1 * GROWTH**26, id="half of it is worth waiting for"),
        pytest.param([MINUTE] * 90 + [9 * MINUTE] * 10, 1.1 * GROWTH**29, id="a tail that is worth it"),
        pytest.param([2 * MINUTE] * 99 + [3 * HOUR], 1.1 * GROWTH**22, id="one odd pause in a hundred"),
    ],
)
def test_the_window_follows_the_pauses(idle_s: list[float], kept_s: float) -> None:
    assert window(after(*idle_s), KEEP) == pytest.approx(kept_s)


def test_who_sets_a_longer_ttl_has_longer_pauses_outlasted() -> None:
    keep = KeepAlive(adaptive=True, ttl_s=HOUR, min_s=60.0, max_s=4 * HOUR)
    assert window(after(*[20 * MINUTE] * 10), keep) == pytest.approx(1.1 * GROWTH**32)


def test_a_plain_ttl_learns_nothing() -> None:
    keep = KeepAlive(adaptive=False, ttl_s=600.0, min_s=60.0, max_s=HOUR)
    assert window(after(*[20 * MINUTE] * 50), keep) == 600.0
    assert keep.sure_s == math.inf


def test_pauses_that_every_window_covers_teach_nothing() -> None:
    assert KEEP.sure_s == 60.0
    assert KeepAlive(adaptive=True, ttl_s=5.0, min_s=60.0, max_s=HOUR).sure_s == 5.0


@given(st.lists(pauses, max_size=300), st.floats(1.0, 7200.0), st.floats(1.0, 3600.0), st.floats(0.0, 80_000.0))
def test_a_window_is_the_ttl_or_within_its_bounds(idle_s: list[float], ttl_s: float, min_s: float, more: float) -> None:
    keep = KeepAlive(adaptive=True, ttl_s=ttl_s, min_s=min_s, max_s=min_s + more)
    kept_s = window(after(*idle_s), keep)
    assert kept_s == ttl_s or min_s <= kept_s <= keep.max_s


@given(st.lists(pauses, max_size=600))
def test_what_is_remembered_is_bounded_and_never_negative(idle_s: list[float]) -> None:
    times = after(*idle_s)
    assert len(times.counts) == BUCKETS
    assert min(times.counts) >= 0
    assert min(len(idle_s), 1) <= times.total <= MOST
    assert times.total == len(idle_s) or len(idle_s) > MOST


@given(pauses)
def test_a_bucket_holds_what_is_sorted_into_it(idle_s: float) -> None:
    bucket = bucket_of(idle_s)
    assert idle_s <= bucket_end(bucket) * (1 + 1e-6)
    assert bucket == 0 or bucket_end(bucket - 1) < idle_s * (1 + 1e-6)


def test_an_old_habit_fades() -> None:
    times = after(*[8 * MINUTE] * MOST)
    assert window(times, KEEP) > 8 * MINUTE
    for _ in range(4 * MOST):
        times = noted(times, 2 * MINUTE)
    assert window(times, KEEP) < 3 * MINUTE


def test_new_code_keeps_the_habits_of_its_function() -> None:
    shelf = Shelf(version(), KEEP)
    for _ in range(FEWEST):
        shelf.note_idle(2 * MINUTE)
    assert 2 * MINUTE < shelf.keep_s < 3 * MINUTE
    assert Shelf(version(serial=2), KEEP, shelf).keep_s == shelf.keep_s


@pytest.mark.parametrize(
    ("more", "less"),
    [
        pytest.param((0.0, 100, 0.1, 128), (0.0, 1, 0.1, 128), id="the one used more"),
        pytest.param((0.0, 10, 2.0, 128), (0.0, 10, 0.1, 128), id="the one that costs more to start"),
        pytest.param((0.0, 10, 0.1, 128), (0.0, 10, 0.1, 3008), id="the smaller one"),
        pytest.param((9.0, 1, 0.1, 128), (0.0, 100, 0.1, 128), id="the one used since much was evicted"),
    ],
)
def test_worth_most_is(more: tuple[float, int, float, int], less: tuple[float, int, float, int]) -> None:
    assert priority(*more) > priority(*less)


def test_the_clock_moves_to_what_the_worthiest_victim_was_worth_and_never_back() -> None:
    assert clock_after(1.0, [2.0, 3.0]) == 3.0
    assert clock_after(4.0, [2.0]) == 4.0
    assert clock_after(4.0, []) == 4.0
