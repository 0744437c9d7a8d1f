"""Bodies that are signed piece by piece while they are sent, or not at all: the content encoding `aws-chunked`.

Amazon S3 API reference, "Signature calculations: transferring payload in multiple chunks". Each chunk is
`SIZE;chunk-signature=SIGNATURE`, its bytes and CRLF; the last one is empty, and trailers may follow it. Pure.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from samovar.access.sigv4 import EMPTY_SHA256, MISMATCH, Claim
from samovar.errors import InvalidRequestContent, InvalidSignature

SIGNED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STATED: Final = frozenset({SIGNED, UNSIGNED})
"""What stands for the hash of such a body."""
_MAX_HEAD: Final = 256
"""Bytes of the line before a chunk."""


def decode(body: bytes, claim: Claim, key: bytes, stated: str) -> bytes:
    """The body itself.

    Raises `InvalidSignature` for a chunk that `key` did not sign or that is out of its place, and
    `InvalidRequestContent` for what is no such body. Checksums in trailers are not looked at.
    """
    parts: list[bytes] = []
    before, position = claim.signature, 0
    while True:
        end = body.find(b"\r\n", position, position + _MAX_HEAD)
        size, signature = _head(body[position:end] if end >= 0 else b"")
        data = body[end + 2 : end + 2 + size]
        position = end + 2 + size + 2
        if len(data) < size or (size and body[position - 2 : position] != b"\r\n"):
            raise InvalidRequestContent("The request body ended in the middle of a chunk.")
        if stated == SIGNED:
            before = _checked(data, signature, before, claim, key)
        if not size:
            return b"".join(parts)
        parts.append(data)


def _head(line: bytes) -> tuple[int, str]:
    size, _, extension = line.decode("latin-1").partition(";")
    if not size or len(size) > 8 or any(digit not in "0123456789abcdefABCDEF" for digit in size):
        raise InvalidRequestContent("The request body is not encoded as aws-chunked.")
    return int(size, 16), extension.partition("chunk-signature=")[2].strip()


def _checked(data: bytes, signature: str, before: str, claim: Claim, key: bytes) -> str:
    """The signature of a chunk, which covers the one before it."""
    text = (
        f"AWS4-HMAC-SHA256-PAYLOAD\n{claim.timestamp}\n{claim.scope}\n{before}\n{EMPTY_SHA256}\n"
        f"{sha256(data).hexdigest()}"
    )
    calculated = hmac.digest(key, text.encode("latin-1"), "sha256").hex()
    if not hmac.compare_digest(calculated.encode(), signature.encode("latin-1")):
        raise InvalidSignature(MISMATCH)
    return calculated
