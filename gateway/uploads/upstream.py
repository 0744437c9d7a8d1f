"""The S3 server behind Samovar: found, started when it is needed, asked with the key that may do everything."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpcore
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from samovar import s3
from samovar.access.sigv4 import S3, UNSIGNED_PAYLOAD, Signed, sign_stated
from samovar.errors import ServiceUnavailable
from samovar.process.demand import demand
from samovar.s3 import S3Server
from samovar.settings import Settings

Headers = Sequence[tuple[bytes, bytes]]
Body = bytes | AsyncIterator[bytes]

GROUP: Final = "uploads"
"""What the supervisor calls the server and the process that follows it."""
CONNECTIONS: Final = 64
"""At once, of one gateway; more requests wait for one."""
_CONNECT_S: Final = 2.0
_WAIT_S: Final = 10.0
_STALL_S: Final = 120.0
"""Without a byte for so long, the server is given up."""
_RESTARTS_WITHIN_S: Final = 20.0
"""A server that was killed is started again in this time; who asks meanwhile waits."""
_log = logging.getLogger(__name__)


class Upstream:
    """A pool of connections to the server. `close` it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._is_started = False
        self._starting = asyncio.Lock()

    @property
    def was_ever_needed(self) -> bool:
        """Whether there is a server that may have buckets."""
        return s3.find(self._settings) is not None

    async def server(self) -> S3Server:
        """The server, started if it does not run. Raises `ServiceUnavailable`."""
        async with self._starting:
            if not self._is_started:
                await self._start()
                self._is_started = True
        found = s3.find(self._settings)
        assert found is not None
        return found

    async def _start(self) -> None:
        try:
            await demand(self._settings, GROUP, "name an S3 of yours with SAMOVAR_S3_URL")
        except ServiceUnavailable:
            if not self._settings.s3_url:
                raise
            _log.warning("nobody follows what is put straight into %s", urlsplit(self._settings.s3_url).hostname)

    @asynccontextmanager
    async def asked(
        self, method: str, target: bytes, headers: Headers = (), body: Body = b"", payload: str = UNSIGNED_PAYLOAD
    ) -> AsyncIterator[httpcore.Response]:
        """Ask the server for `target` (path and query, encoded); its answer's body is still to be read.

        `payload` is what stands for the body's hash. Raises `ServiceUnavailable` when the server does not answer.
        """
        try:
            response = await self._sent(method, target, headers, body, payload)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ServiceUnavailable(f"the S3 server does not answer: {error!r}", retry_after=1.0) from error
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _sent(self, method: str, target: bytes, headers: Headers, body: Body, payload: str) -> httpcore.Response:
        waiting = AsyncRetrying(
            retry=retry_if_exception_type((httpcore.ConnectError, httpcore.ConnectTimeout)),  # nothing was sent yet
            stop=stop_after_delay(_RESTARTS_WITHIN_S),
            wait=wait_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        async for attempt in waiting:
            with attempt:
                server = await self.server()
                request = _request(server, method, target, headers, body, payload)
                return await self._connections(server).handle_async_request(request)
        raise AssertionError("the last attempt raises")

    def _connections(self, server: S3Server) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=30)
        return self._pool


def _request(
    server: S3Server, method: str, target: bytes, headers: Headers, body: Body, payload: str
) -> httpcore.Request:
    parts = urlsplit(server.endpoint)
    host = parts.netloc.encode()
    path, _, query = target.partition(b"?")
    given = {name.lower(): value for name, value in headers}
    signed = {name: value for name, value in given.items() if name.startswith(b"x-amz-")} | {b"host": host}
    added = sign_stated(Signed(method, path, query, signed), payload, server.key, time.time(), S3)
    sent = [(b"host", host), *given.items(), *((name.encode(), value.encode()) for name, value in added.items())]
    if isinstance(body, bytes) and (body or method in ("PUT", "POST")) and b"content-length" not in given:
        sent.append((b"content-length", b"%d" % len(body)))
    url = httpcore.URL(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        target=target,
    )
    timeout = {"connect": _CONNECT_S, "read": _STALL_S, "write": _STALL_S, "pool": _WAIT_S}
    return httpcore.Request(method, url, headers=sent, content=body, extensions={"timeout": timeout})
