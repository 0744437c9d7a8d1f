"""The numbers that stand for many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import median, paired_ratio, percentile, spread

NUMBERS = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1)


def test_the_median_is_in_the_middle() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5


def test_a_percentile_lies_between_its_neighbours_by_proportion() -> None:
    assert percentile([10, 20], 0.25) == 12.5
    assert percentile(list(range(101)), 0.99) == 99


@given(NUMBERS, st.floats(min_value=0, max_value=1))
def test_a_percentile_is_never_outside_the_values(values: list[float], share: float) -> None:
    assert min(values) * (1 - 1e-9) <= percentile(values, share) <= max(values) * (1 + 1e-9)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_the_spread_is_relative_to_the_median() -> None:
    assert spread([90, 100, 110]) == pytest.approx(0.2)
    assert spread([0, 0]) == 0


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    """A machine that became half as fast for two repeats changes neither ratio."""
    assert paired_ratio([50, 25, 25], [100, 50, 50]) == 0.5


def test_there_is_no_ratio_without_a_reference_or_to_nothing() -> None:
    assert paired_ratio([1], []) is None
    assert paired_ratio([1], [0]) is None


def test_repeats_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="is shorter than"):
        paired_ratio([1, 2], [1])
