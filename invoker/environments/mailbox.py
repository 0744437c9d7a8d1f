"""Where a worker finds its events: a socket from which it takes one when it has answered the one before.

The invoker keeps a hold on the worker's end, too: what lies in there and has not been taken it can take back, and the
kernel decides who was first. So an event may lie ready for a worker that is still busy, and yet is given exactly once.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection
from typing import Protocol

from samovar.link.wire import EVENT, HEADER, MAILBOX, encode


class Connection(Protocol):
    """What a worker is reached by."""

    def duplicate(self) -> socket.socket:
        """Another hold on it."""
        ...


LARGEST_PACKET = 64 * 1024
"""Larger events go over the worker's connection, and are announced here."""
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF)


class Mailbox:
    """See the module. One worker's."""

    def __init__(self) -> None:
        """Raises `OSError`."""
        self._mine, self._workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._mine.setblocking(False)
        self._workers.shutdown(socket.SHUT_WR)  # nobody reads what a worker might write into it

    def offer(self, channel: Connection) -> None:
        """Give the worker its end, over a connection on which nothing has been sent yet. Raises `OSError`."""
        with channel.duplicate() as connection:
            socket.send_fds(connection, [encode(MAILBOX, 0)], [self._workers.fileno()])

    def put(self, packet: bytes) -> bool:
        """Add an event. Whether nothing has gone wrong; a worker that is gone is noticed elsewhere."""
        try:
            self._mine.send(packet)
        except OSError as error:
            return error.errno in _GONE
        return True

    def announce(self, number: int) -> bool:
        """As `put`, for an event that goes over the worker's connection."""
        return self.put(encode(EVENT, number, flags=0))

    def take_back(self, numbers: Collection[int], *, is_given_up: bool = False) -> list[int]:
        """Take these events, behind which there are no others, back from a worker that has not taken them.

        None of them, while one in front of them still lies there, because the worker has not even woken up for it:
        it would take what is behind it as soon as that is in front. A worker that is given up gets nothing any more.
        """
        found: list[int] = []
        with contextlib.suppress(OSError):  # it is empty, or closed
            while is_given_up or self._number(socket.MSG_PEEK) in numbers:
                number = self._number(0)
                if number in numbers:
                    found.append(number)
        return found

    def _number(self, flags: int) -> int:
        """That of the next event; it stays with `MSG_PEEK`. Raises `OSError` when there is none."""
        packet = self._workers.recv(LARGEST_PACKET, flags | socket.MSG_DONTWAIT)
        if not packet:
            raise ConnectionResetError("the mailbox is closed")
        number: int = HEADER.unpack_from(packet)[1]
        return number

    def close(self) -> None:
        """Let go of both ends; the worker, if it lives, finds no more."""
        self._mine.close()
        self._workers.close()
