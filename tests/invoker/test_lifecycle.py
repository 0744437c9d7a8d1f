"""Every cell of the table, legal or not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from invoker.environments.lifecycle import TRANSITIONS, Event, IllegalTransition, Lifecycle, State, mermaid

SHORTEST_WAY: dict[State, list[Event]] = {
    State.STARTING: [],
    State.INITIALISING: [Event.BOOTED],
    State.IDLE: [Event.BOOTED, Event.READY],
    State.BUSY: [Event.BOOTED, Event.READY, Event.LEASED],
    State.STOPPING: [Event.STOP],
    State.DEAD: [Event.STOP, Event.DIED],
}


def in_state(state: State) -> Lifecycle:
    lifecycle = Lifecycle()
    for event in SHORTEST_WAY[state]:
        lifecycle.fire(event, now=1.0)
    assert lifecycle.state is state
    return lifecycle


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_each_event_in_each_state(state: State, event: Event) -> None:
    lifecycle = in_state(state)
    expected = TRANSITIONS[state].get(event)
    if expected is None:
        with pytest.raises(IllegalTransition):
            lifecycle.fire(event, now=2.0)
        assert lifecycle.state is state
    else:
        assert lifecycle.fire(event, now=2.0) is expected


def test_an_illegal_event_tells_the_story_so_far() -> None:
    lifecycle = in_state(State.BUSY)
    with pytest.raises(IllegalTransition, match=r"leased in state busy; before that: booted@1.000, ready@1.000"):
        lifecycle.fire(Event.LEASED, now=2.0)


def test_every_state_can_be_stopped_and_every_stopped_one_dies() -> None:
    for state in set(State) - {State.STOPPING, State.DEAD}:
        assert TRANSITIONS[state][Event.STOP] is State.STOPPING
    assert TRANSITIONS[State.STOPPING] == {Event.DIED: State.DEAD}


def test_the_diagram_in_the_docs_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    assert mermaid() in page.read_text()
