"""Bodies in the content encoding `aws-chunked`, as they arrive: verified, and sent on without their signatures.

`samovar/access/aws_chunked.py` does the same for small bodies at once, and names the source. Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from gateway.uploads.refusals import IncompleteBody
from samovar.access.sigv4 import EMPTY_SHA256, MISMATCH, Claim
from samovar.errors import InvalidSignature

SIGNED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MAX_CHUNK_BYTES: Final = 16 * 1024 * 1024
"""A chunk is verified before it is sent on, so it has to be kept; SDKs send 64 KB to 1 MB."""
_MAX_LINE_BYTES: Final = 16 * 1024


class Transcoder:
    """Takes the bytes of a signed body; gives those of the same body, encoded `aws-chunked` without signatures."""

    def __init__(self, claim: Claim, key: bytes) -> None:
        self._claim = claim
        self._key = key
        self._before = claim.signature
        self._buffer = bytearray()
        self._in_trailers = False
        self._trailers: list[bytes] = []
        self._trailers_are_signed = False
        self.ended = False
        """Whether the last chunk, and what follows it, has come."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What can be sent on now. Raises `InvalidSignature` and `IncompleteBody` for what is no such body."""
        self._buffer += data
        while not self.ended:
            made = self._trailer() if self._in_trailers else self._chunk()
            if made is None:
                return
            if made:
                yield made

    def finish(self) -> Iterator[bytes]:
        """Called when no more comes. Raises `IncompleteBody` when the body has not ended."""
        if self._in_trailers and not self.ended:  # some clients leave out the last empty line
            yield from self.feed(b"\r\n" if not self._buffer else b"\r\n\r\n")
        if not self.ended:
            raise IncompleteBody("You did not provide the number of bytes specified by the Content-Length HTTP header.")

    def _chunk(self) -> bytes | None:
        """One chunk, once it is whole; `None` until then."""
        head, found, _ = self._buffer.partition(b"\r\n")
        if not found:
            self._refuse_if(len(self._buffer) > _MAX_LINE_BYTES)
            return None
        size_text, _, extension = bytes(head).decode("latin-1").partition(";")
        size = _size(size_text)
        if size == 0:
            self._verify(b"", extension)
            del self._buffer[: len(head) + 2]
            self._in_trailers = True
            return b""
        end = len(head) + 2 + size
        if len(self._buffer) < end + 2:
            return None
        data = bytes(self._buffer[len(head) + 2 : end])
        self._refuse_if(self._buffer[end : end + 2] != b"\r\n")
        self._verify(data, extension)
        del self._buffer[: end + 2]
        return b"%x\r\n%s\r\n" % (size, data)

    def _trailer(self) -> bytes | None:
        line, found, _ = self._buffer.partition(b"\r\n")
        if not found:
            self._refuse_if(len(self._buffer) > _MAX_LINE_BYTES)
            return None
        taken = bytes(line)
        del self._buffer[: len(line) + 2]
        if taken.lower().startswith(b"x-amz-trailer-signature:"):
            self._verify_trailers(taken.partition(b":")[2].strip().decode("latin-1"))
            return b""
        if taken:
            self._trailers.append(taken)
            return b""
        if self._trailers and not self._trailers_are_signed:
            raise InvalidSignature(MISMATCH)
        self.ended = True
        return b"0\r\n" + b"".join(line + b"\r\n" for line in self._trailers) + b"\r\n"

    def _verify(self, data: bytes, extension: str) -> None:
        given = extension.partition("chunk-signature=")[2].strip()
        hashes = f"{EMPTY_SHA256}\n{sha256(data).hexdigest()}"
        self._before = self._checked("AWS4-HMAC-SHA256-PAYLOAD", hashes, given)

    def _verify_trailers(self, given: str) -> None:
        text = b"".join(line + b"\n" for line in self._trailers)
        self._checked("AWS4-HMAC-SHA256-TRAILER", sha256(text).hexdigest(), given)
        self._trailers_are_signed = True

    def _checked(self, algorithm: str, hashes: str, given: str) -> str:
        text = f"{algorithm}\n{self._claim.timestamp}\n{self._claim.scope}\n{self._before}\n{hashes}"
        calculated = hmac.digest(self._key, text.encode("latin-1"), "sha256").hex()
        if not hmac.compare_digest(calculated.encode(), given.encode("latin-1")):
            raise InvalidSignature(MISMATCH)
        return calculated

    def _refuse_if(self, wrong: bool) -> None:
        if wrong:
            raise IncompleteBody("The request body is not encoded as aws-chunked.")


def _size(text: str) -> int:
    if not 0 < len(text) <= 8 or any(digit not in "0123456789abcdefABCDEF" for digit in text):
        raise IncompleteBody("The request body is not encoded as aws-chunked.")
    size = int(text, 16)
    if size > MAX_CHUNK_BYTES:
        raise IncompleteBody(f"A chunk of {size} bytes is too large; at most {MAX_CHUNK_BYTES} are taken.")
    return size
