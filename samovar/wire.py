"""The frames that travel between gateway, invoker and environments. No I/O happens here.

A frame is a 12-byte header, a head (a small JSON object, often empty) and a body (payload bytes):

    0        4        8      10   11   12
    | length | stream | head | kind | flags | head bytes … | body bytes … |
      u32      u32      u16    u8     u8      (big-endian; length counts head + body)

A message is one frame with `END`, or a first frame without it followed by `CHUNK` frames of the same
stream, of which the last has `END`. Bodies are cut at `CHUNK_SIZE`, so a 6 MB payload never blocks the
small messages that share its connection. Streams are numbered by the side that asks.

`runtimes/python/bootstrap.py` speaks the same format without importing this module, because it runs
inside other interpreters; `tests/contracts/test_wire_dialects.py` holds the two together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

HEADER: Final = struct.Struct("!IIHBB")
CHUNK_SIZE: Final = 256 * 1024
MAX_FRAME: Final = 1024 * 1024
"""No honest peer sends a longer frame; a longer one ends the connection before memory is spent on it."""

END: Final = 0x01
"""Flag: the last frame of its message."""

# Gateway ⇄ invoker.
REQUEST: Final = 1
RESPONSE: Final = 2
CHUNK: Final = 3
CANCEL: Final = 4
CREDIT: Final = 6
"""So many bytes (u32) of a streamed answer have been taken by the gateway's client."""
# Invoker ⇄ environment.
HELLO: Final = 10
SPAWN: Final = 11
KILL: Final = 12
EXITED: Final = 13
READY: Final = 14
EVENT: Final = 15
RESULT: Final = 16
FORK: Final = 17
BIND: Final = 18


class ProtocolError(Exception):
    """The peer broke the format; the connection cannot be trusted any further."""


class Frame(NamedTuple):
    """One decoded frame. `head` and `body` are copies that stay valid after the next `feed`."""

    kind: int
    flags: int
    stream: int
    head: bytes
    body: bytes

    @property
    def ends_message(self) -> bool:
        """Whether no further frame of this message follows."""
        return bool(self.flags & END)


def encode(kind: int, stream: int, head: bytes = b"", body: bytes = b"", flags: int = END) -> bytes:
    """One frame as bytes. `head` is at most 65,535 bytes, head and body together at most `MAX_FRAME`."""
    return HEADER.pack(len(head) + len(body), stream, len(head), kind, flags) + head + body


def encode_message(kind: int, stream: int, head: bytes, body: bytes) -> Iterator[bytes]:
    """A whole message: one frame when the body is small, else a first frame and chunks."""
    size = len(body)
    if size <= CHUNK_SIZE:
        yield encode(kind, stream, head, body)
        return
    view = memoryview(body)
    yield encode(kind, stream, head, bytes(view[:CHUNK_SIZE]), flags=0)
    for start in range(CHUNK_SIZE, size, CHUNK_SIZE):
        last = start + CHUNK_SIZE >= size
        yield encode(CHUNK, stream, b"", bytes(view[start : start + CHUNK_SIZE]), flags=END if last else 0)


class Decoder:
    """Cuts a byte stream into frames; keeps what is incomplete for the next call."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._rest = bytearray()
        self._max_frame = max_frame

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes off a connection and return the frames completed by them.

        Raises `ProtocolError` on a frame that is too long or a head longer than its frame.
        """
        # Most reads bring whole frames; only what is left over is copied into a buffer that can grow cheaply.
        source: bytes | bytearray = data
        if self._rest:
            self._rest += data
            source = self._rest
        frames: list[Frame] = []
        position, available = 0, len(source)
        header_size = HEADER.size
        while available - position >= header_size:
            length, stream, head_length, kind, flags = HEADER.unpack_from(source, position)
            if length > self._max_frame or head_length > length:
                raise ProtocolError(f"frame of {length} bytes with a head of {head_length} bytes")
            start = position + header_size
            if available - start < length:
                break
            middle, position = start + head_length, start + length
            frames.append(Frame(kind, flags, stream, bytes(source[start:middle]), bytes(source[middle:position])))
        if source is self._rest:
            del self._rest[:position]
        elif position < available:
            self._rest += data[position:]
        return frames
