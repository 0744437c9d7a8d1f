"""Children that are started when somebody first needs them, which says so on a socket of the supervisor's."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from samovar.demand import READY
from samovar.errors import StartRefused
from samovar.supervisor.child import ChildSpec

_ASKS_WITHIN_S: Final = 5.0
log = logging.getLogger("samovar.up")

Start = Callable[[ChildSpec], Awaitable[None]]
"""Starts one child and returns when it is ready; does nothing when it runs. Raises `StartRefused`."""


class OnDemand:
    """The groups of children that can be asked for by name. The children of a group start one after the other."""

    def __init__(self, groups: Mapping[str, Sequence[ChildSpec]], start: Start) -> None:
        self._groups = groups
        self._start = start
        self._starting = asyncio.Lock()
        self._asking: set[asyncio.Task[None]] = set()

    async def want(self, name: str) -> str:
        """Have a group run; `READY`, or why it does not."""
        if name not in self._groups:
            return f"there is nothing called {name!r} to start"
        try:
            async with self._starting:
                for spec in self._groups[name]:
                    await self._start(spec)
        except StartRefused as refused:
            log.error("%s was needed and could not be started: %s", name, refused.message)
            return refused.message.replace("\n", " ")
        return READY

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """Take requests at a socket that only this user may open."""
        server = await asyncio.start_unix_server(self._accept, sock=_private_socket(path))
        try:
            yield
        finally:
            server.close()
            for task in self._asking:
                task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._answer(reader, writer))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASKS_WITHIN_S):
                name = (await reader.readline()).decode().strip()
            writer.write(f"{await self.want(name)}\n".encode())
        except (TimeoutError, ValueError, ConnectionError) as error:
            log.warning("a request for something to be started was not understood: %s", error)
        finally:
            writer.close()


def _private_socket(path: Path) -> socket.socket:
    """A socket at a path nothing is at yet; what a former supervisor left there has been removed (`leftovers`)."""
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound
