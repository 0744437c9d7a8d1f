"""Asking the supervisor for what is started only when it is needed. One line there, one line back.

The supervisor listens at an abstract unix socket (unix(7)), whose name the kernel chooses: it ends with its process,
however that ends, and leaves nothing in the file system. Such a socket has no permissions, so each side looks at who
the other one is. The name is in the state file, which only the platform's user may read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

from samovar.errors import ServiceUnavailable
from samovar.settings import Settings
from samovar.supervisor import state

READY: Final = "ready"
RESTS: Final = 79
"""Exit status of a child that has nothing to do and is to be started again when it is asked for. sysexits.h has no
such word; its own end with 78."""
_PATIENCE_S: Final = 60.0
"""Longer than what is started may take to answer."""
_CREDENTIALS: Final = struct.Struct("3i")
"""`struct ucred`: process, user and group."""


def listener() -> socket.socket:
    """Where the supervisor listens for its own processes; `name_of` tells them where that is."""
    bound = socket.socket(socket.AF_UNIX)
    bound.bind("")  # the kernel chooses a name that nobody has
    return bound


def name_of(listening: socket.socket) -> str:
    """Its name, as text."""
    return bytes(listening.getsockname()).removeprefix(b"\0").decode("ascii")


def is_ours(connected: socket.socket) -> bool:
    """Whether who is at the other end runs as this user, or as root, who may do anything here anyway."""
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(told)[1] in (os.geteuid(), 0)


async def demand(settings: Settings, name: str, otherwise: str = "") -> None:
    """Return when it runs. Raises `ServiceUnavailable` when it cannot be had, with the reason.

    `otherwise` says what a person can do who has no supervisor.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said = await _asked(settings, name)
    except TimeoutError as error:  # an OSError, too
        raise ServiceUnavailable(f"{name} was not ready within {_PATIENCE_S:.0f} s", retry_after=5.0) from error
    except OSError as error:
        reason = f"{name} cannot be started from here, no `samovar up` runs on this data directory"
        raise ServiceUnavailable("; ".join(filter(None, (reason, otherwise)))) from error
    if said != READY:
        raise ServiceUnavailable(said or f"{name} could not be started", retry_after=5.0)


async def _asked(settings: Settings, name: str) -> str:
    """What the supervisor says. Raises `OSError` when there is none."""
    platform = state.read(state.path_of(settings))
    if platform is None or not platform.demand:
        raise FileNotFoundError("no supervisor has told where it listens")
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, f"\0{platform.demand}")
        if not is_ours(connected):
            raise PermissionError("somebody else listens there")
        reader, writer = await asyncio.open_unix_connection(sock=connected)
    except BaseException:
        connected.close()
        raise
    try:
        writer.write(f"{name}\n".encode())
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()
