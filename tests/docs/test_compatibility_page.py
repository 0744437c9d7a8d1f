"""docs/compatibility.md says what is offered, of all there is, and names tests that exist and really call it.

Which of several tests it names is not held to: a page that names another one than would be chosen now is true, too.
"""

from __future__ import annotations

import re

import pytest

from tests.docs import compatibility
from tests.docs.compatibility import Operation
from tests.docs.test_pages import names_in
from tests.platform import ROOT

ROWS = compatibility.operations()
CALLS = compatibility.calls()
REMEDY = "run `python -m tests.docs.reference`"


def lines() -> list[str]:
    operations = compatibility.PAGE.read_text().partition("## Members")[0]
    return [line for line in operations.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("fate", compatibility.fates(), ids=lambda fate: f"{fate.request}.{fate.member}")
def test_no_member_of_a_request_is_passed_over(fate: compatibility.Fate) -> None:
    assert fate.told, f"nobody reads {fate.member} of {fate.request}"
    assert f"| `{fate.request}` | `{fate.member}` | {fate.told} |" in compatibility.PAGE.read_text(), REMEDY


def test_the_page_has_every_operation_of_awss_model_once_and_no_other() -> None:
    assert [line.split("`")[1] for line in lines()] == compatibility.in_the_model(), REMEDY
    count = sum(row.offered for row in ROWS)
    assert f"{count} of {len(ROWS)} operations are offered." in compatibility.PAGE.read_text(), REMEDY


def test_nothing_is_offered_that_awss_model_does_not_know() -> None:
    assert compatibility.offered() <= set(compatibility.in_the_model())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_what_the_code_does_and_names_a_test_that_calls_it(row: Operation) -> None:
    [line] = [line for line in lines() if line.startswith(compatibility.said(row))] or [""]
    assert line, REMEDY
    named = re.findall(r"`(tests/[^`]+)`", line)
    assert not row.offered or named, f"no test in tests/compatibility calls {row.name}"
    for test in named:
        path, _, name = test.partition("::")
        assert name in names_in(ROOT / path), REMEDY
        assert test in compatibility.callers(row.name, CALLS), f"{test} does not call {row.name}"


@pytest.mark.parametrize("row", [row for row in ROWS if not row.offered], ids=lambda row: row.name)
def test_what_is_not_offered_has_a_reason(row: Operation) -> None:
    assert row.note
