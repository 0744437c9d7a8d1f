"""The mailbox: where a worker finds its events, one packet each, as soon as it has answered the one before.

The invoker keeps a second hold on the same socket and may take back what has not been taken out. What the worker says
about its output lets the invoker tell apart what two calls have printed of which it learns at once; see
docs/runtime-protocol.md. Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.python import bootstrap
else:
    import __main__ as bootstrap  # the file this process runs; under its own name it would be read a second time

LARGEST_PACKET = 64 * 1024
NOTHING = b"\0\0\0\0"


class Mailbox:
    """See the module. Takes over a connection's descriptor of it, and its events."""

    def __init__(self, connection: bootstrap.Connection) -> None:
        self._connection = connection
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, connection.mailbox)
        self._socket.setblocking(True)  # whatever the function has made the default
        self._output = os.dup(1)
        self._has_printed = False

    def messages(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Events as `(number, head, event)`, until the invoker is gone.

        The deadline of one that lay ready is given from now on: its head ends with the time at which it was taken.
        """
        packet = bytearray(LARGEST_PACKET)
        view = memoryview(packet)
        header = bootstrap.HEADER
        large = self._connection.messages(bootstrap.EVENT, within_mailbox=True)
        while True:
            try:
                size = self._socket.recv_into(packet)
            except ConnectionError:
                return
            if not size:
                return
            length, number, head_length, _, flags = header.unpack_from(packet)
            if not flags & bootstrap.END:
                message = next(large, None)
                if message is None:
                    return
                yield message
                continue
            middle = header.size + head_length
            head = bytes(view[header.size : middle])
            if flags & bootstrap.LAID:
                head = b'{"taken_ms": %d, ' % (time.time() * 1000) + head[1:]
                if self._has_printed:
                    self._mark(number)
            yield number, head, bytes(view[middle : header.size + length])

    def has_output_unread(self) -> bool:
        """Whether the invoker has not read all that was printed, by this process or others with the same output."""
        try:
            unread = fcntl.ioctl(self._output, termios.TIOCOUTQ, NOTHING) != NOTHING
        except OSError:
            unread = True  # the function has put something else in its place
        self._has_printed = self._has_printed or unread
        return unread

    def _mark(self, number: int) -> None:
        """Say in the output where that of an event begins."""
        try:
            os.write(self._output, bootstrap.MARK % number)
        except OSError:
            return  # as above; then its lines are told apart by when they arrive
