"""Frames of `application/vnd.amazon.eventstream`, in which AWS streams answers. Encoding only; SDKs decode.

A frame is the lengths of the whole and of the headers, a CRC-32 of these two, headers, payload, and a CRC-32 of all
before it; numbers are big-endian. The format is that of the AWS SDKs (`botocore.eventstream` reads it).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""SDKs refuse longer ones."""
_STRING: Final = 7
"""The type of a header's value."""
_PRELUDE: Final = struct.Struct("!II")
_CHECKSUM: Final = struct.Struct("!I")
_OVERHEAD: Final = _PRELUDE.size + 2 * _CHECKSUM.size


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Raises `ValueError` for a payload over `MAX_PAYLOAD_BYTES`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a frame carries at most {MAX_PAYLOAD_BYTES} bytes")
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(_OVERHEAD + len(head) + len(payload), len(head))
    message = b"".join((prelude, _CHECKSUM.pack(zlib.crc32(prelude)), head, payload))
    return message + _CHECKSUM.pack(zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    text, encoded = value.encode(), name.encode()
    return b"%c%b%c%b%b" % (len(encoded), encoded, _STRING, len(text).to_bytes(2, "big"), text)


def event(kind: str, payload: bytes, media_type: str) -> bytes:
    """An event of a stream, e.g. `PayloadChunk`."""
    return frame({":event-type": kind, ":content-type": media_type, ":message-type": "event"}, payload)


def exception(kind: str, payload: bytes, media_type: str) -> bytes:
    """An error that ends a stream, as SDKs raise it."""
    return frame({":exception-type": kind, ":content-type": media_type, ":message-type": "exception"}, payload)
