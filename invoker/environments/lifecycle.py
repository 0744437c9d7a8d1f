"""The life of an environment, as a table. Nothing in this file does I/O or reads a clock.

Two rules:
1. Everything that decides whether a step is legal is in `TRANSITIONS`.
2. An event that is not in the row of the present state is a bug in the caller, never ignored.

What the states mean:

STARTING      the isolation has been asked for a box; no process of ours has answered yet
INITIALISING  the keeper is there; a worker is loading the handler
IDLE          a worker has the handler loaded and runs nothing
BUSY          a worker runs an invocation
STOPPING      being destroyed; takes no work
DEAD          nothing of it is left

Where an event lies ready when an invocation ends, the environment goes on with that (`NEXT`): it never was idle.
A forked worker that is killed before it was ready leads back to STARTING (`LOST`): the environment is started whole.
A worker that times out or crashes costs its environment the worker only: `RESET` leads back to INITIALISING with `/tmp`
intact. Everything else that goes wrong leads to STOPPING.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where an environment stands."""

    STARTING = "starting"
    INITIALISING = "initialising"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    DEAD = "dead"


class Event(StrEnum):
    """What happens to an environment."""

    BOOTED = "booted"
    READY = "ready"
    LEASED = "leased"
    NEXT = "next"
    RELEASED = "released"
    RESET = "reset"
    LOST = "lost"
    STOP = "stop"
    DIED = "died"


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.STARTING: {Event.BOOTED: State.INITIALISING, Event.STOP: State.STOPPING},
    State.INITIALISING: {Event.READY: State.IDLE, Event.LOST: State.STARTING, Event.STOP: State.STOPPING},
    State.IDLE: {Event.LEASED: State.BUSY, Event.STOP: State.STOPPING},
    State.BUSY: {
        Event.NEXT: State.BUSY,
        Event.RELEASED: State.IDLE,
        Event.RESET: State.INITIALISING,
        Event.STOP: State.STOPPING,
    },
    State.STOPPING: {Event.DIED: State.DEAD},
    State.DEAD: {},
}

_STORY_LENGTH: Final = 32


class IllegalTransition(Exception):
    """An event came in a state that does not know it. Carries what happened to the environment before."""

    def __init__(self, state: State, event: Event, story: list[str]) -> None:
        super().__init__(f"event {event!s} in state {state!s}; before that: {', '.join(story) or 'nothing'}")
        self.state = state
        self.event = event
        self.story = story


class Lifecycle:
    """One environment's state and its recent story."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._story: deque[tuple[float, Event]] = deque(maxlen=_STORY_LENGTH)

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def fire(self, event: Event, now: float) -> State:
        """Let `event` happen at monotonic time `now`. Raises `IllegalTransition`."""
        try:
            after = TRANSITIONS[self._state][event]
        except KeyError:
            raise IllegalTransition(self._state, event, self.story()) from None
        self._story.append((now, event))
        self._state = after
        return after

    def story(self) -> list[str]:
        """The last events, each with its monotonic time."""
        return [f"{event!s}@{moment:.3f}" for moment, event in self._story]


def mermaid() -> str:
    """The table as a Mermaid state diagram; `docs/architecture.md` shows it and a test holds them together."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.STARTING.name}"]
    for state, row in TRANSITIONS.items():
        lines += [f"    {state.name} --> {after.name}: {event.value}" for event, after in row.items()]
    return "\n".join([*lines, f"    {State.DEAD.name} --> [*]"])
