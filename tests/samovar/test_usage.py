"""Roll-ups add up, and their percentiles are as exact as they claim."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar import usage
from samovar.invocation import ColdReason, Outcome, Reading, billed_ms
from samovar.usage import Rollup


def reading(**changes: Any) -> Reading:
    usual: dict[str, Any] = {
        "request_id": "r", "arn": "arn:f", "version": "$LATEST", "trigger": "http", "started_ms": 0,
        "outcome": Outcome.OK, "duration_ms": 10.0, "billed_ms": 10, "memory_mb": 512, "peak_mb": 40,
    }  # fmt: skip
    return Reading(**usual | changes)


def test_errors_and_cold_starts_are_counted() -> None:
    rollup = Rollup.of(
        [
            reading(),
            reading(outcome=Outcome.TIMEOUT),
            reading(cold=ColdReason.SCALE_OUT),
            reading(cold=ColdReason.CRASH),
        ]
    )
    assert (rollup.invocations, rollup.errors, rollup.cold) == (4, 1, 2)


def test_gb_seconds_are_limit_times_billed_time() -> None:
    assert Rollup.of([reading(memory_mb=1024, billed_ms=1500)] * 2).gb_seconds == pytest.approx(3.0)


@given(st.lists(st.floats(0.02, 900_000), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_off_by_half_a_bucket_at_most(durations: list[float], share: float) -> None:
    rollup = Rollup.of(reading(duration_ms=duration) for duration in durations)
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    assert rollup.percentile(share) == pytest.approx(exact, rel=0.026)


@given(st.lists(st.floats(0, 1e5), max_size=30), st.lists(st.floats(0, 1e5), max_size=30))
def test_merging_spans_is_the_same_as_counting_them_together(one: list[float], other: list[float]) -> None:
    merged = Rollup.of(reading(duration_ms=value) for value in one)
    merged.merge(Rollup.of(reading(duration_ms=value) for value in other))
    assert merged.counters == Rollup.of(reading(duration_ms=value) for value in one + other).counters


def test_an_empty_span_has_no_percentile() -> None:
    assert Rollup().percentile(0.99) == 0.0


@pytest.mark.parametrize(
    ("duration", "init", "billed"),
    [(0.0, 0.0, 1), (12.34, 0.0, 13), (12.0, 0.0, 12), (693.92, 0.0, 694), (1.2, 94.2, 96)],
)
def test_billing_rounds_the_whole_up(duration: float, init: float, billed: int) -> None:
    assert billed_ms(duration, init) == billed


def test_a_span_begins_on_its_boundary() -> None:
    assert usage.span_start(86_400 * 3 + 3_725.9, "m") == 86_400 * 3 + 3_720
    assert usage.span_start(86_400 * 3 + 3_725.9, "h") == 86_400 * 3 + 3_600
    assert usage.span_start(86_400 * 3 + 3_725.9, "d") == 86_400 * 3
