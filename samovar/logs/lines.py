"""The log files of functions: their line format, and reading them. The invoker writes, gateways read.

A function's log is a folder of numbered segments; the highest number is being written. A line is

    <epoch ms> TAB <request id or -> TAB <log stream> TAB <text> NEWLINE

so `grep REQUEST_ID` works, and a text may hold anything but a newline. Output that is not UTF-8 is kept
byte for byte and decoded with replacement characters only when it is shown. The first segment of a log is numbered
by the second of its first line, so that no position in it ever meant a line of a log of that name deleted before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

NO_REQUEST = "-"
SUFFIX = ".log"
MAX_LINE_BYTES = 256 * 1024
"""A longer line of output is cut into several, as CloudWatch cuts events."""
CLOCK_SLACK_MS = 60_000
"""Lines stand in the order they arrived in. So far may a clock have been set back in between and all be found."""
_BLOCK = 4 * MAX_LINE_BYTES
"""Read at a time when reading backwards; it holds at least one whole line."""


class Position(NamedTuple):
    """A place in a function's log: everything before it has been read."""

    segment: int = 0
    offset: int = 0


class LogLine(NamedTuple):
    """One line of output."""

    epoch_ms: int
    request_id: str
    stream: str
    text: str


def folder_of(logs_dir: Path, region: str, name: str) -> Path:
    """Where a function's segments are."""
    return logs_dir / region / name


def segment_path(folder: Path, number: int) -> Path:
    """The file of one segment."""
    return folder / f"{number:08d}{SUFFIX}"


def segments(folder: Path) -> list[int]:
    """The numbers of the segments that exist, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())


def line_prefix(request_id: str, stream: str) -> bytes:
    """What all lines of one invocation have between stamp and text."""
    return f"\t{request_id}\t{stream}\t".encode()


def stamp_line(epoch_ms: bytes, prefix: bytes, text: bytes) -> bytes:
    """One line as it stands in the file, from its `line_prefix`. `text` has no newline."""
    return b"%b%b%b\n" % (epoch_ms, prefix, text)


def format_line(epoch_ms: int, request_id: str, stream: str, text: bytes) -> bytes:
    """One line as it stands in the file. `text` has no newline."""
    return stamp_line(b"%d" % epoch_ms, line_prefix(request_id, stream), text)


def parse_line(raw: bytes) -> LogLine:
    """Read a line back. Raises `ValueError` on a line this module did not format."""
    stamp, request_id, stream, text = raw.rstrip(b"\n").split(b"\t", 3)
    return LogLine(int(stamp), request_id.decode(), stream.decode(), text.decode(errors="replace"))


def end_of(folder: Path) -> Position:
    """The position after the last complete line written so far."""
    numbers = segments(folder)
    if not numbers:
        return Position()
    return Position(numbers[-1], segment_path(folder, numbers[-1]).stat().st_size)


def read_from(folder: Path, position: Position) -> Iterator[tuple[Position, LogLine]]:
    """Every complete line after `position`, each with the position behind it.

    Segments that rotation has deleted are passed over, and so are lines that were damaged on the disk; an
    incomplete last line is left for the next call.
    """
    for number in segments(folder):
        if number < position.segment:
            continue
        offset = position.offset if number == position.segment else 0
        try:
            file = segment_path(folder, number).open("rb")
        except FileNotFoundError:
            continue
        with file:
            file.seek(offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                offset += len(raw)
                try:
                    line = parse_line(raw)
                except ValueError:
                    continue  # damaged on the disk; its neighbours are not
                yield Position(number, offset), line


def read_back(folder: Path, before: Position) -> Iterator[tuple[Position, LogLine]]:
    """Every complete line that ends at `before` or ahead of it, newest first, each with the position behind it.

    As `read_from`, it passes over what rotation has deleted and what was damaged.
    """
    for number in reversed(segments(folder)):
        if number > before.segment:
            continue
        try:
            file = segment_path(folder, number).open("rb")
        except FileNotFoundError:
            continue
        with file:
            size = file.seek(0, os.SEEK_END)
            end = min(size, before.offset) if number == before.segment else size
            for offset, raw in _lines_back(file, end):
                try:
                    line = parse_line(raw)
                except ValueError:
                    continue
                yield Position(number, offset), line


def _lines_back(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """The complete lines of the first `end` bytes, last one first, each with the offset behind it."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        block = file.read(end - begin)
        behind = block.rfind(b"\n") + 1
        first = block.find(b"\n") + 1 if begin else 0
        if first >= behind:
            end = begin  # no line of ours is as long as a block
            continue
        end = begin + first
        for raw in reversed(block[first : behind - 1].split(b"\n")):
            yield begin + behind, raw
            behind -= len(raw) + 1


def position_at(folder: Path, epoch_ms: int) -> Position:
    """A place behind which every line from `epoch_ms` on is, and few earlier ones (see `CLOCK_SLACK_MS`)."""
    wanted = epoch_ms - CLOCK_SLACK_MS
    found = Position()
    for number in reversed(segments(folder)):
        try:
            with segment_path(folder, number).open("rb") as file:
                offset = _offset_at(file, wanted)
        except FileNotFoundError:
            break  # rotation took it, and what is older
        found = Position(number, offset)
        if offset:
            break
    return found


def _offset_at(file: BinaryIO, wanted: int) -> int:
    """Where the first line begins that is stamped `wanted` or later; the file's end if there is none."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while low < high:
        middle = (low + high) // 2
        stamp = _next_stamp(file, middle)
        if stamp is not None and stamp < wanted:
            low = middle + 1
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline()
    return file.tell()


def _next_stamp(file: BinaryIO, offset: int) -> int | None:
    """Of the first line that begins behind `offset`, or at the start of the file."""
    file.seek(offset)
    if offset:
        file.readline()
    for raw in file:
        stamp = raw.partition(b"\t")[0]
        if stamp.isdigit():
            return int(stamp)
    return None


def erase(folder: Path, stream: str) -> int:
    """Overwrite every line of a stream; how many. Only the stamps stay, so that no other line changes its place.

    Blocking. Lines that are written meanwhile are left alone: they make a new stream of that name.
    """
    middle = f"\t{stream}\t".encode()
    erased = 0
    for number in segments(folder):
        with segment_path(folder, number).open("r+b") as file:
            offset = 0
            for raw in iter(file.readline, b""):
                if middle in raw and raw.endswith(b"\n") and _is_of(raw, stream):
                    stamp, _, rest = raw.partition(b"\t")
                    os.pwrite(file.fileno(), b"%b\t%b\n" % (stamp, b"#" * (len(rest) - 1)), offset)
                    erased += 1
                offset += len(raw)
    return erased


def _is_of(raw: bytes, stream: str) -> bool:
    try:
        return parse_line(raw).stream == stream
    except ValueError:
        return False


def size_of(folder: Path) -> int:
    """Bytes of all segments."""
    size = 0
    for number in segments(folder):
        with suppress(FileNotFoundError):  # rotation took it meanwhile
            size += segment_path(folder, number).stat().st_size
    return size
