"""What the platform says: its own lines and its children's, to a terminal or to rotated files.

Every child has the logger `samovar.up.NAME`. A child's line is given the level it names itself, so that
`log_level` holds for all of them alike.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Self

LAST_LINES = 20
MAX_LINE = 16 * 1024
"""Bytes after which a line without an end is passed on, so that a child cannot fill our memory."""
FILE_BYTES, OLD_FILES = 4 * 1024 * 1024, 2

_LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_VALKEY = re.compile(r"^\d+:[A-Z] .{20,28} ([.*#-]) ")
_SEAWEED = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")
_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}


def level_of(line: str) -> int:
    """The level a line names near its start, in Python's words, Valkey's marks or SeaweedFS's letters; else INFO."""
    if "Memory overcommit must be enabled" in line:  # Valkey's advice for hosts that are its own
        return logging.DEBUG
    named = _LEVEL.search(line, 0, 80)
    if named is not None:
        return logging.getLevelNamesMapping()[named[1]]
    mark = _VALKEY.match(line)
    if mark is not None:  # Valkey's mark for a warning stands before its good-bye, too
        return logging.INFO if mark[1] == "#" else logging.DEBUG
    seaweed = _SEAWEED.match(line)
    if seaweed is not None:  # its errors are often repaired by a retry of its own
        return logging.WARNING if seaweed[1] == "F" else logging.INFO if seaweed[1] == "E" else logging.DEBUG
    return logging.INFO


class TerminalFormatter(logging.Formatter):
    """`name │ line`, coloured by level where a person looks on."""

    def __init__(self, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        name = record.name.removeprefix("samovar.up").lstrip(".") or "samovar"
        text = f"{name:>10} │ {super().format(record)}"
        code = _COLOURS.get(record.levelno)
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text


def say_to_terminal(level: str) -> None:
    """Everything to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(TerminalFormatter(colour=wants_colour()))
    _use(logging.getLogger("samovar.up"), handler, level)


def wants_colour() -> bool:
    """Whether stdout is a terminal of somebody who has not refused colours (no-color.org: set, not empty)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say_to_files(folder: Path, level: str, children: list[str]) -> None:
    """The platform's lines to `samovar.log`, each child's to its own file, all bounded in size."""
    for name in ["samovar", *children]:
        handler = RotatingFileHandler(folder / f"{name}.log", maxBytes=FILE_BYTES, backupCount=OLD_FILES)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        _use(logging.getLogger("samovar.up" if name == "samovar" else f"samovar.up.{name}"), handler, level)


def _use(logger: logging.Logger, handler: logging.Handler, level: str) -> None:
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


class OutputPipe:
    """The pipe a child writes its stdout and stderr to, passed on line by line; a context manager.

    Read from the event loop without a task of its own.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self._read_end, self.write_end = os.pipe()
        self._writing = True
        os.set_blocking(self._read_end, False)

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._read_end, self._on_readable)
        return self

    def close_write_end(self) -> None:
        """Give up our copy of the write end, so that the pipe ends when the child does."""
        if self._writing:
            os.close(self.write_end)
            self._writing = False

    def __exit__(self, *_: object) -> None:
        """Pass on what is still in the pipe. A grandchild that kept the other end is not waited for."""
        self.close_write_end()
        asyncio.get_running_loop().remove_reader(self._read_end)
        while self._read():
            pass
        os.close(self._read_end)
        if self._rest:
            self._take(self._rest.decode(errors="replace"))

    def _on_readable(self) -> None:
        if not self._read():
            asyncio.get_running_loop().remove_reader(self._read_end)

    def _read(self) -> bool:
        try:
            data = os.read(self._read_end, 65536)
        except BlockingIOError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._take(line.decode(errors="replace").rstrip())
        return bool(data)


class Voice:
    """A child's logger, and its last lines for the message when it fails."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(f"samovar.up.{name}")
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def forget(self) -> None:
        """The child is started anew; what its former life said is no longer to blame."""
        self._last.clear()

    def take(self, line: str) -> None:
        """Log one line of the child."""
        if line.strip():
            self._last.append(line)
            self._log.log(level_of(line), "%s", line)

    @property
    def last_line(self) -> str:
        """The last line that was not blank."""
        return self._last[-1] if self._last else "it said nothing"

    @property
    def last_lines(self) -> str:
        """The last lines, for a person to read."""
        return "\n".join(self._last)
