"""Asynchronous events as the operator sees them: what `/samovar/v1` and the command line say to each other."""

from __future__ import annotations

from typing import Literal

import msgspec

EventState = Literal["waiting", "running", "delayed", "succeeded", "failed"]
"""`running` is claimed by a worker; the others are as `gateway/events/lifecycle.py` has them."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event. Moments are epoch milliseconds, 0 where there is none."""

    id: str
    """Its request id; of a message that no destination took, with `.destination` or `.dead-letter` behind it."""
    state: EventState
    qualifier: str | None = None
    source: str = ""
    """What it comes from (`aws:s3`, …); empty for a caller of the API."""
    accepted_ms: int
    due_ms: int = 0
    """When a delayed one is tried again."""
    ended_ms: int = 0
    attempts: int = 0
    """Runs that came to an end in the function."""
    runs: int = 0
    """Times it was handed to the invoker."""
    condition: str = ""
    error: str = ""
    version: str = ""
    """What ran it last."""
    target: str = ""
    """Of a message: the destination."""


class EventDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One event with its payload."""

    event: EventView
    payload: msgspec.Raw


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of a function there are in each state; those that ended as far as they are kept."""

    waiting: int
    running: int
    delayed: int
    succeeded: int
    failed: int


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a function, those first that have not ended, then the latest ends."""

    counts: EventCounts
    events: list[EventView]


class EventSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which events an operation is about: by ids, or all of some states that ended since a moment."""

    ids: tuple[str, ...] = ()
    failed: bool = False
    """Those that failed for good."""
    all: bool = False
    """Every one that is not running."""
    since_ms: int = 0
    qualifier: str | None = None
    """For `replay`: the version or alias to run them against in place of their own."""


class EventsDone(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation did: the events it was done to, with their new request ids where they got some."""

    ids: dict[str, str]
    more: bool = False
    """Whether there are more of them than are dealt with at once; ask again."""
