"""Whose lines are whose, where several events run at once: each process of the runtime prints over a connection.

AWS's clients connect to the socket that `_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET` names and print there. The kernel
says which process is at the other end of that, and which one asked for an event over HTTP: while a process has one
event, what it prints belongs to that. Those that have several (a thread for each) write the request id into their
records.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial

VARIABLE = "_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET"
_CREDENTIALS = struct.Struct("iII")
"""`struct ucred`; see unix(7)."""
_READ_BYTES = 65536
_MOST_BYTES = 128 * 1024
"""Of an unfinished line; what is longer is passed on in pieces, which fit into one frame."""

_LAST_WORDS_S = 0.05
"""An answer that a process sent just before its end is read first."""

Printed = Callable[[int | None, bytes], None]
"""Told whole lines, and the number of the event they belong to: 0 for none, `None` if that cannot be told."""
Ended = Callable[[Iterable[int]], None]
"""Told that a process is gone, and the numbers of the events it had and may have answered."""


class Printers:
    """Owner of those connections."""

    def __init__(self, path: str, printed: Printed, process_ended: Ended) -> None:
        """Listen at `path`."""
        self._loop = asyncio.get_running_loop()
        self._printed = printed
        self._process_ended = process_ended
        self._rests: dict[socket.socket, bytes] = {}
        self._pids: dict[socket.socket, int] = {}
        self._events: dict[int, set[int]] = {}
        """Process → the numbers of the events it has."""
        self._watched: dict[int, int] = {}
        """Process → the descriptor that is readable when it has ended; for each that has connected."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of a worker before us
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(path)
        self._listener.listen(64)
        self._loop.add_reader(self._listener, self._accept)

    def took(self, pid: int | None, number: int) -> None:
        """A process has been given an event."""
        self.drain()
        if pid is not None:
            self._events.setdefault(pid, set()).add(number)

    def ended(self, number: int) -> None:
        """An event has been answered: take in what was printed for it, and no more."""
        self.drain(number)
        for events in self._events.values():
            events.discard(number)

    def drain(self, number: int | None = None) -> None:
        """Pass on what has been printed by now, for an event whose last line need not have an end."""
        self._accept()
        for connection in list(self._rests):
            while self._read(connection):
                pass
            rest = self._rests.get(connection)
            if rest and number is not None and self._event_of(connection) == number:
                self._rests[connection] = b""
                self._printed(number, rest)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                self._pids[connection] = pid = _CREDENTIALS.unpack(credentials)[0]
                self._watch(pid)
                self._rests[connection] = b""
                self._loop.add_reader(connection, partial(self._read, connection))

    def _watch(self, pid: int) -> None:
        """Hear of a process's end: who has forked it tells nobody, and its callers would wait in vain.

        Those that never connect may be a shell's, one for each request, and end as they please.
        """
        if pid in self._watched:
            return
        try:
            self._watched[pid] = descriptor = os.pidfd_open(pid)
        except OSError:
            return  # it has ended already, or gVisor, which has no such call: then its callers time out
        self._loop.add_reader(descriptor, self._end_of, pid)

    def _end_of(self, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
        self._loop.call_later(_LAST_WORDS_S, lambda: self._process_ended(tuple(self._events.pop(pid, ()))))

    def _event_of(self, connection: socket.socket) -> int | None:
        events = self._events.get(self._pids[connection], set())
        return next(iter(events), 0) if len(events) < 2 else None

    def _read(self, connection: socket.socket) -> bool:
        """Read once; whether there may be more."""
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        whole, newline, rest = (self._rests[connection] + data).rpartition(b"\n")
        if not data or len(rest) > _MOST_BYTES:
            whole, newline, rest = whole + newline + rest, b"", b""
        if whole or newline:
            self._printed(self._event_of(connection), whole)
        self._rests[connection] = rest
        if not data:
            self._loop.remove_reader(connection)
            del self._rests[connection], self._pids[connection]
            connection.close()
        return len(data) == _READ_BYTES


def process_at(port: int) -> int | None:
    """The process that has the other end of a loopback connection from that port; `None` if that cannot be seen."""
    wanted = f"socket:[{_inode(port)}]"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return int(pid)
    return None


def _inode(port: int) -> str:
    """As proc(5) has it: the second field is the local address, in hexadecimal, and the tenth the inode."""
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}"):
                return fields[9]
    return "none"
