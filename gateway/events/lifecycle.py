"""The states of an event and what moves it from one to another: a table, without I/O.

`lines.py` keeps the states in the store: a waiting event is in its line's stream, a claimed one is pending there for a
worker, a delayed one is in a sorted set by its time, and one that has ended is among the past.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where an event is. Exactly one of them at a time."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    """A worker has it; whether it runs is that worker's to know."""
    DELAYED = "delayed"
    """It waits for the time of its next attempt."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """For good; it is the operator's now."""


class Happening(StrEnum):
    """What may happen to an event."""

    CLAIM = "claim"
    RECLAIM = "reclaim"
    """Another worker takes it from one that is dead."""
    PAUSE = "pause"
    """It is to be tried again later."""
    DUE = "due"
    SUCCEED = "succeed"
    FAIL = "fail"
    REDRIVE = "redrive"
    """The operator wants it to run again."""


TRANSITIONS: Final[dict[tuple[State, Happening], State]] = {
    (State.WAITING, Happening.CLAIM): State.CLAIMED,
    (State.CLAIMED, Happening.RECLAIM): State.CLAIMED,
    (State.CLAIMED, Happening.PAUSE): State.DELAYED,
    (State.CLAIMED, Happening.SUCCEED): State.SUCCEEDED,
    (State.CLAIMED, Happening.FAIL): State.FAILED,
    (State.DELAYED, Happening.DUE): State.WAITING,
    (State.FAILED, Happening.REDRIVE): State.WAITING,
}
"""What is not in it cannot happen: a second word about an event that has ended is not heard."""


def after(state: State, happening: Happening) -> State:
    """The next state. Raises `ValueError` for what cannot happen."""
    found = TRANSITIONS.get((state, happening))
    if found is None:
        raise ValueError(f"an event that is {state} cannot {happening}")
    return found
