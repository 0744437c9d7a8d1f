"""What a reading is explained by; each test is one sentence about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.explanation import explain, explain_refusal
from samovar.invocation import ColdReason, Outcome, Preparation, Reading
from samovar.link.operations import RefusedCall


def reading(**members: Any) -> Reading:
    usual: dict[str, Any] = {
        "request_id": "r1", "arn": "arn:aws:lambda:us-east-1:123456789012:function:tea", "version": "$LATEST",
        "trigger": "invoke", "started_ms": 1, "outcome": Outcome.OK, "duration_ms": 4.0, "billed_ms": 4,
        "memory_mb": 512, "peak_mb": 40, "isolation": "sandbox",
    }  # fmt: skip
    return Reading(**usual | members)


def cold(reason: ColdReason, **members: Any) -> Reading:
    usual = {"queue_ms": 50.0, "init_ms": 20.0, "preparation": Preparation(start_ms=29.0)}
    return reading(**usual | {"cold": reason} | members)


def test_a_warm_call_needs_no_advice() -> None:
    found = explain(reading())
    assert (found.cold, found.reason, found.waited_ms, found.advice) == (False, None, 0.0, [])
    assert found.summary.startswith("Warm: an environment was idle")
    assert [one.phase for one in found.spent] == ["run"]


@pytest.mark.parametrize(
    ("ready", "summary", "advice"),
    [
        (2, "Of the 2 environments that were to be ready, 2 were there, and busy.", "`provisioned = 3` or more"),
        (5, "Of the 2 environments that were to be ready, 5 were there, and busy.", "`provisioned = 6` or more"),
        (1, "Of the 2 environments that were to be ready, 1 was there, and busy.", "`samovar status` says"),
        (0, "Of the 2 environments that were to be ready, none was there.", "`samovar status` says"),
    ],
)
def test_a_call_that_was_cold_in_spite_of_provisioned_environments_says_why(
    ready: int, summary: str, advice: str
) -> None:
    preparation = Preparation(start_ms=29.0, provisioned=2, provisioned_ready=ready)
    found = explain(cold(ColdReason.SCALE_OUT, preparation=preparation))
    assert summary in found.summary
    assert [advice in line for line in found.advice] == [True]


def test_a_warm_call_that_waited_says_for_what() -> None:
    found = explain(reading(queue_ms=80.0))
    assert not found.cold
    assert "waited 80 ms for a free environment" in found.summary
    assert [(one.phase, one.ms) for one in found.spent] == [("queue", 80.0), ("run", 4.0)]
    assert "`max_environments_per_function`" in found.advice[0]


@pytest.mark.parametrize(
    ("reason", "summary", "advice"),
    [
        (ColdReason.FIRST_CALL, "first call of this function", "Warm it up"),
        (ColdReason.NEW_VERSION, "code or configuration was changed", "`samovar invoke tea`"),
        (ColdReason.SCALE_OUT, "All environments of the function were busy", "A shorter handler"),
        (ColdReason.EXPIRED, "not been called for so long", "A longer keep-alive: `idle_ttl_s`"),
        (ColdReason.EVICTED, "to make room", "reserves 512 MB an environment and needed 40 MB"),
        (ColdReason.CRASH, "had died", "`samovar logs tea`"),
    ],
)
def test_every_reason_has_its_words_and_its_remedy(reason: ColdReason, summary: str, advice: str) -> None:
    found = explain(cold(reason))
    assert (found.cold, found.reason) == (True, reason)
    assert summary in found.summary
    assert any(advice in line for line in found.advice)


def test_no_reason_is_forgotten() -> None:
    for reason in ColdReason:
        assert explain(cold(reason)).advice


def test_a_keep_alive_that_was_too_short_is_named_in_seconds() -> None:
    found = explain(cold(ColdReason.EXPIRED, preparation=Preparation(start_ms=9.0, idle_s=840.0, kept_s=600.0)))
    assert found.summary.endswith("was last used 14 min before, and kept for 10 min.")
    assert found.advice[0].startswith("A keep-alive of more than 840 s")


def test_a_burst_whose_environments_had_expired_asks_for_a_longer_keep_alive() -> None:
    found = explain(cold(ColdReason.SCALE_OUT, preparation=Preparation(start_ms=9.0, idle_s=840.0, kept_s=600.0)))
    assert "A keep-alive of more than 840 s" in found.advice[0]


def test_the_phases_of_a_cold_start_are_told_in_order() -> None:
    found = explain(cold(ColdReason.FIRST_CALL, queue_ms=60.0))
    assert [(one.phase, one.ms) for one in found.spent] == [
        ("queue", 11.0), ("start", 29.0), ("init", 20.0), ("run", 4.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        pytest.param({"queue_ms": 900.0, "init_ms": 812.0}, "initialisation took 812 ms of the 900 ms", id="import"),
        pytest.param(
            {"queue_ms": 500.0}, "451 ms passed before its environment was started. `max_starts`", id="starts"
        ),
        pytest.param(
            {"queue_ms": 420.0, "isolation": "docker", "preparation": Preparation(start_ms=390.0)},
            "starting the container took 390 ms",
            id="container",
        ),
    ],
)
def test_what_dominates_a_cold_start_is_named(members: dict[str, Any], advice: str) -> None:
    assert any(advice in line for line in explain(cold(ColdReason.FIRST_CALL, **members)).advice)


def test_a_quick_cold_start_gets_no_advice_about_its_phases() -> None:
    assert len(explain(cold(ColdReason.FIRST_CALL)).advice) == 1


def test_a_failed_initialisation_is_a_cold_start_that_never_ran() -> None:
    found = explain(reading(outcome=Outcome.INIT_ERROR, init_ms=30.0, duration_ms=0.0))
    assert (found.cold, found.reason) == (True, None)
    assert "the handler never ran" in found.summary
    assert [one.phase for one in found.spent] == ["init"]
    assert "--request-id r1" in found.advice[0]


def test_readings_from_before_preparations_were_kept_are_explained_too() -> None:
    found = explain(cold(ColdReason.EXPIRED, preparation=None))
    assert [one.phase for one in found.spent] == ["queue", "init", "run"]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_phases_add_up_to_what_the_call_waited(queue_ms: float, init_ms: float, start_ms: float) -> None:
    """Also where it joined a start that was under way."""
    preparation = Preparation(start_ms=start_ms)
    found = explain(cold(ColdReason.SCALE_OUT, queue_ms=queue_ms, init_ms=init_ms, preparation=preparation))
    assert found.waited_ms == pytest.approx(queue_ms)
    assert all(one.ms > 0 for one in found.spent)


def refused(**members: Any) -> RefusedCall:
    usual: dict[str, Any] = {
        "request_id": "r1", "arn": "arn:aws:lambda:us-east-1:123456789012:function:tea", "version": "$LATEST",
        "failure": "TooManyRequests", "reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "message": "Rate Exceeded.", "retry_after_s": 1.0, "waited_ms": 0.0,
    }  # fmt: skip
    return RefusedCall(**usual | members)


@pytest.mark.parametrize(
    ("members", "summary", "advice"),
    [
        ({}, "Throttled at once (ReservedFunctionConcurrentInvocationLimitExceeded)", "`concurrency`"),
        ({"waited_ms": 1000.0}, "Throttled after 1,000 ms", "`max_environments_per_function`"),
        ({"reason": "ConcurrentInvocationLimitExceeded"}, "nothing of it ran. Rate Exceeded.", "`queue_timeout_s`"),
        ({"reason": None, "failure": "EnvironmentFailure"}, "Refused at once (EnvironmentFailure)", "`samovar status`"),
    ],
)
def test_a_call_that_never_ran_says_why_and_what_would_have_let_it(
    members: dict[str, Any], summary: str, advice: str
) -> None:
    found = explain_refusal(refused(**members))
    assert summary in found.summary
    assert advice in found.advice[0]
    assert (found.cold, found.waited_ms) == (False, members.get("waited_ms", 0.0))
    assert [one.phase for one in found.spent] == (["queue"] if found.waited_ms else [])
