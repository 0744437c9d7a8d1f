"""Reading the body of a request to the control API, within bounds of size and time."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request

from gateway.services import Services
from samovar.errors import InvalidRequestContent, RequestEntityTooLarge, ValidationFailed
from samovar.settings import Settings

T = TypeVar("T")

BODY_DEADLINE_S: Final = 600.0
"""A package of 50 MB arrives within it at 1 Mbit/s."""
_OTHER_MEMBERS_BYTES: Final = 256 * 1024
"""Room for everything in a request but the package; AWS's bound of 70167211 bytes has as much."""
_DISCARDED_BYTES: Final = 256 * 1024 * 1024
"""How much of a body over the limit is read and dropped, so that its sender gets to read the answer."""


def largest(settings: Settings) -> int:
    """Bytes of the largest body there may be: a package travels as base64, four characters for three bytes."""
    return math.ceil(settings.max_upload_bytes * 4 / 3) + _OTHER_MEMBERS_BYTES


async def read(request: Request, kind: type[T]) -> T:
    """The body of a request to an interface of Samovar's own, as a record.

    Raises `InvalidRequestContent` when it is no JSON, `ValidationFailed` when a member has the wrong type or a
    required one is missing, `RequestEntityTooLarge`.
    """
    body = await json_body(request)
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(f"1 validation error detected: {error}") from error


async def json_body(request: Request) -> Any:
    """The body as a JSON value; an empty one is `{}`. Raises `InvalidRequestContent` and `RequestEntityTooLarge`."""
    body = await raw_body(request)
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error


async def raw_body(request: Request) -> bytes:
    """The body as it is. Raises `InvalidRequestContent` and `RequestEntityTooLarge`."""
    services: Services = request.app.state.services
    limit = largest(services.settings)
    return await whole(request, limit, f" for the {request.scope['route'].name} operation")


async def whole(request: Request, limit: int, because: str = "") -> bytes:
    """The body, if it has at most `limit` bytes. Raises `RequestEntityTooLarge` and `InvalidRequestContent`."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    parts.append(part)
                else:
                    parts.clear()
                if size > limit + _DISCARDED_BYTES:
                    break
    except TimeoutError as error:
        raise InvalidRequestContent(f"The request body did not arrive within {BODY_DEADLINE_S:g} s") from error
    if size > limit:
        raise RequestEntityTooLarge(f"Request must be smaller than {limit} bytes{because}")
    return b"".join(parts)
