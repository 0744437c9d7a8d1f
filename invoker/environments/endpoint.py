"""The platform's address inside a box: a port of the box's own loopback that is served from outside.

A box has a network of its own, which as a rule leads nowhere. Its keeper, before anything of the function's runs,
listens on loopback there and hands the listening socket to the invoker over a unix socket (unix(7), `SCM_RIGHTS`). A
socket stays in the network it was made in, whoever holds it: the invoker accepts what processes of the box connect,
and passes each connection on to the gateway. Nothing runs in the box for it, no route leads out of it, and the invoker
need not be root.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path

from invoker.environments.relay import Address, relay
from invoker.isolation.contract import PORTS_SOCKET

log = logging.getLogger("samovar.environment")

MAX_CONNECTIONS = 128
"""Of one box at once; more wait in its kernel's queue."""
_PAUSE_S = 1.0
"""After which it is tried again to accept when the invoker has run out of descriptors."""
_RECEIVED = 64


class Endpoint:
    """One box's way to the platform. Lives as long as its home."""

    def __init__(self, folder: Path, to: Address) -> None:
        """Wait in `folder` for the keeper; what is connected to inside is passed on to `to`. Raises `OSError`."""
        self._loop = asyncio.get_running_loop()
        self._to = to
        self._door: socket.socket | None = _listening(folder / PORTS_SOCKET)
        self._handover: socket.socket | None = None
        self._port: socket.socket | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._door, self._keeper_came)

    @property
    def is_open(self) -> bool:
        """Whether connections from inside are accepted, or were until it was closed."""
        return self._port is not None

    def _keeper_came(self) -> None:
        """Only the first to connect is listened to: it comes before the function."""
        assert self._door is not None, "it is listened at"
        with contextlib.suppress(BlockingIOError):
            self._handover, _ = self._door.accept()
            self._gone(self._door)
            self._door = None
            self._handover.setblocking(False)
            self._loop.add_reader(self._handover, self._handed_over)

    def _handed_over(self) -> None:
        assert self._handover is not None, "it is read from"
        try:
            _, descriptors, _, _ = socket.recv_fds(self._handover, _RECEIVED, 1)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("an environment has no endpoint: %s", error)
            descriptors = []
        self._gone(self._handover)
        self._handover = None
        for descriptor in descriptors:
            self._port = socket.socket(fileno=descriptor)
            self._port.setblocking(False)
            self._loop.add_reader(self._port, self._accept)

    def _accept(self) -> None:
        assert self._port is not None, "it is accepted from"
        self._retry = None
        try:
            connection, _ = self._port.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("connections from an environment wait: %s", error)
            self._loop.remove_reader(self._port)
            self._retry = self._loop.call_later(_PAUSE_S, self._go_on)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._pass_on(connection))
        self._relays.add(task)
        task.add_done_callback(self._passed_on)
        if len(self._relays) >= MAX_CONNECTIONS:
            self._loop.remove_reader(self._port)

    async def _pass_on(self, connection: socket.socket) -> None:
        try:
            await relay(connection, self._to)
        except OSError as error:  # a time-out is one
            log.warning("the gateway cannot be reached at %s port %d from an environment: %s", *self._to, error)

    def _passed_on(self, task: asyncio.Task[None]) -> None:
        self._relays.discard(task)
        if len(self._relays) == MAX_CONNECTIONS - 1:
            self._go_on()

    def _go_on(self) -> None:
        if self._port is not None:
            self._retry = None
            self._loop.add_reader(self._port, self._accept)

    def _gone(self, one: socket.socket) -> None:
        self._loop.remove_reader(one)
        one.close()

    def close(self) -> None:
        """Listen no more, and cut what is connected. Idempotent."""
        if self._retry is not None:
            self._retry.cancel()
        for one in (self._door, self._handover, self._port):
            if one is not None:
                self._gone(one)
        self._door = self._handover = self._port = None
        for task in self._relays:
            task.cancel()


def _listening(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        door.bind(str(path))
        path.chmod(0o666)  # the runtime runs as another user, and only its own box can see the folder
        door.listen(1)
    except OSError:
        door.close()
        raise
    return door
