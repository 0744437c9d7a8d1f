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
from typing import Final

import msgspec

HEADER: Final = struct.Struct("!IIHBB")
CHUNK_SIZE: Final = 256 * 1024
MAX_FRAME: Final = 1024 * 1024
"""No honest peer sends a longer frame; a longer one ends the connection before memory is spent on it."""

END: Final = 0x01
"""Flag: the last frame of its message."""
QUIET: Final = 0x02
"""Flag of a result: all that its call has printed was read before."""
LAID: Final = 0x04
"""Flag of an event: it lies ready behind another, and its `deadline_ms` counts from when it is taken."""

# Gateway ⇄ invoker.
REQUEST: Final = 1
RESPONSE: Final = 2
CHUNK: Final = 3
CANCEL: Final = 4
PULL: Final = 5
"""The invoker has an environment for a request whose first frame came alone: the gateway is to send one more chunk."""
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
SHUTDOWN: Final = 19
FLOW: Final = 20
"""One streamed answer of several under way is to wait, or to go on."""
OUTPUT: Final = 21
"""Lines that one of several events under way has printed."""
RESTED: Final = 22
"""Extensions have ended the work they had after an answer: the worker takes the next event."""
MAILBOX: Final = 23
"""Brings a worker the socket in which it finds its events."""


class ProtocolError(Exception):
    """The peer broke the format; the connection cannot be trusted any further."""


class Frame(msgspec.Struct, frozen=True, gc=False):
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


def start_of(kind: int, stream: int, head: bytes, body_size: int, flags: int = END) -> bytes:
    """A frame up to its body."""
    return HEADER.pack(len(head) + body_size, stream, len(head), kind, flags) + head


def frames_of(kind: int, stream: int, head: bytes, body: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """A whole message as frames up to their bodies, and the bodies, which are not copied.

    It is one frame when the body is small, else a first one and chunks.
    """
    view = memoryview(body)
    for start in range(0, len(body) or 1, CHUNK_SIZE):
        part = view[start : start + CHUNK_SIZE]
        flags = END if start + CHUNK_SIZE >= len(body) else 0
        yield start_of(kind, stream, head, len(part), flags), part
        kind, head = CHUNK, b""


def encode_message(kind: int, stream: int, head: bytes, body: bytes) -> Iterator[bytes]:
    """A whole message, frame by frame."""
    for start, part in frames_of(kind, stream, head, body):
        yield start + part


class Decoder:
    """Cuts a byte stream into frames; keeps what is incomplete for the next call.

    A chunk is handed out in as many parts as it arrives in, each as if its sender had cut it so: putting it together
    here, to be put together with the others by whoever takes it, would cost more than all the rest of its way.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._rest = bytearray()
        self._max_frame = max_frame
        self._left = 0
        """Bytes still to come of the chunk that is being handed out."""
        self._stream = self._flags = 0
        """Of that chunk."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes off a connection and return the frames completed by them.

        Raises `ProtocolError` on a frame that is too long or a head longer than its frame.
        """
        # Most reads bring whole frames; only what is left over is copied into a buffer that can grow cheaply.
        frames: list[Frame] = []
        source: bytes | bytearray = data
        if self._rest:
            self._rest += data
            source = self._rest
        position = self._part_of_chunk(source, 0, frames) if self._left else 0
        available, header_size = len(source), HEADER.size
        while available - position >= header_size:
            length, stream, head_length, kind, flags = HEADER.unpack_from(source, position)
            if length > self._max_frame or head_length > length:
                raise ProtocolError(f"frame of {length} bytes with a head of {head_length} bytes")
            start = position + header_size
            if available - start < length:
                if kind == CHUNK and head_length == 0:
                    self._left, self._stream, self._flags = length, stream, flags
                    position = self._part_of_chunk(source, start, frames)
                break
            middle, position = start + head_length, start + length
            if source is data:
                frames.append(Frame(kind, flags, stream, data[start:middle], data[middle:position]))
            else:
                frames.append(Frame(kind, flags, stream, _cut(source, start, middle), _cut(source, middle, position)))
        if source is self._rest:
            del self._rest[:position]
        elif position < available:
            self._rest += data[position:]
        return frames

    def _part_of_chunk(self, source: bytes | bytearray, start: int, frames: list[Frame]) -> int:
        """Hand out what is there of the chunk; answers with where that ends."""
        part = _cut(source, start, start + self._left)
        self._left -= len(part)
        if part:
            flags = self._flags & ~END if self._left else self._flags
            frames.append(Frame(CHUNK, flags, self._stream, b"", part))
        return start + len(part)


def _cut(source: bytes | bytearray, start: int, end: int) -> bytes:
    if isinstance(source, bytes):
        return source[start:end]
    with memoryview(source) as view:  # a slice of the array itself would be copied twice
        return bytes(view[start:end])
