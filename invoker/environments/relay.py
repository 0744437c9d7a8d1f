"""Passing a connection on: what arrives at one end leaves at the other, no faster than it is taken there."""

from __future__ import annotations

import asyncio
import socket
from typing import NamedTuple, cast

CONNECT_S = 5.0
"""How long the other end may take to answer; then the connection is closed, as one to a service that is down."""


class Address(NamedTuple):
    """Where connections are passed on to."""

    host: str
    port: int


async def relay(inside: socket.socket, to: Address) -> None:
    """Connect to an address and pass both directions on until both are done. Takes `inside` over. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    near, far = _Half(loop), _Half(loop)
    near.other, far.other = far, near
    try:
        async with asyncio.timeout(CONNECT_S):
            await loop.create_connection(lambda: far, *to)
    except BaseException:
        inside.close()
        raise
    try:
        await loop.connect_accepted_socket(lambda: near, inside)
        await asyncio.wait({near.closed, far.closed})
    finally:
        for half in (near, far):
            if half.transport is not None:
                half.transport.abort()


class _Half(asyncio.Protocol):
    """One of the two ends. Far speaks only after near has, so whatever arrives has somewhere to go."""

    other: _Half

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = loop.create_future()
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self.transport = cast(asyncio.Transport, transport)  # not a subclass of it in every event loop
        if self.other.transport is None:  # nothing is read before there is somewhere to write it
            self.transport.pause_reading()
        else:
            self.other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        """From asyncio: this end takes no more for now."""
        if self.other.transport is not None and not self.other.closed.done():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """From asyncio."""
        if self.other.transport is not None and not self.other.closed.done():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """From asyncio: it will say no more, and may go on listening until the other has said all."""
        self._has_ended = True
        other = self.other.transport
        if other is None or self.other._has_ended:
            return False
        if other.can_write_eof() and not other.is_closing():
            other.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio."""
        if not self.closed.done():
            self.closed.set_result(None)
        other = self.other.transport
        if other is not None:
            other.close()  # once it has written what it was given
