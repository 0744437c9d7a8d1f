"""What all resources of the control API share: reading a request, naming a function, writing an answer."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Response

from gateway.functions import Functions
from gateway.lambda_api.runtimes import Runtimes
from gateway.record import FunctionRecord
from gateway.registry import not_found
from gateway.services import Services
from samovar.errors import (
    AccessDenied,
    InvalidParameterValue,
    InvalidRequestContent,
    RequestTooLarge,
    ResourceNotFound,
    ValidationFailed,
)
from samovar.names import LATEST, FunctionReference

T = TypeVar("T")

BODY_DEADLINE_S: Final = 600.0
"""A package of 50 MB arrives within it at 1 Mbit/s."""
_OTHER_MEMBERS_BYTES: Final = 1024 * 1024
"""Room for everything in a request but the package."""
_DISCARDED_BYTES: Final = 256 * 1024 * 1024
"""How much of a body over the limit is read and dropped, so that its sender gets to read the answer."""


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _functions(request: Request) -> Functions:
    found: Functions = request.app.state.functions
    return found


def _runtimes(request: Request) -> Runtimes:
    found: Runtimes = request.app.state.runtimes
    return found


Qualifier = Annotated[str | None, Query(alias="Qualifier")]
UsesServices = Annotated[Services, Depends(_services)]
UsesFunctions = Annotated[Functions, Depends(_functions)]
UsesRuntimes = Annotated[Runtimes, Depends(_runtimes)]


async def read(request: Request, kind: type[T]) -> T:
    """The request's body as a record.

    Raises `InvalidRequestContent` when it is no JSON, `ValidationFailed` when a member has the wrong type or a
    required one is missing, `RequestTooLarge`.
    """
    body = await _body(request)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(f"1 validation error detected: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error


async def _body(request: Request) -> bytes:
    services: Services = request.app.state.services
    # The package travels as base64: four characters for three bytes.
    limit = math.ceil(services.settings.max_upload_bytes * 4 / 3) + _OTHER_MEMBERS_BYTES
    return await read_body(request, limit, f": a package has at most {services.settings.max_upload_bytes}")


async def read_body(request: Request, limit: int, because: str = "") -> bytes:
    """The request's body, if it has at most `limit` bytes. Raises `RequestTooLarge` and `InvalidRequestContent`."""
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
        raise RequestTooLarge(f"Request must be smaller than {limit} bytes{because}")
    return b"".join(parts)


def answer(content: Any, status: int = 200) -> Response:
    """A record as a JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def no_content() -> Response:
    """An answer without a body."""
    return Response(status_code=204)


def resolve(services: Services, text: str, qualifier: str | None = None) -> FunctionReference:
    """What function, and which version of it, a caller means by any of the forms AWS accepts.

    Raises `ValidationFailed` for other forms, `InvalidParameterValue` when name and `qualifier` disagree,
    `ResourceNotFound` or `AccessDenied` for another region or account.
    """
    reference = FunctionReference.parse(text)
    if reference.qualifier and qualifier and reference.qualifier != qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    settings = services.settings
    if reference.region not in (None, settings.region):
        raise ResourceNotFound(
            f"Functions from '{reference.region}' are not reachable in this region ('{settings.region}')"
        )
    if reference.account not in (None, settings.account):
        raise AccessDenied(
            f"Functions of account {reference.account} are not reachable: this Samovar has account {settings.account}"
        )
    return reference._replace(qualifier=reference.qualifier or qualifier)


def resolve_latest(services: Services, text: str, qualifier: str | None = None) -> FunctionReference:
    """As `resolve`, for actions on a whole function; raises `ResourceNotFound` for any qualifier but `$LATEST`."""
    reference = resolve(services, text, qualifier)
    if reference.qualifier not in (None, LATEST):
        raise not_found(services.settings.account, services.settings.region, reference.name, reference.qualifier)
    return reference


async def find(services: Services, text: str, qualifier: str | None = None) -> FunctionRecord:
    """The function a caller names, as the store has it now."""
    reference = resolve_latest(services, text, qualifier)
    return await services.registry.fresh(reference.name, reference.qualifier)
