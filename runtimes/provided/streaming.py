"""An answer that the runtime posts in parts: passed on as they arrive, or put together for who takes no parts.

The runtime says `Lambda-Runtime-Function-Response-Mode: streaming`; an error in the middle comes as trailers (AWS
Lambda developer guide, "Response streaming" under "Using the Lambda runtime API for custom runtimes").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .server import ACCEPTED, Flow, Response

if TYPE_CHECKING:
    from .runtime import Invocation

ERROR_TYPE, ERROR_BODY = (f"lambda-runtime-function-error-{word}" for word in ("type", "body"))
_USUAL_TYPE = "application/octet-stream"

Part = Callable[["Invocation", bytes, str], None]
"""Told a part of a streamed answer, and the content type of all of it."""
End = Callable[["Invocation", str | None, bytes], Response]
"""Told the type and body of the error a streamed answer ended with, or `None` and what has been put together."""


class StreamedResponse:
    """The body of one such request; see `server.Sink`."""

    def __init__(
        self, invocation: Invocation, headers: Mapping[str, str], part: Part, end: End, flow: Flow, limit: int
    ) -> None:
        """For callers who take no parts, up to `limit` bytes and one more are kept: enough to see that it is over."""
        self.invocation = invocation
        self.flow = flow
        self._type = headers.get("content-type", _USUAL_TYPE)
        self._part = part
        self._end = end
        self._limit = limit
        self._has_begun = False
        self._kept = bytearray()

    @property
    def is_passed_on(self) -> bool:
        """Whether the caller takes parts."""
        return bool(self.invocation.head.get("streaming"))

    def feed(self, part: bytes) -> None:
        """More of the body."""
        if self.is_passed_on:
            self._has_begun = True
            self._part(self.invocation, part, self._type)
        elif len(self._kept) <= self._limit:
            self._kept += part[: self._limit + 1 - len(self._kept)]

    def end(self, trailers: Mapping[str, str]) -> Response:
        """All of it is here."""
        if self.is_passed_on and not self._has_begun:
            self._part(self.invocation, b"", self._type)
        error = trailers.get(ERROR_TYPE)
        if error is None:
            return self._end(self.invocation, None, bytes(self._kept))
        self._end(self.invocation, error, _decoded(trailers.get(ERROR_BODY, "")))
        return ACCEPTED

    def lost(self) -> None:
        """The connection ended first."""
        if self.is_passed_on and not self._has_begun:
            self._part(self.invocation, b"", self._type)
        self._end(self.invocation, "Runtime.TruncatedResponse", b"")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text.encode()
