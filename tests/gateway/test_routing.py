"""Which version an alias gives a call to."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, strategies

from gateway.functions.record import Alias
from gateway.functions.routing import check_routing, choose
from samovar.errors import InvalidParameterValue


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.2, 0.5, 0.999, 1.0])
def test_calls_are_shared_by_weight(weight: float) -> None:
    alias = Alias(name="live", version="1", weights={"2": weight})
    chance, calls = random.Random(7), 20_000
    taken = Counter(choose(alias, chance.random()) for _ in range(calls))
    assert taken.total() == calls
    assert abs(taken["2"] / calls - weight) < 0.01  # three standard deviations of 20,000 draws, at the most
    assert set(taken) <= {"1", "2"}


@given(weight=strategies.floats(0, 1), chance=strategies.floats(0, 1, exclude_max=True))
def test_the_edge_between_two_versions_is_the_weight(weight: float, chance: float) -> None:
    assert choose(Alias(name="live", version="1", weights={"2": weight}), chance) == ("2" if chance < weight else "1")


def test_an_alias_of_one_version_gives_it_every_call() -> None:
    assert {choose(Alias(name="live", version="7"), chance / 10) for chance in range(10)} == {"7"}


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        (
            Alias(name="a", version="1", weights={"2": 0.1, "3": 0.1}),
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            Alias(name="a", version="1", weights={"1": 0.1}),
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        (
            Alias(name="a", version="$LATEST", weights={"1": 0.1}),
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
    ],
)
def test_weights_that_make_no_sense_are_refused(alias: Alias, message: str) -> None:
    with pytest.raises(InvalidParameterValue) as refused:
        check_routing(alias)
    assert refused.value.message == message
