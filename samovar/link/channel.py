"""A connection that carries frames: the one place where `samovar.link.wire` meets asyncio.

Whatever is sent during one turn of the event loop leaves in one write, which under load saves most of the
system calls. Large messages are cut into chunks and wait between them while the peer is slow, so that small
messages overtake them and a slow reader cannot make the sender's buffer grow.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from samovar.link.wire import END, Decoder, Frame, ProtocolError, encode, frames_of, start_of

_JOINED_FRAMES: Final = 4
"""So many frames of one turn do not wait for the others of it, because the peer, and its core, would wait with them."""
_JOINED_BYTES: Final = 32 * 1024
"""Up to here copying a body behind its head is cheaper than a write of its own."""


class FrameReceiver(Protocol):
    """What a channel tells its owner. Both are called from the event loop and must not block."""

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """Frames that arrived together, in order."""
        ...

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """The connection is gone; `error` is `None` when the peer closed it in order."""
        ...


class FrameChannel(asyncio.Protocol):
    """One connection. The owner gets whole frames and is told once when the connection is gone."""

    def __init__(self, receiver: FrameReceiver) -> None:
        self._receiver = receiver
        self._decoder = Decoder()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outbox: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._waiting: list[Callable[[], None]] = []
        """To be called when the peer has caught up."""
        self._fault: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it
        if self._outbox:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        try:
            frames = self._decoder.feed(data)
        except ProtocolError as error:
            self._fault = error
            self.abort()
            return
        if frames:
            self._receiver.frames_received(self, frames)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._transport = None
        self._outbox.clear()
        self._waiting.clear()
        self._writable.set()
        self._receiver.channel_lost(self, self._fault or exc)

    def duplicate(self) -> socket.socket:
        """Another hold on the connection, to be closed: for what frames cannot carry. Raises `OSError`."""
        assert self._transport is not None, "only an open connection is asked"
        return socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))

    def pause_writing(self) -> None:
        """asyncio: the peer is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """asyncio: the peer caught up."""
        self._writable.set()
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def pause_reading(self) -> None:
        """Take nothing more from the peer, whose sends wait then."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking."""
        if self._transport is not None:
            self._transport.resume_reading()

    def send(self, kind: int, stream: int, head: bytes = b"", body: bytes = b"", flags: int = END) -> None:
        """Send one frame. Silently dropped once the connection is gone: `channel_lost` tells."""
        if len(body) > _JOINED_BYTES:
            self._write(start_of(kind, stream, head, len(body), flags), body)
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(encode(kind, stream, head, body, flags))
        if len(self._outbox) == _JOINED_FRAMES:
            self._flush()

    def send_at_once(self, kind: int, stream: int, head: bytes, body: bytes) -> None:
        """Send one frame that nothing else of this turn will go with."""
        if self._outbox or self._transport is None or len(body) > _JOINED_BYTES:
            self.send(kind, stream, head, body)
        else:
            self._transport.write(encode(kind, stream, head, body))

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call back now, or as soon as the peer has caught up with what it was sent; never once it is gone."""
        if self._writable.is_set():
            callback()
        else:
            self._waiting.append(callback)

    async def send_message(self, kind: int, stream: int, head: bytes, body: bytes) -> None:
        """Send a message of any size, in chunks that wait for the peer.

        Raises `ConnectionResetError` when the connection goes away in between.
        """
        for start, part in frames_of(kind, stream, head, body):
            if self._transport is None:
                raise ConnectionResetError("the connection was lost while a message was being sent")
            self._write(start, part)
            await self._writable.wait()

    def _write(self, start: bytes, body: bytes | memoryview) -> None:
        """Write what waits and then one frame, whose body is not copied."""
        self._flush()
        if self._transport is not None:
            self._transport.writelines((start, body))

    def close(self) -> None:
        """Send what is waiting, then close."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what is waiting is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        outbox = self._outbox
        if self._transport is None or not outbox:
            return
        self._transport.write(outbox[0] if len(outbox) == 1 else b"".join(outbox))
        outbox.clear()
