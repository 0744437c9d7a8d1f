"""An answer that the runtime posts in parts: passed on as they arrive, or put together for who takes no parts.

The runtime says `Lambda-Runtime-Function-Response-Mode: streaming`; an error in the middle comes as trailers (AWS
Lambda developer guide, "Response streaming" under "Using the Lambda runtime API for custom runtimes"). AWS's client for
Go says nothing of the kind: it sends every answer in chunks, with those trailers, and leaves the rest to the platform.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .server import ACCEPTED, Flow, Response

if TYPE_CHECKING:
    from .runtime import Invocation

MODE = "lambda-runtime-function-response-mode"
STREAMING = "streaming"
ERROR_TYPE, ERROR_BODY = (f"lambda-runtime-function-error-{word}" for word in ("type", "body"))
_USUAL_TYPE = "application/octet-stream"
_RESULT_TYPE = "application/json"

Part = Callable[["Invocation", bytes, str], None]
"""Told a part of a streamed answer, and the content type of all of it."""
End = Callable[["Invocation", str | None, bytes | None], Response]
"""Told the type and body of the error an answer ended with, or `None` and what has been put together, if it was."""


def arrives_in_parts(headers: Mapping[str, str]) -> bool:
    """Whether an answer is read as it comes: it is streamed, or has chunks, which may end in trailers."""
    mode = headers.get(MODE, "").lower()
    return mode == STREAMING or (not mode and headers.get("transfer-encoding", "").lower() == "chunked")


def is_streamed(headers: Mapping[str, str]) -> bool:
    """Whether it is worth passing on in parts. JSON of which nobody has said so is a result, which is good whole."""
    mode, content_type = (headers.get(name, "").lower() for name in (MODE, "content-type"))
    return mode == STREAMING or not content_type.startswith(_RESULT_TYPE)


class StreamedResponse:
    """The body of one such request; see `server.Sink`."""

    def __init__(
        self, invocation: Invocation, headers: Mapping[str, str], part: Part, end: End, flow: Flow, whole: int | None
    ) -> None:
        """Parts are passed on; or, for who takes none, `whole` bytes are kept and one more, to see that it is over."""
        self.invocation = invocation
        self.flow = flow
        self._type = headers.get("content-type", _USUAL_TYPE)
        self._part = part
        self._end = end
        self._whole = whole
        self._has_begun = False
        self._kept = bytearray()

    def feed(self, part: bytes) -> None:
        """More of the body."""
        if self._whole is None:
            self._has_begun = True
            self._part(self.invocation, part, self._type)
        elif len(self._kept) <= self._whole:
            self._kept += part[: self._whole + 1 - len(self._kept)]

    def end(self, trailers: Mapping[str, str]) -> Response:
        """All of it is here."""
        error = trailers.get(ERROR_TYPE)
        if not error:
            self._begin()
            return self._end(self.invocation, None, None if self._whole is None else bytes(self._kept))
        self._end(self.invocation, error, _decoded(trailers.get(ERROR_BODY, "")))
        return ACCEPTED

    def lost(self) -> None:
        """The connection ended first."""
        self._end(self.invocation, "Runtime.TruncatedResponse", b"")

    def _begin(self) -> None:
        """An answer without a part is one all the same; an error before the first part is an error and no answer."""
        if self._whole is None and not self._has_begun:
            self._has_begun = True
            self._part(self.invocation, b"", self._type)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text.encode()
