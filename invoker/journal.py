"""The journal of meter readings: a local file that a reading reaches before its answer leaves.

An append is one `write(2)`, so it survives `kill -9` of any process (not a power cut: the kernel writes the
page to disk within seconds). Redis gets the readings from here (`metering.py`), which keeps it off the path
of a call and lets calls go on while Redis is away.

A journal is a folder of numbered segments with one JSON reading a line. A place in it is `segment:offset`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from samovar.invocation import Reading

_SEGMENT_BYTES = 8 * 1024 * 1024
_SUFFIX = ".readings"


class Cursor(NamedTuple):
    """Everything before this place has been taken over."""

    segment: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read `segment:offset`."""
        segment, _, offset = text.partition(":")
        return cls(int(segment), int(offset))

    def __str__(self) -> str:
        return f"{self.segment}:{self.offset}"


class Journal:
    """Owner of the journal's files. One process at a time; the data directory's lock sees to that."""

    def __init__(self, folder: Path, journal_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.id = journal_id
        """Names this journal's cursor in Redis; the same for the same folder, always."""
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Reading)
        numbers = self._numbers()
        self._segment = numbers[-1] + 1 if numbers else 1
        self._fd = -1
        self._size = 0
        self.unreadable_lines = 0
        self._open_segment()

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}"))

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:010d}{_SUFFIX}"

    def _open_segment(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path(self._segment), flags, 0o600)
        self._size = 0

    @property
    def end(self) -> Cursor:
        """The place behind the last reading."""
        return Cursor(self._segment, self._size)

    @property
    def start(self) -> Cursor:
        """The place of the oldest reading that is still here."""
        return Cursor(self._numbers()[0], 0)

    def append(self, readings: list[Reading]) -> None:
        """Make readings safe. Raises `OSError` when the disk does not take them; then none was kept."""
        lines = self._encoder.encode_lines(readings)
        written = os.write(self._fd, lines)
        if written != len(lines):
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, "the journal's disk is full")
        self._size += written
        if self._size >= _SEGMENT_BYTES:
            os.close(self._fd)
            self._segment += 1
            self._open_segment()

    def read(self, cursor: Cursor, limit: int) -> tuple[list[Reading], Cursor]:
        """Up to `limit` readings from `cursor` on, and the place behind them.

        A line cut short by a power cut is counted in `unreadable_lines` and passed over.
        """
        readings: list[Reading] = []
        for place, line in self._lines(cursor):
            cursor = place
            try:
                readings.append(self._decoder.decode(line))
            except msgspec.DecodeError:
                self.unreadable_lines += 1
            if len(readings) >= limit:
                break
        return readings, cursor

    def _lines(self, cursor: Cursor) -> Iterator[tuple[Cursor, bytes]]:
        for number in self._numbers():
            if number < cursor.segment:
                continue
            offset = cursor.offset if number == cursor.segment else 0
            with self._path(number).open("rb") as file:
                file.seek(offset)
                for line in file:
                    offset += len(line)
                    yield Cursor(number, offset), line

    def release(self, cursor: Cursor) -> None:
        """Delete the segments that lie wholly before `cursor`."""
        for number in self._numbers():
            if number < cursor.segment:
                self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the segment being written."""
        os.close(self._fd)
