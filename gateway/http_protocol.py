"""uvicorn's HTTP protocol with a bound on the size of a request's head, which httptools does not have."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together. AWS's limits are 10,240 bytes of headers and 8 KB of path."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Hangs up on a client whose request head does not end."""

    _head_bytes = 0
    _in_head = False

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived. What came with the end of a head is not counted, it may be body."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._in_head = False
                self.send_400_response(f"Request head is larger than {MAX_HEAD_BYTES} bytes.")
