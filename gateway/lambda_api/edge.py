"""What all resources of the control API share: naming a function, writing an answer, what a handler may ask for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response

from gateway.functions.functions import Functions
from gateway.functions.provisioned import Provisions
from gateway.functions.published import Published
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import not_found
from gateway.lambda_api.runtimes import Runtimes
from gateway.namespaces import check_reachable, region_of
from gateway.services import Services
from samovar.errors import InvalidParameterValue
from samovar.names import LATEST, FunctionReference


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _functions(request: Request) -> Functions:
    found: Functions = request.app.state.functions
    return found


def _published(request: Request) -> Published:
    found: Published = request.app.state.published
    return found


def _provisions(request: Request) -> Provisions:
    found: Provisions = request.app.state.provisions
    return found


def _runtimes(request: Request) -> Runtimes:
    found: Runtimes = request.app.state.runtimes
    return found


def _region(request: Request) -> str:
    settings = _services(request).settings
    return region_of(dict(request.scope["headers"]), request.scope["query_string"], settings.region)


UsesServices = Annotated[Services, Depends(_services)]
UsesFunctions = Annotated[Functions, Depends(_functions)]
UsesPublished = Annotated[Published, Depends(_published)]
UsesProvisions = Annotated[Provisions, Depends(_provisions)]
UsesRuntimes = Annotated[Runtimes, Depends(_runtimes)]
Region = Annotated[str, Depends(_region)]
"""The region the request means."""


def answer(content: Any, status: int = 200) -> Response:
    """A record as a JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def no_content() -> Response:
    """An answer without a body."""
    return Response(status_code=204)


def resolve(services: Services, region: str, text: str, qualifier: str | None = None) -> FunctionReference:
    """What function, and which version of it, a caller means by any of the forms AWS accepts.

    Account and region are set in the answer.
    Raises `ValidationFailed` for other forms, `InvalidParameterValue` when name and `qualifier` disagree,
    `ResourceNotFound` or `AccessDenied` for another region or account.
    """
    reference = FunctionReference.parse(text)
    if reference.qualifier and qualifier and reference.qualifier != qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    account = services.settings.account
    check_reachable(reference, account, region)
    return FunctionReference(reference.name, reference.qualifier or qualifier, account, region)


def resolve_latest(services: Services, region: str, text: str, qualifier: str | None = None) -> FunctionReference:
    """As `resolve`, for what there is of whole functions; raises `ResourceNotFound` for any qualifier but `$LATEST`."""
    reference = resolve(services, region, text, qualifier)
    if reference.qualifier not in (None, LATEST):
        raise not_found(reference.arn, reference.qualifier)
    return reference


def _named(request: Request, region: Region) -> FunctionReference:
    given = request.state.given
    return resolve(_services(request), region, given["FunctionName"], given.get("Qualifier"))


def _named_latest(reference: Named) -> FunctionReference:
    if reference.qualifier not in (None, LATEST):
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return reference


def _in_path(name: str, request: Request, region: Region) -> FunctionReference:
    return resolve_latest(_services(request), region, name)


Named = Annotated[FunctionReference, Depends(_named)]
"""The function an operation's `FunctionName` and `Qualifier` mean; account and region are set."""
NamedLatest = Annotated[FunctionReference, Depends(_named_latest)]
"""As `Named`, for operations that take no version and no alias."""
InPath = Annotated[FunctionReference, Depends(_in_path)]
"""The function a path of Samovar's own interface names; account and region are set."""


async def find(services: Services, reference: FunctionReference) -> FunctionRecord:
    """The function a reference means, as the store has it now. Raises `ResourceNotFound`."""
    return await services.registry.fresh(reference.arn, reference.qualifier)
