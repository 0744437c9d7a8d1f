"""The body of an upload on its way through: piece by piece, held to what was signed, never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Final

from starlette.types import Receive

from gateway.access.guard import Unread
from gateway.http.asgi import ClientGone, Request
from gateway.uploads.chunked import SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, Transcoder
from gateway.uploads.refusals import ContentMismatch, IncompleteBody
from samovar.access.sigv4 import UNSIGNED_PAYLOAD
from samovar.errors import SamovarError

STALL_S: Final = 60.0
"""A client that sends nothing for so long is given up."""
_HEX_DIGITS: Final = 64


class Incoming:
    """One body. `parts` is read once; afterwards `check` says whether it was the one that was announced."""

    def __init__(self, request: Request, receive: Receive, unread: Unread | None) -> None:
        self._request = request
        self._receive = receive
        self._unread = unread
        stated = request.headers.get(b"x-amz-content-sha256", b"").decode("latin-1")
        self._stated = unread.stated if unread is not None else stated
        self._failure: SamovarError | ClientGone | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._first: bytes | None = None

    @property
    def is_framed(self) -> bool:
        """Whether it is sent on in frames of its own (`aws-chunked`), in which what it carries is not to be read."""
        return self._stated in (SIGNED_TRAILER, UNSIGNED_TRAILER, SIGNED)

    @property
    def payload(self) -> str:
        """What the request to the S3 server states of its body."""
        return UNSIGNED_TRAILER if self.is_framed else UNSIGNED_PAYLOAD

    def described(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Headers with the length of the body as it is sent on; without it where that is known only afterwards."""
        length = self._request.headers.get(b"content-length")
        if self._is_transcoded:
            return [*headers, (b"transfer-encoding", b"chunked")]
        if length is not None:
            return [*headers, (b"content-length", length)]
        return [*headers, (b"transfer-encoding", b"chunked")] if self._has_body else headers

    @property
    def _is_transcoded(self) -> bool:
        return self._unread is not None and self._stated in (SIGNED, SIGNED_TRAILER)

    @property
    def _has_body(self) -> bool:
        return b"transfer-encoding" in self._request.headers

    async def begin(self) -> None:
        """Wait for the first piece, or for the end of a small body, before the S3 server is asked for anything.

        SeaweedFS takes a body of which it never got a byte for an empty one. Raises what is wrong with a small body.
        """
        self._pieces = self._made()
        self._first = await anext(self._pieces, None)

    async def parts(self) -> AsyncIterator[bytes]:
        """The pieces to send on. What ends it early is kept for `check`, and raised so that nothing is stored."""
        if self._pieces is None:
            await self.begin()
        assert self._pieces is not None
        if self._first is not None:
            yield self._first
        try:
            async for piece in self._pieces:
                yield piece
        except (SamovarError, ClientGone) as error:
            self._failure = error
            raise

    def _made(self) -> AsyncIterator[bytes]:
        if self._is_transcoded:
            assert self._unread is not None
            return self._transcoded(Transcoder(self._unread.claim, self._unread.key))
        if self._unread is not None and len(self._stated) == _HEX_DIGITS:
            return self._hashed()
        return self._raw()

    def check(self) -> None:
        """Raises what was wrong with the body, whatever the S3 server made of its end."""
        if self._failure is not None:
            raise self._failure

    async def _hashed(self) -> AsyncIterator[bytes]:
        """The last piece leaves only when the whole is what was signed."""
        digest, held = sha256(), b""
        async for piece in self._raw():
            digest.update(piece)
            if held:
                yield held
            held = piece
        if digest.hexdigest() != self._stated:
            raise ContentMismatch("The provided 'x-amz-content-sha256' header does not match what was computed.")
        if held:
            yield held

    async def _transcoded(self, transcoder: Transcoder) -> AsyncIterator[bytes]:
        async for piece in self._raw():
            for made in transcoder.feed(piece):
                yield made
        for made in transcoder.finish():
            yield made

    async def _raw(self) -> AsyncIterator[bytes]:
        if b"content-length" not in self._request.headers and not self._has_body:
            return
        while True:
            try:
                async with asyncio.timeout(STALL_S):
                    message = await self._receive()
            except TimeoutError as error:
                raise IncompleteBody(f"Nothing of the body arrived for {STALL_S:.0f} s.") from error
            if message["type"] != "http.request":
                raise ClientGone
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return
