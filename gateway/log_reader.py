"""Reading functions' logs for a caller: the last lines, then new ones as they come. Files are read in threads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from samovar.logs.lines import LogLine, Position, read_from, segments

INTERVAL_S: Final = 0.25
"""How often files are looked at, and only while somebody follows."""
_BATCH: Final = 1000
"""Lines read at a time, so that a log that grows fast does not fill the memory."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted."""

    since_ms: int = 0
    """Epoch milliseconds of the oldest."""
    request_id: str | None = None
    function: str | None = None
    """Of a group that several may write to."""
    limit: int = 1000
    """The last so many of what has been written already; what is still to come is not limited."""

    def takes(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        if line.epoch_ms < self.since_ms or self.request_id not in (None, line.request_id):
            return False
        return self.function is None or f"/{self.function}[" in line.stream


def tail(folder: Path, selection: Selection) -> tuple[list[LogLine], Position]:
    """The last wanted lines, oldest first, and the position behind all that has been written. Blocking.

    Reads the newest file first and stops at the first one that cannot add anything.
    """
    numbers = segments(folder)
    found: list[LogLine] = []
    end = Position(numbers[-1]) if numbers else Position()
    for number in reversed(numbers):
        lines: deque[LogLine] = deque(maxlen=selection.limit - len(found))
        older = True
        for position, line in read_from(folder, Position(number)):
            if position.segment != number:
                break
            end = max(end, position)
            older = older and line.epoch_ms >= selection.since_ms
            if selection.takes(line):
                lines.append(line)
        found = [*lines, *found]
        if len(found) >= selection.limit or not older:
            break
    return found, end


def read_on(folder: Path, position: Position, selection: Selection) -> tuple[list[LogLine], Position]:
    """Wanted lines behind `position`, of at most a thousand read, and the position behind those. Blocking."""
    found: list[LogLine] = []
    for count, (after, line) in enumerate(read_from(folder, position), start=1):
        position = after
        if selection.takes(line):
            found.append(line)
        if count == _BATCH:
            break
    return found, position


async def follow(
    folder: Path, selection: Selection, stopping: asyncio.Event, interval_s: float = INTERVAL_S
) -> AsyncIterator[list[LogLine]]:
    """The last wanted lines, then every new one, until `stopping` is set or the caller stops asking."""
    lines, position = await asyncio.to_thread(tail, folder, selection)
    yield lines
    while not stopping.is_set():
        lines, after = await asyncio.to_thread(read_on, folder, position, selection)
        if lines:
            yield lines
        if after == position:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), interval_s)
        position = after
