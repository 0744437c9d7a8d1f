"""States of event source mappings: every cell of the table."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from gateway.mappings.mapping import KINDS, RESTING, TRANSITIONS, Config, Event, State, check, fired, with_defaults
from samovar.errors import ResourceConflict

CELLS = list(product(get_args(State), get_args(Event)))


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_a_cell_of_the_table(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert fired(state, event) == TRANSITIONS[state, event]
    else:
        with pytest.raises(ResourceConflict, match=state):
            fired(state, event)


def test_what_is_under_way_settles_where_it_was_to_go_and_deleting_ends() -> None:
    for state in set(get_args(State)) - {*RESTING, "Deleting"}:
        settled = {TRANSITIONS[cell] for cell in CELLS if cell in TRANSITIONS and cell[0] == state}
        assert settled
        assert settled <= set(RESTING)
    assert not [cell for cell in TRANSITIONS if cell[0] == "Deleting"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"kafka", "mq", "rds"}))
def test_defaults_fit_their_kind(kind: str) -> None:
    config = with_defaults(
        Config(
            event_source_arn=f"arn:aws:{kind}:us-east-1:123456789012:{'stream/' * (kind == 'redis')}source",
            starting_position=None if kind == "sqs" else "LATEST",
        )
    )
    check(config)
