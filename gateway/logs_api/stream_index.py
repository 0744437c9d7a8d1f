"""Which streams a log has, and from when to when they go. Files are read once, and on from there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final

from gateway.logs_api.reading import YIELD_EVERY
from samovar.logs.groups import LogGroup
from samovar.logs.lines import Position, read_from, segments

_GROUPS: Final = 64
"""Of which what was read is kept."""


class Span:
    """The time between a stream's first line and its last."""

    __slots__ = ("first_ms", "last_ms")

    def __init__(self, first_ms: int, last_ms: int) -> None:
        self.first_ms = first_ms
        self.last_ms = last_ms

    def include(self, first_ms: int, last_ms: int) -> None:
        """Reach so far, too."""
        self.first_ms = min(self.first_ms, first_ms)
        self.last_ms = max(self.last_ms, last_ms)


class _Read:
    """What is known of one log."""

    def __init__(self, group: LogGroup) -> None:
        self.made_of = (group.created_ms, group.erasures)
        self.position = Position()
        self.segments: dict[int, dict[str, Span]] = {}


class StreamIndex:
    """See the module. Its methods block, and may be called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, _Read] = OrderedDict()

    def streams(self, folder: Path, group: LogGroup, now_ms: int) -> dict[str, Span]:
        """The streams that have lines which their group's retention leaves."""
        with self._lock:
            read = self._up_to_date(folder, group)
            found: dict[str, Span] = {}
            for spans in read.segments.values():
                for stream, span in spans.items():
                    found.setdefault(stream, Span(span.first_ms, span.last_ms)).include(span.first_ms, span.last_ms)
        oldest = group.oldest_ms(now_ms)
        return {stream: span for stream, span in found.items() if span.last_ms >= oldest}

    def _up_to_date(self, folder: Path, group: LogGroup) -> _Read:
        read = self._known.get(folder)
        if read is None or read.made_of != (group.created_ms, group.erasures):
            read = self._known[folder] = _Read(group)
        self._known.move_to_end(folder)
        while len(self._known) > _GROUPS:
            self._known.popitem(last=False)
        for count, (position, line) in enumerate(read_from(folder, read.position)):
            read.position = position
            if count % YIELD_EVERY == 0:
                time.sleep(0)
            spans = read.segments.setdefault(position.segment, {})
            span = spans.get(line.stream)
            if span is None:
                spans[line.stream] = Span(line.epoch_ms, line.epoch_ms)
            else:
                span.include(line.epoch_ms, line.epoch_ms)
        for rotated in read.segments.keys() - set(segments(folder)):
            del read.segments[rotated]
        return read
