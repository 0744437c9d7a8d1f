"""What the policy decides; each test is one sentence about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoker.pool import policy
from invoker.pool.policy import (
    Demand,
    Evict,
    Host,
    IdleEnvironment,
    NoRoom,
    Past,
    Reject,
    Start,
    Wait,
    admit,
    cold_reason,
    expired,
    scale,
)
from samovar.invocation import ColdReason


def demand(**changes: Any) -> Demand:
    usual: dict[str, Any] = {
        "waiting": 1, "oldest_wait_s": 0.0, "starting": 0, "usable": 0, "held": 0, "function_live": 0,
        "function_limit": 100, "memory_mb": 128, "mean_duration_s": None, "mean_start_s": None, "queue_limit": 1000,
        "queue_timeout_s": 10.0,
    }  # fmt: skip
    return Demand(**usual | changes)


def host(**changes: Any) -> Host:
    usual = {
        "cores": 2, "starting": 0, "max_starts": 4, "live": 0, "max_live": 500, "memory_reserved_mb": 0,
        "memory_budget_mb": 8192,
    }  # fmt: skip
    return Host(**usual | changes)


def environment(name: str, since: float, memory_mb: int = 128, priority: float = 0.0) -> IdleEnvironment:
    return IdleEnvironment(name, since, memory_mb, keep_s=60.0, priority=priority)


def test_the_first_call_starts_an_environment() -> None:
    assert scale(demand(), host(), []) == Start(1)


def test_a_call_that_has_a_start_under_way_starts_no_second() -> None:
    assert scale(demand(starting=1), host(), []) == Wait()


def test_a_burst_starts_no_more_at_once_than_the_host_allows() -> None:
    assert scale(demand(waiting=50), host(max_starts=2), []) == Start(2)


def test_starts_of_other_functions_count_against_the_bound() -> None:
    assert scale(demand(waiting=50), host(max_starts=2, starting=2), []) == Wait()


def test_short_calls_wait_for_a_running_environment() -> None:
    decision = scale(demand(waiting=30, usable=1, mean_duration_s=0.001, mean_start_s=0.05), host(), [])
    assert decision == Wait(again_s=0.02), "when they have waited longer than short calls take"


def test_long_calls_get_an_environment_each() -> None:
    decision = scale(demand(waiting=3, usable=1, mean_duration_s=0.1, mean_start_s=0.05), host(), [])
    assert decision == Start(3)


def test_a_call_that_has_waited_as_long_as_a_start_takes_is_given_one() -> None:
    stuck = demand(waiting=1, usable=1, mean_duration_s=0.001, mean_start_s=0.05, oldest_wait_s=0.05)
    assert scale(stuck, host(), []) == Start(1)


def test_a_call_does_not_wait_for_environments_that_are_all_held_by_long_calls() -> None:
    short = {"usable": 2, "mean_duration_s": 0.001, "mean_start_s": 0.05}
    assert scale(demand(**short, held=2), host(), []) == Start(1)
    assert scale(demand(**short, held=1), host(), []) == Wait(again_s=0.02)
    assert scale(demand(**short, held=2, starting=1), host(), []) == Wait()


def busy(**changes: Any) -> Demand:
    """A queue of short calls under load: they take longer than alone, and starts are quick."""
    usual = {"waiting": 30, "usable": 1, "mean_duration_s": 0.01, "mean_start_s": 0.012}
    return demand(**usual | changes)


def test_short_calls_get_no_more_environments_than_two_a_core() -> None:
    assert scale(busy(usable=1), host(cores=2), []) == Start(3)
    assert scale(busy(usable=3, starting=1), host(cores=2), []) == Wait(again_s=0.012)
    assert scale(busy(usable=4), host(cores=2), []) == Wait(again_s=0.012)
    waited = scale(busy(usable=4, oldest_wait_s=0.125), host(cores=2), [])
    assert waited == Wait(again_s=0.125), "until it has waited a quarter of a second"
    assert scale(busy(usable=4), host(cores=8), []) == Start(4)


def test_a_host_that_lost_its_environments_starts_no_more_for_short_calls_either() -> None:
    assert scale(busy(usable=0), host(cores=1), []) == Start(2)


def test_environments_held_by_long_calls_do_not_count_among_those_for_short_ones() -> None:
    waited = {"waiting": 1, "usable": 4, "oldest_wait_s": 0.02}
    assert isinstance(scale(busy(**waited, held=0), host(cores=2), []), Wait)
    assert scale(busy(**waited, held=1), host(cores=2), []) == Start(1)


def test_short_calls_that_wait_for_long_get_one_more_at_a_time() -> None:
    assert scale(busy(usable=4, oldest_wait_s=0.25), host(cores=2), []) == Start(1)
    assert scale(busy(usable=4, starting=1, oldest_wait_s=0.25), host(cores=2), []) == Wait()
    assert scale(busy(usable=15, oldest_wait_s=0.25), host(cores=2), []) == Start(1)


def test_calls_that_are_not_short_are_not_bound_to_the_cores() -> None:
    assert scale(busy(usable=4, mean_duration_s=0.1), host(cores=2, max_starts=50), []) == Start(30)


def test_the_functions_limit_is_kept() -> None:
    assert scale(demand(waiting=5, usable=8, function_live=8, function_limit=8), host(), []) == Wait()
    assert scale(demand(waiting=5, usable=6, function_live=6, function_limit=8), host(), []) == Start(2)


def test_a_full_host_evicts_the_environment_of_least_worth() -> None:
    idle = [environment("used", 1.0, priority=9.0), environment("unused", 5.0, priority=0.1)]
    assert scale(demand(), host(memory_reserved_mb=8192), idle) == Evict(("unused",))


def test_of_equal_worth_the_longest_idle_goes_first() -> None:
    idle = [environment("new", 9.0), environment("old", 1.0)]
    assert scale(demand(), host(memory_reserved_mb=8192), idle) == Evict(("old",))


def test_as_many_are_evicted_as_make_room_and_no_more() -> None:
    idle = [environment(name, since) for name, since in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    assert scale(demand(memory_mb=256), host(memory_reserved_mb=8192), idle) == Evict(("a", "b"))


def test_small_ones_are_spared_when_a_large_one_has_to_go_anyway() -> None:
    idle = [environment("small", 1.0), environment("large", 2.0, memory_mb=1024)]
    assert scale(demand(memory_mb=1024), host(memory_reserved_mb=8192), idle) == Evict(("large",))


@given(
    st.lists(st.tuples(st.sampled_from([128, 256, 1024]), st.floats(0.0, 9.0)), max_size=12),
    st.integers(0, 2048), st.integers(0, 3), st.sampled_from([128, 512, 2048]),
)  # fmt: skip
def test_what_is_evicted_makes_room_and_none_of_it_in_vain(
    sizes: list[tuple[int, float]], free_mb: int, free_slots: int, wanted_mb: int
) -> None:
    idle = [environment(str(n), float(n), size, worth) for n, (size, worth) in enumerate(sizes)]
    reserved = 8192 - free_mb
    box = host(memory_reserved_mb=reserved, live=500 - free_slots)
    memory = {one.id: one.memory_mb for one in idle}

    def has_room(gone: list[str]) -> bool:
        return free_mb + sum(memory[one] for one in gone) >= wanted_mb and free_slots + len(gone) >= 1

    match scale(demand(memory_mb=wanted_mb), box, idle):
        case Evict(ids):
            assert has_room(list(ids))
            assert not any(has_room([other for other in ids if other != one]) for one in ids)
        case Start(count):
            assert count == 1
            assert has_room([])
        case NoRoom():
            assert not has_room(list(memory))


def test_nothing_is_evicted_when_it_would_not_make_enough_room() -> None:
    idle = [environment("a", 1.0)]
    assert isinstance(scale(demand(memory_mb=1024), host(memory_reserved_mb=8192), idle), NoRoom)


def test_an_environment_is_evicted_when_the_host_has_no_slot_left() -> None:
    idle = [environment("a", 1.0)]
    assert scale(demand(), host(live=500), idle) == Evict(("a",))


@given(
    waiting=st.integers(0, 2000), starting=st.integers(0, 50), usable=st.integers(0, 100),
    limit=st.integers(1, 100), reserved=st.integers(0, 9000), others=st.integers(0, 8),
)  # fmt: skip
def test_no_start_ever_breaks_a_bound(
    waiting: int, starting: int, usable: int, limit: int, reserved: int, others: int
) -> None:
    wanting = demand(
        waiting=waiting, starting=starting, usable=usable, function_live=usable + starting, function_limit=limit
    )
    box = host(starting=starting + others, max_starts=8, memory_reserved_mb=reserved, live=usable + starting)
    match scale(wanting, box, []):
        case Start(count):
            assert 0 < count <= waiting
            assert usable + starting + count <= limit
            assert starting + others + count <= 8
            assert reserved + count * 128 <= 8192
        case Evict():
            pytest.fail("there was nothing to evict")


def test_a_function_switched_off_admits_nothing() -> None:
    refusal = admit(demand(function_limit=0))
    assert isinstance(refusal, Reject)
    assert refusal.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_what_other_versions_keep_ready_is_not_for_this_one() -> None:
    refusal = admit(demand(function_limit=2, promised_elsewhere=2))
    assert isinstance(refusal, Reject)
    assert refusal.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert admit(demand(function_limit=3, promised_elsewhere=2)) is None


def test_a_full_queue_admits_nothing() -> None:
    refusal = admit(demand(waiting=1000, usable=10, mean_duration_s=0.5))
    assert refusal == Reject("ConcurrentInvocationLimitExceeded", retry_after_s=50.0)


def test_a_call_that_cannot_be_served_in_time_is_told_at_once() -> None:
    refusal = admit(demand(waiting=99, usable=8, function_live=8, function_limit=8, mean_duration_s=1.0))
    assert refusal == Reject("ReservedFunctionConcurrentInvocationLimitExceeded", retry_after_s=13.0)


def test_a_call_that_can_be_served_in_time_is_admitted() -> None:
    assert admit(demand(waiting=50, usable=8, function_live=8, function_limit=8, mean_duration_s=1.0)) is None


def test_expiry_names_what_is_due_and_when_to_look_again() -> None:
    idle = [environment("a", 10.0), environment("b", 50.0), environment("c", 40.0)]
    assert expired(idle, now=70.0) == (["a"], 100.0)
    assert expired([], now=70.0) == ([], None)


def test_each_environment_expires_by_its_own_keep_alive() -> None:
    idle = [IdleEnvironment("short", 50.0, 1, keep_s=20.0), IdleEnvironment("long", 10.0, 1, keep_s=3600.0)]
    assert expired(idle, now=70.0) == (["short"], 3610.0)


@pytest.mark.parametrize(
    ("past", "reason"),
    [
        (Past(live_now=0, last_end=None, older_version_ran=False), ColdReason.FIRST_CALL),
        (Past(live_now=0, last_end=None, older_version_ran=True), ColdReason.NEW_VERSION),
        (Past(live_now=2, last_end=ColdReason.EXPIRED, older_version_ran=True), ColdReason.SCALE_OUT),
        (Past(live_now=0, last_end=ColdReason.EVICTED, older_version_ran=True), ColdReason.EVICTED),
        (Past(live_now=0, last_end=ColdReason.CRASH, older_version_ran=False), ColdReason.CRASH),
    ],
)
def test_why_a_call_is_cold(past: Past, reason: ColdReason) -> None:
    assert cold_reason(past) is reason


@pytest.mark.parametrize(
    ("mean_s", "starting", "is_saturated", "expected"),
    [
        (None, 0, True, 0), (0.0002, 0, False, policy.MOST_LYING_READY), (0.0002, 1, False, 0), (0.01, 0, False, 0),
        (0.01, 0, True, policy.MOST_LYING_READY), (0.1, 0, True, 0),
    ],
)  # fmt: skip
def test_only_short_calls_lie_ready_and_only_where_none_is_started_for_them(
    mean_s: float | None, starting: int, is_saturated: bool, expected: int
) -> None:
    assert policy.lying_ready(mean_duration_s=mean_s, starting=starting, is_saturated=is_saturated) == expected


def test_how_long_a_call_may_run_with_others_behind_it_goes_by_how_long_they_take() -> None:
    assert policy.stuck_after(None) == policy.stuck_after(0.0002) == policy.STUCK_AFTER_S
    assert policy.stuck_after(0.01) == 0.02
    assert policy.stuck_after(10.0) == 2 * policy.SHORT_CALL_S
