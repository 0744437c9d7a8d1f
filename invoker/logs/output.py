"""What functions print: taken from environments, tied to the invocation, kept in rotated files."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from invoker.environments.marks import MOST_UNFINISHED, Marks
from invoker.logs.filtering import Filter
from samovar.clock import Clock
from samovar.invocation import LOG_TAIL_BYTES
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs

log = logging.getLogger("samovar.output")

_READ_SIZE = 64 * 1024
_OPEN_FILES = 128


class LogFiles:
    """Owner of all log files. Lines of one event-loop turn reach a file in one write."""

    def __init__(self, folder: Path, max_bytes: int, max_files: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._open: OrderedDict[tuple[str, str], _Segment] = OrderedDict()
        self._waiting: dict[tuple[str, str], list[bytes]] = {}
        self._lost_lines = 0

    def append(self, function: tuple[str, str], lines: list[bytes]) -> None:
        """Add formatted lines (`samovar.logs.lines.stamp_line`) to the log of a function, by its region and name."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        waiting = self._waiting.get(function)
        if waiting is None:
            self._waiting[function] = lines
        else:
            waiting += lines

    def finish(self, region: str, name: str) -> None:
        """Write what is waiting and close a function's file: it has been deleted, and its log may be too."""
        self.flush()
        self._close((region, name))

    def delete(self, region: str, name: str) -> None:
        """Remove a function's lines and its group; what it writes from now on makes a new one."""
        self.finish(region, name)
        folder = logs.folder_of(self._folder, region, name)
        log_groups.remove(folder)
        for number in logs.segments(folder):
            logs.segment_path(folder, number).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody put a file of theirs into it, or another group is in it
            for each in log_groups.folders(self._folder, region, name):
                each.rmdir()

    def expire(self, region: str, name: str, before_ms: int) -> None:
        """Remove the segments in which no line is stamped `before_ms` or later."""
        self.finish(region, name)
        folder = logs.folder_of(self._folder, region, name)
        for number in logs.segments(folder):
            path = logs.segment_path(folder, number)
            if path.stat().st_mtime * 1000 < before_ms:
                path.unlink(missing_ok=True)

    def flush(self) -> None:
        """Write what is waiting. Lines that the disk does not take are counted, said once, and dropped."""
        waiting, self._waiting = self._waiting, {}
        for key, lines in waiting.items():
            try:
                self._segment(key, lines[0]).write(b"".join(lines))
            except OSError as error:
                if self._lost_lines == 0:
                    log.error("log lines are being lost: %s; make room on the disk of %s", error, self._folder)
                self._lost_lines += len(lines)
                self._close(key)
            else:
                if self._lost_lines:
                    log.warning("log files can be written again; %d lines were lost", self._lost_lines)
                    self._lost_lines = 0

    def close(self) -> None:
        """Write what is waiting and close every file."""
        self.flush()
        for key in list(self._open):
            self._close(key)

    def _segment(self, key: tuple[str, str], line: bytes) -> _Segment:
        """The file to write to, of which `line` will be the next line."""
        segment = self._open.get(key)
        if segment is None or segment.size >= self._max_bytes:
            segment = self._next_segment(key, line)
        self._open.move_to_end(key)
        while len(self._open) > _OPEN_FILES:
            self._close(next(iter(self._open)))
        return segment

    def _next_segment(self, key: tuple[str, str], line: bytes) -> _Segment:
        folder = logs.folder_of(self._folder, *key)
        numbers = logs.segments(folder)
        stamp_ms = int(line.partition(b"\t")[0])
        if not numbers and log_groups.read(folder) is None:
            folder.mkdir(parents=True, exist_ok=True)
            log_groups.write(folder, log_groups.LogGroup(created_ms=stamp_ms))
        number = numbers[-1] if numbers else stamp_ms // 1000
        full = bool(numbers) and logs.segment_path(folder, number).stat().st_size >= self._max_bytes
        if full:
            number += 1
        self._close(key)
        segment = self._open[key] = _Segment(logs.segment_path(folder, number))
        if full:
            for old in numbers[: max(0, len(numbers) + 1 - self._max_files)]:
                logs.segment_path(folder, old).unlink(missing_ok=True)
        return segment

    def _close(self, key: tuple[str, str]) -> None:
        segment = self._open.pop(key, None)
        if segment is not None:
            segment.close()


