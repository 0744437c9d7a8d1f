"""Whether there is anything for a worker to do, as the store tells it.

What counts is what lies there, not what somebody was told: an event whose sender was killed before it rang is seen as
well as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.events import keys as events
from gateway.mappings.mapping_store import MAPPINGS
from gateway.schedules import keys as schedules
from gateway.tasks.periods import ANYWHERE, AT_HOME, EVERY_S, LAST_RUNS, OVERDUE_S, REMEMBERED

LOOK_EVERY_S: Final = 5.0
"""As often as lines are swept while a worker runs."""
_WORK: Final = (events.LINES, schedules.DUE, MAPPINGS)
"""Each of these is there as long as it has something in it: events that have not ended, schedules with a moment to
come, event source mappings."""
_TASKS: Final = (ANYWHERE, AT_HOME)
"""kombu's lists of tasks that no worker has taken, where the store is the broker."""
_SLACK_S: Final = 60.0
"""Clocks of hosts that share a store differ."""


def ask(pipeline: Any, now: float, *, of_worker: bool = False) -> None:
    """Put the questions on a pipeline of either of redis-py's clients; `answer` reads what comes back.

    A worker does not ask for tasks: it takes them itself, and all it may see is its own next sweep.
    """
    for name in sorted(REMEMBERED):
        pipeline.hsetnx(LAST_RUNS, name, now)  # on a new platform nothing is overdue
    pipeline.hgetall(LAST_RUNS)
    pipeline.exists(*_WORK, *(() if of_worker else _TASKS))


def answer(told: Sequence[Any], now: float) -> bool:
    """Whether a worker is needed at a moment (epoch s), from a pipeline's answers."""
    return bool(told[-1]) or is_overdue({name.decode(): float(at) for name, at in told[-2].items()}, now)


def is_overdue(last_runs: Mapping[str, float], now: float) -> bool:
    """Whether a sweep has not run for too long. One that ran in the future says that the clock was set back."""
    return any(not 0 <= now - last_runs[name] + _SLACK_S < _patience_s(name) for name in REMEMBERED & last_runs.keys())


def _patience_s(name: str) -> float:
    return max(EVERY_S[name], OVERDUE_S) + _SLACK_S
