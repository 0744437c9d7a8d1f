"""One answer on its way to a gateway in parts, as the handler gives them.

The gateway says how much its client has taken. When more than a window is under way, the worker is not read any more:
its sends then wait, and with them the handler.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from samovar.invocation import StreamHead
from samovar.link.channel import FrameChannel
from samovar.link.wire import CHUNK, CHUNK_SIZE, END, RESPONSE

WINDOW_BYTES: Final = 4 * CHUNK_SIZE
"""Of one answer, sent and not yet taken by its client."""

_encode = msgspec.json.Encoder().encode


class Source(Protocol):
    """Where parts come from."""

    def pause_reading(self) -> None:
        """Take nothing more for now."""
        ...

    def resume_reading(self) -> None:
        """Go on."""
        ...


class ResponseStream:
    """See the module. It is begun by the worker's first part, if at all, and ended by the invocation."""

    def __init__(self, channel: FrameChannel, number: int) -> None:
        self.version = ""
        """The version that runs; set before it begins."""
        self.has_begun = False
        self._channel = channel
        self._number = number
        self._source: Source | None = None
        self._under_way = 0
        self._is_paused = False
        self._is_discarded = False

    def attach(self, source: Source) -> None:
        """Say where the parts will come from."""
        self._source = source

    def detach(self) -> None:
        """Nothing more comes from there; it is read as ever."""
        self._resume()
        self._source = None

    def begin(self, content_type: str) -> None:
        """The first part follows."""
        self.has_begun = True
        head = _encode(StreamHead(version=self.version, content_type=content_type))
        self._channel.send(RESPONSE, self._number, head, flags=0)

    def write(self, part: bytes) -> None:
        """Pass a part on."""
        if self._is_discarded or not part:
            return
        self._channel.send(CHUNK, self._number, b"", part, flags=0)
        self._under_way += len(part)
        if self._under_way >= WINDOW_BYTES and self._source is not None and not self._is_paused:
            self._is_paused = True
            self._source.pause_reading()

    def taken(self, size: int) -> None:
        """The client has so many bytes more."""
        self._under_way -= size
        if self._under_way <= WINDOW_BYTES // 2:
            self._resume()

    def discard(self) -> None:
        """Nobody wants it any more: what still comes is dropped, and the handler runs to its end."""
        self._is_discarded = True
        self._resume()

    def end(self, head: bytes, payload: bytes) -> None:
        """Send how it ended; `payload` is the error, if it was one."""
        for start in range(0, len(payload) or 1, CHUNK_SIZE):
            is_last = start + CHUNK_SIZE >= len(payload)
            part = payload[start : start + CHUNK_SIZE]
            self._channel.send(CHUNK, self._number, head, part, flags=END if is_last else 0)
            head = b""

    def _resume(self) -> None:
        if self._is_paused and self._source is not None:
            self._is_paused = False
            self._source.resume_reading()