class _Segment:
    """One open log file."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self.size += written
            view = view[written:]

    def close(self) -> None:
        os.close(self._fd)


class InvocationLog:
    """The lines of one invocation (or of an initialisation), and their last 4 KB if somebody will want them."""

    def __init__(self, write: Callable[[bytes, tuple[bytes, ...]], None], prefix: bytes, *, keep_tail: bool) -> None:
        self._write = write
        self._prefix = prefix
        self._keep_tail = keep_tail
        self._tail: list[bytes] = []
        self._tail_size = 0

    def lines(self, *texts: bytes) -> None:
        """Keep some lines, without their newlines."""
        if not texts:
            return
        self._write(self._prefix, texts)
        if not self._keep_tail:
            return
        for text in texts:
            self._tail.append(text)
            self._tail_size += len(text) + 1
        while len(self._tail) > 1 and self._tail_size - len(self._tail[0]) - 1 >= LOG_TAIL_BYTES:
            self._tail_size -= len(self._tail.pop(0)) + 1

    def tail(self) -> bytes:
        """The last 4 KB, cut at a byte as Lambda does."""
        return b"".join(line + b"\n" for line in self._tail)[-LOG_TAIL_BYTES:]


class OutputListener:
    """Receives stdout and stderr of one environment's workers over a unix socket.

    The sockets are read by hand instead of by asyncio, because `drain` must be able to take, at a given
    moment, every byte the worker wrote before that moment.
    """

    def __init__(self, path: Path, deliver: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._deliver = self._line = deliver
        """`_line` takes marks out, where there may be any."""
        self._partial = b""
        self._connections: set[socket.socket] = set()
        self._marks: Marks | None = None
        """Once events may begin in the worker before the invoker knows of it, and lines have been printed."""
        self.is_ambiguous: Callable[[], bool] | None = None
        """Asked while there are no marks: whether what can be read is to wait, as it may be of a call to come."""
        self._is_held = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._connections.add(connection)
            self._loop.add_reader(connection, self._look, connection)

    def drain(self, *, newcomers: bool = False, unfinished: bool = True) -> None:
        """Deliver every line that has been written so far; an unfinished last line counts as one.

        `newcomers` also takes connections that were opened before now but not noticed yet. Without `unfinished`, such
        a line waits for its end.
        """
        if newcomers:
            self._accept()
        for connection in tuple(self._connections):
            while self._read(connection):
                pass
        if unfinished:
            self.end_line()

    def end_line(self) -> None:
        """Deliver an unfinished last line; all that was written before has been read."""
        if self._partial and not (self._marks is not None and self._marks.is_ahead):
            self._line(self._partial)
            self._partial = b""

    def expect_marks(self) -> None:
        """From now on, the worker marks where an event begins that has lain ready for it."""
        if self._marks is None:
            self._marks = Marks(self._deliver)
            self._line = self._marks.take

    def begin(self, number: int) -> None:
        """An event has begun that lay ready."""
        if self._marks is not None:
            self._marks.begin(number)
        self.release()

    def release(self) -> None:
        """Read on, if that had to wait."""
        if self._is_held:
            self._is_held = False
            for connection in self._connections:
                self._loop.add_reader(connection, self._look, connection)

    def forget_marks(self) -> None:
        """The worker is gone."""
        if self._marks is not None:
            self._marks.forget()
            self._marks = None
            self._line = self._deliver
        self.release()

    def _look(self, connection: socket.socket) -> None:
        """Something can be read."""
        if self._marks is None and self.is_ambiguous is not None and self.is_ambiguous():
            self._is_held = True
            for one in self._connections:
                self._loop.remove_reader(one)
        else:
            self._read(connection)

    def _read(self, connection: socket.socket) -> bool:
        """Read once; whether there may be more."""
        try:
            data = connection.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(connection)
            self._connections.discard(connection)
            connection.close()
            return False
        *lines, rest = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(rest) > MOST_UNFINISHED:
            self._line(rest[: logs.MAX_LINE_BYTES])
            rest = rest[logs.MAX_LINE_BYTES :]
        self._partial = rest
        return len(data) == _READ_SIZE

    def close(self) -> None:
        """Stop listening. Output that was not drained is dropped."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for connection in self._connections:
            self._loop.remove_reader(connection)
            connection.close()
        self._connections.clear()


class EnvironmentLog:
    """The log of one environment: sends each line to the file, tied to the invocation that is running."""

    def __init__(
        self, files: LogFiles, clock: Clock, region: str, folder: str, stream: str, wanted: Filter | None = None
    ) -> None:
        """`folder` is that of the log's group. Lines of output that `wanted` does not want are dropped."""
        self._wanted = wanted
        self._files = files
        self._clock = clock
        self._file = (region, folder)
        self.stream = stream
        self._no_request = logs.line_prefix(logs.NO_REQUEST, stream)
        self._current: InvocationLog | None = None
        """Of the invocation that runs alone; of several, `None`."""
        self._running: dict[str, InvocationLog] = {}

    def begin(self, request_id: str, *, keep_tail: bool = True) -> InvocationLog:
        """Lines from now on belong to this invocation, until `end`."""
        prefix = logs.line_prefix(request_id, self.stream)
        self._current = InvocationLog(self._write, prefix, keep_tail=keep_tail)
        return self._current

    def join(self, request_id: str, *, keep_tail: bool = True) -> InvocationLog:
        """As `begin`, for one of several that may run at once; `leave` is its end."""
        begun = self._running[request_id] = self.begin(request_id, keep_tail=keep_tail)
        if len(self._running) > 1:
            self._current = None
        return begun

    def leave(self, request_id: str) -> None:
        """An invocation that has joined is over."""
        self._running.pop(request_id, None)
        self._current = next(iter(self._running.values())) if len(self._running) == 1 else None

    def end(self) -> None:
        """Lines from now on belong to no invocation: threads that outlive theirs."""
        self._current = None

    def line(self, text: bytes) -> None:
        """A line of output arrived."""
        if self._wanted is not None and not self._wanted(text):
            return
        if self._current is not None:
            self._current.lines(text)
        elif self._running:
            self._of_one_of_several(text)
        else:
            self._write(self._no_request, (text,))

    def line_of(self, request_id: str, text: bytes) -> None:
        """A line of output arrived, and it is known whose it is."""
        if self._wanted is not None and not self._wanted(text):
            return
        owner = self._running.get(request_id)
        if owner is not None:
            owner.lines(text)
        else:
            self._write(self._no_request, (text,))

    def _of_one_of_several(self, text: bytes) -> None:
        """It belongs to the call whose id it names, as the records of loggers do; else it cannot be told to whose."""
        named = [one for request_id, one in self._running.items() if request_id.encode() in text]
        if len(named) == 1:
            named[0].lines(text)
        else:
            self._write(self._no_request, (text,))

    def _write(self, prefix: bytes, texts: tuple[bytes, ...]) -> None:
        stamp = b"%d" % (self._clock.epoch() * 1000)
        self._files.append(self._file, [logs.stamp_line(stamp, prefix, text) for text in texts])
