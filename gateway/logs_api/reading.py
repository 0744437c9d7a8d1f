"""Reading events: forwards or backwards from a place, within bounds. Everything here blocks and runs in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from samovar.logs.lines import CLOCK_SLACK_MS, LogLine, Position, position_at, read_back, read_from

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 1024 * 1024
"""Of messages in one answer, as with AWS."""
MOST_LINES: Final = 200_000
"""Looked at for one answer; a caller who gets a token instead of events comes back."""
YIELD_EVERY: Final = 500
"""Lines after which other threads get a turn: calls to functions are served by one of them."""
FOR_EVER: Final = 2**62
LAST: Final = Position(2**62, 2**62)
"""Behind everything."""


class Event(NamedTuple):
    """A line with the place behind it, which is what tells it from all others."""

    position: Position
    line: LogLine

    @property
    def message(self) -> str:
        """As CloudWatch has it: with the newline."""
        return f"{self.line.text}\n"

    @property
    def id(self) -> str:
        """56 digits, ordered as the lines of a group are."""
        return event_id(self.line.epoch_ms, self.position)


def event_id(epoch_ms: int, position: Position) -> str:
    """See `Event.id`."""
    return f"{epoch_ms:014d}{position.segment:020d}{position.offset:022d}"


def place_of(event: str) -> Position:
    """The place an event's id tells. Raises `ValueError`."""
    if len(event) != 56 or not event.isascii() or not event.isdigit():
        raise ValueError(f"{event} is no id of an event")
    return Position(int(event[14:34]), int(event[34:]))


class Wanted(NamedTuple):
    """Which events are asked for."""

    start_ms: int
    end_ms: int
    """The first millisecond that is not wanted."""
    takes: Callable[[LogLine], bool]
    """Whether a line of that time is wanted."""
    limit: int = MOST_EVENTS


class Page(NamedTuple):
    """One answer's events, in the order they were read."""

    events: list[Event]
    position: Position
    """Where to read on."""
    is_last: bool
    """There was nothing more to read."""


def forwards(folder: Path, after: Position, wanted: Wanted) -> Page:
    """Events behind `after`, oldest first."""
    begin = max(after, position_at(folder, wanted.start_ms)) if wanted.start_ms else after
    too_late = wanted.end_ms + CLOCK_SLACK_MS
    return _page(read_from(folder, begin), begin, wanted, lambda stamp: stamp >= too_late)


def backwards(folder: Path, before: Position, wanted: Wanted) -> Page:
    """Events ahead of `before`, newest first."""
    too_early = wanted.start_ms - CLOCK_SLACK_MS
    lines = (found for found in read_back(folder, before) if found[0] < before)
    return _page(lines, before, wanted, lambda stamp: stamp < too_early)


def _page(
    lines: Iterator[tuple[Position, LogLine]], begin: Position, wanted: Wanted, is_beyond: Callable[[int], bool]
) -> Page:
    events: list[Event] = []
    size, position = 0, begin
    for count, (place, line) in enumerate(lines, start=1):
        if is_beyond(line.epoch_ms):
            break
        if wanted.start_ms <= line.epoch_ms < wanted.end_ms and wanted.takes(line):
            size += len(line.text)
            if len(events) == wanted.limit or (events and size > MOST_BYTES):
                return Page(events, position, is_last=False)
            events.append(Event(place, line))
        position = place
        if count == MOST_LINES:
            return Page(events, position, is_last=False)
        if count % YIELD_EVERY == 0:
            time.sleep(0)
    return Page(events, position, is_last=True)
