"""Asking each kind of child whether it is ready, over the door its users take.

Each check asks until it is answered; the caller owns the deadline and cancels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from samovar import s3
from samovar.errors import StartRefused
from samovar.link.operations import InvokerIdentity, OperationAnswer, OperationHead
from samovar.link.wire import REQUEST, Decoder, ProtocolError, encode
from samovar.settings import Settings

log = logging.getLogger("samovar.up")

PAUSE_S = 0.02
EXTERNAL_STORE_S = 15.0
"""An external store may be starting at the same time as we are."""
HEALTH_PATH = "/samovar/v1/health"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _connected(path_or_address: Path | tuple[str, int]) -> AsyncIterator[Streams]:
    if isinstance(path_or_address, Path):
        reader, writer = await asyncio.open_unix_connection(str(path_or_address))
    else:
        reader, writer = await asyncio.open_connection(*path_or_address)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _until_true(ask: Callable[[], Awaitable[object]]) -> None:
    while not await ask():  # noqa: ASYNC110 - another process cannot set an event of ours
        await asyncio.sleep(PAUSE_S)


async def store_answers(path: Path) -> None:
    """Return once the store answers PING with PONG; while it reads its file it answers LOADING instead."""
    await _until_true(partial(_pong, path))


async def _pong(path: Path) -> bool:
    try:
        async with _connected(path) as (reader, writer):
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
    except OSError:
        return False


async def gateway_answers(host: str, port: int) -> None:
    """Return once a gateway answers its health path. The question waits in the backlog until one accepts it."""
    await _until_true(partial(_healthy, host, port))


async def _healthy(host: str, port: int) -> bool:
    request = f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with _connected((host, port)) as (reader, writer):
            writer.write(request.encode())
            return b" 200 " in await reader.readline()
    except OSError:
        return False


async def s3_answers(settings: Settings) -> None:
    """Return once the S3 server answers and the part that keeps its objects has joined it."""
    await _until_true(partial(_keeps_objects, settings))


async def _keeps_objects(settings: Settings) -> bool:
    ports = s3.known_ports(settings)
    if ports is None or not await _http(ports.s3, "/"):
        return False
    topology = await _http(ports.master, "/dir/status")
    return b'"DataNodes"' in topology


async def _http(port: int, path: str) -> bytes:
    """The whole answer of a server on loopback, head and body; nothing when there is none."""
    request = f"GET {path} HTTP/1.0\r\nHost: {s3.LOOPBACK}:{port}\r\n\r\n"
    try:
        async with _connected((s3.LOOPBACK, port)) as (reader, writer):
            writer.write(request.encode())
            return await reader.read()
    except OSError:
        return b""


async def invoker_answers(path: Path) -> None:
    """Return once the invoker says who it is."""
    await _until_true(partial(invoker_identity, path))


async def invoker_identity(path: Path) -> InvokerIdentity | None:
    """Who the invoker is; `None` when it cannot be asked now."""
    try:
        async with _connected(path) as (reader, writer):
            writer.write(encode(REQUEST, 1, msgspec.json.encode(OperationHead("identity"))))
            return await _read_identity(reader)
    except (OSError, ProtocolError, msgspec.DecodeError):
        return None


async def _read_identity(reader: asyncio.StreamReader) -> InvokerIdentity | None:
    decoder = Decoder()
    answer: OperationAnswer | None = None
    body = b""
    while data := await reader.read(65536):
        for frame in decoder.feed(data):
            answer = answer or msgspec.json.decode(frame.head, type=OperationAnswer)
            body += frame.body
            if frame.ends_message:
                return None if answer.failure else msgspec.json.decode(body, type=InvokerIdentity)
    return None


async def external_store_answers(url: str, patience_s: float = EXTERNAL_STORE_S) -> None:
    """Wait for a store that is not ours. Raises `StartRefused` when it does not answer in time."""
    from redis.asyncio import from_url
    from redis.exceptions import RedisError

    reason = ""
    try:
        async with asyncio.timeout(patience_s), from_url(url, socket_connect_timeout=2) as client:
            while True:
                try:
                    await client.ping()
                except (RedisError, OSError) as error:
                    if not reason:
                        log.info("waiting for the store %s: %s", without_password(url), error)
                    reason = str(error)
                    await asyncio.sleep(0.2)
                else:
                    return
    except TimeoutError:
        raise StartRefused(
            f"the store {without_password(url)} did not answer within {patience_s:.0f} s: {reason or 'no answer'}; "
            "start it, correct --redis-url, or leave that out to use the embedded one"
        ) from None


def without_password(url: str) -> str:
    """A store's URL that may be shown and logged."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user_and_host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username or ''}:***@{user_and_host[2]}").geturl()
