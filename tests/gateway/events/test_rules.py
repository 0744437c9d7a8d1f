"""What becomes of an event after a run: Lambda's numbers, and that every event comes to one end."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events.event import EventHead
from gateway.events.lifecycle import TRANSITIONS, Happening, State, after
from gateway.events.rules import End, Ended, Rules, Verdict, expired, is_expired, rules_of, verdict
from gateway.functions.record import RETRIES_TAG, Attached, EventInvoke
from gateway.lambda_api.placement import with_tags
from samovar.errors import InvalidParameterValue
from tests.gateway.functions import record

HEAD = EventHead("r-1", "arn:aws:lambda:us-east-1:123456789012:function:orders", None, "", 0)
FAILED = Ended(End.FUNCTION_ERROR, "ValueError: no")
THROTTLED = Ended(End.NOT_NOW, "TooManyRequestsException: Rate Exceeded.")


def pauses_of(ended: Ended, rules: Rules, most: int = 400) -> tuple[list[int], Verdict]:
    """The seconds between attempts that all end alike, and how it ends."""
    head, now = HEAD, 0
    pauses: list[int] = []
    for _ in range(most):
        found = verdict(head, ended, rules, now)
        if found.happening is not Happening.PAUSE:
            return pauses, found
        pauses.append((found.due_ms - now) // 1000)
        head, now = found.head, found.due_ms
    raise AssertionError("it never ends")


def test_two_retries_after_one_and_two_minutes() -> None:
    pauses, end = pauses_of(FAILED, Rules())
    assert pauses == [60, 120]
    assert (end.happening, end.head.condition, end.head.attempts) == (Happening.FAIL, "RetriesExhausted", 3)
    assert end.head.error == "ValueError: no"


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (185, 186)])
def test_as_many_retries_as_the_function_says(retries: int, attempts: int) -> None:
    _, end = pauses_of(FAILED, Rules(retries=retries, max_age_s=10**6))
    assert end.head.attempts == attempts


def test_throttles_are_backed_off_from_a_second_to_five_minutes_and_use_up_no_attempt() -> None:
    pauses, end = pauses_of(THROTTLED, Rules(max_age_s=3600))
    assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(pauses[10:]) == {300}
    assert (end.head.condition, end.head.attempts) == ("EventAgeExceeded", 0)


def test_a_longer_wait_that_the_platform_asks_for_is_kept() -> None:
    assert verdict(HEAD, THROTTLED._replace(retry_after_s=7.5), Rules(), 0).due_ms == 7500


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    found = verdict(HEAD, FAILED, Rules(max_age_s=60), 1)
    assert (found.head.condition, found.head.attempts) == ("EventAgeExceeded", 1)
    assert verdict(HEAD, FAILED, Rules(max_age_s=60), 0).happening is Happening.PAUSE


def test_throttles_between_do_not_disturb_the_count_of_attempts() -> None:
    head = verdict(HEAD, FAILED, Rules(), 0).head
    head = verdict(head, THROTTLED, Rules(), 0).head
    found = verdict(head, FAILED, Rules(), 0)
    assert (found.head.attempts, found.due_ms, found.head.pauses) == (2, 120_000, 0)


@pytest.mark.parametrize(
    ("end", "condition"), [(End.SWITCHED_OFF, "ZeroReservedConcurrency"), (End.NEVER, "RetriesExhausted")]
)
def test_what_can_never_run_fails_at_once(end: End, condition: str) -> None:
    found = verdict(HEAD, Ended(end, "why"), Rules(), 0)
    assert (found.happening, found.head.condition, found.head.attempts) == (Happening.FAIL, condition, 0)


def test_success_is_an_attempt_and_no_error() -> None:
    found = verdict(msgspec.structs.replace(HEAD, attempts=1, error="before"), Ended(End.SUCCESS), Rules(), 5)
    assert (found.happening, found.head.attempts, found.head.error) == (Happening.SUCCEED, 2, "")
    assert (found.head.condition, found.head.ended_ms) == ("Success", 5)


def test_the_rules_are_those_of_the_qualifier_that_was_named() -> None:
    own = Attached(event_invoke=EventInvoke(modified=0, retries=0, max_age_s=60, on_failure="arn:f"))
    function = msgspec.structs.replace(record(), attached={"live": own}, dead_letter="arn:q")
    assert rules_of(function, "live") == Rules(0, 60, None, "arn:f", "arn:q")
    assert rules_of(function, None) == Rules(dead_letter="arn:q")


def test_a_tag_gives_a_function_more_retries_than_lambdas_api_takes() -> None:
    function = with_tags(record(), {RETRIES_TAG: "185"})
    assert rules_of(function, None).retries == 185
    configured = Attached(event_invoke=EventInvoke(modified=0, retries=1))
    assert rules_of(msgspec.structs.replace(function, attached={"$LATEST": configured}), None).retries == 1
    for wrong in ("186", "-1", "two", "²"):
        with pytest.raises(InvalidParameterValue, match="0 to 185"):
            with_tags(record(), {RETRIES_TAG: wrong})


def test_the_table_ends_where_it_should() -> None:
    assert {state for state, _ in TRANSITIONS} == {State.WAITING, State.CLAIMED, State.DELAYED, State.FAILED}
    with pytest.raises(ValueError, match="succeeded cannot fail"):
        after(State.SUCCEEDED, Happening.FAIL)


@given(
    st.lists(st.sampled_from([FAILED, THROTTLED, Ended(End.SUCCESS)]), max_size=400),
    st.integers(0, 5),
    st.integers(60, 21_600),
)
def test_every_history_keeps_the_rules(history: list[Ended], retries: int, max_age_s: int) -> None:
    rules, head, now, state = Rules(retries=retries, max_age_s=max_age_s), HEAD, 0, State.WAITING
    errors = 0
    for ended in history:
        state = after(state, Happening.CLAIM)
        found = expired(head, now) if is_expired(head, rules, now) else verdict(head, ended, rules, now)
        errors += ended.end is End.FUNCTION_ERROR
        state = after(state, found.happening)
        head = found.head
        if found.happening is not Happening.PAUSE:
            break
        assert now < found.due_ms <= max_age_s * 1000
        now, state = found.due_ms, after(state, Happening.DUE)
    assert errors <= retries + 1
    assert now <= max_age_s * 1000
    assert (head.condition != "") == (state in (State.SUCCEEDED, State.FAILED))
