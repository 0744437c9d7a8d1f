"""How a chain of calls is told by the trace header, and where it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import lineage
from samovar.errors import RecursiveInvocation

A = "arn:aws:lambda:us-east-1:123456789012:function:a"
B = "arn:aws:lambda:us-east-1:123456789012:function:b"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"


def test_a_call_from_outside_begins_a_chain() -> None:
    trace = lineage.begun(lineage.new_root(1_465_510_280.0), A)
    assert trace.startswith("Root=1-5759e988-")
    assert lineage.times(trace, A) == 1
    assert lineage.times(trace, B) == 0


def test_functions_that_call_each_other_are_counted_each() -> None:
    trace = lineage.begun(ROOT, A)
    for _ in range(3):
        trace = lineage.followed(lineage.followed(trace, B), A)
    assert (lineage.times(trace, A), lineage.times(trace, B)) == (4, 3)
    assert lineage.root(trace) == ROOT


def test_what_else_a_trace_says_is_kept_as_it_is() -> None:
    trace = lineage.followed(f"{ROOT};Parent=53995c3f42cd8ad8;Lineage=0a1b2c3d:2;Sampled=1", A)
    assert trace.startswith(f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=0a1b2c3d:2|")
    assert lineage.times(trace, A) == 1


def test_the_seventeenth_call_of_a_chain_is_refused_unless_the_function_allows_it() -> None:
    trace = lineage.begun(ROOT, A)
    for _ in range(15):
        trace = lineage.followed(trace, A)
    lineage.check(trace, A, "Terminate")
    trace = lineage.followed(trace, A)
    lineage.check(trace, A, "Allow")
    lineage.check(trace, B, "Terminate")
    with pytest.raises(RecursiveInvocation, match="recursive loop"):
        lineage.check(trace, A, "Terminate")


def test_a_chain_through_very_many_functions_does_not_grow_without_end() -> None:
    trace = lineage.begun(ROOT, A)
    for number in range(500):
        trace = lineage.followed(trace, f"{B}{number}")
    assert len(trace) < 1000


@given(st.text(max_size=2000))
def test_nonsense_begins_anew(given: str) -> None:
    trace = lineage.followed(given, A)
    assert lineage.times(trace, A) >= 1
    assert len(trace) < 2000
