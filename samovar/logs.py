"""The log files of functions: their line format, and reading them. The invoker writes, gateways read.

A function's log is a folder of numbered segments; the highest number is being written. A line is

    <epoch ms> TAB <request id or -> TAB <log stream> TAB <text> NEWLINE

so `grep REQUEST_ID` works, and a text may hold anything but a newline. Output that is not UTF-8 is kept
byte for byte and decoded with replacement characters only when it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NO_REQUEST = "-"
SUFFIX = ".log"


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
