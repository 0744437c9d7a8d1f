"""Children that are started when somebody first needs them, which says so on a socket of the supervisor's."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from samovar.errors import StartRefused
from samovar.process.demand import READY, is_ours
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
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        """Take requests at a socket of `samovar.process.demand`, closed at the end, of processes of this user."""
        server = await asyncio.start_unix_server(self._accept, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in self._asking:
                task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not is_ours(writer.get_extra_info("socket")):
            log.warning("a process of another user asked for something to be started, and was not answered")
            writer.close()
            return
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
