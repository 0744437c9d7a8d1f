"""Functions: CreateFunction, GetFunction, ListFunctions, DeleteFunction."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from gateway.lambda_api.code import coded
from gateway.lambda_api.configuration import configuration, configured
from gateway.lambda_api.edge import (
    Qualifier,
    UsesFunctions,
    UsesRuntimes,
    UsesServices,
    answer,
    find,
    no_content,
    read,
    resolve,
    resolve_latest,
)
from gateway.lambda_api.function_layers import Layering, check_size, lay
from gateway.lambda_api.layers import UsesLayers
from gateway.lambda_api.models import (
    CodeLocation,
    Concurrency,
    CreateFunctionRequest,
    GetFunctionResponse,
    ListFunctionsResponse,
)
from gateway.lambda_api.tags import with_tags
from gateway.lambda_api.validation import Constraints, check_creation
from gateway.record import FunctionRecord
from gateway.registry import not_found
from samovar.errors import InvalidParameterValue, ResourceConflict
from samovar.function import FunctionVersion
from samovar.names import FUNCTION_NAME, LATEST

router = APIRouter(prefix="/2015-03-31/functions")

_PAGE: Final = 50
"""ListFunctions gives at most 50 a page, whatever more is asked for."""


@router.post("")
@router.post("/", include_in_schema=False)
async def create_function(
    request: Request, services: UsesServices, functions: UsesFunctions, runtimes: UsesRuntimes, layers: UsesLayers
) -> Response:
    """CreateFunction."""
    create = await read(request, CreateFunctionRequest)
    reference = resolve_latest(services, create.function_name)
    check_creation(create)
    await runtimes.check(create.runtime)
    draft = FunctionRecord(
        version=FunctionVersion(
            name=reference.name,
            account=services.settings.account,
            region=services.settings.region,
            serial=0,
            revision_id="",
            runtime=create.runtime or "",
            handler=create.handler or "",
            code_sha256="",
        )
    )
    draft = with_tags(configured(draft, create), create.tags or {})
    # Before the package is unpacked, so that a name that is taken costs nothing; the store decides again below.
    if await services.store.get(services.store.arn(reference.name)) is not None:
        raise ResourceConflict(f"Function already exist: {reference.name}")
    layering = await lay(services, layers, create.layers, None) or Layering()
    package = await services.artifacts.add(create.code.zip_file or b"")
    await check_size(services, package.sha256, layering.uses)
    return answer(configuration(await functions.create(coded(layering.on(draft), package))), 201)


@router.get("")
@router.get("/", include_in_schema=False)
async def list_functions(
    services: UsesServices,
    marker: Annotated[str | None, Query(alias="Marker")] = None,
    limit: Annotated[int, Query(alias="MaxItems")] = _PAGE,
    versions: Annotated[str | None, Query(alias="FunctionVersion")] = None,
) -> Response:
    """ListFunctions, in the order of their names. A marker is the name of the last function of the page before."""
    constraints = Constraints()
    constraints.within(limit, "maxItems", 1, 10_000)
    constraints.one_of(versions, "functionVersion", ("ALL",))
    constraints.matches(marker or None, "marker", FUNCTION_NAME.pattern)
    constraints.enforce()
    records, following = await services.store.page(marker or None, min(limit, _PAGE))
    qualifier = LATEST if versions == "ALL" else None
    shown = [configuration(record, qualifier) for record in records]
    return answer(ListFunctionsResponse(functions=shown, next_marker=following))


@router.get("/{name}")
async def get_function(
    name: str,
    request: Request,
    services: UsesServices,
    functions: UsesFunctions,
    qualifier: Qualifier = None,
) -> Response:
    """GetFunction: configuration, tags, reserved concurrency, and where to download the package."""
    reference = resolve_latest(services, name, qualifier)
    record = await find(services, name, qualifier)
    reserved = record.version.max_environments
    return answer(
        GetFunctionResponse(
            configuration=configuration(record, reference.qualifier, await functions.standing(record.version)),
            code=CodeLocation(location=f"{request.base_url}samovar/v1/code/{record.version.code_sha256}"),
            tags=record.tags or None,
            concurrency=None if reserved is None else Concurrency(reserved),
        )
    )


@router.delete("/{name}")
async def delete_function(
    name: str,
    services: UsesServices,
    functions: UsesFunctions,
    qualifier: Qualifier = None,
) -> Response:
    """DeleteFunction, with its URL. Running calls finish; its logs and meter readings stay."""
    reference = resolve(services, name, qualifier)
    if reference.qualifier == LATEST:
        raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
    if reference.qualifier is not None:
        raise not_found(services.settings.account, services.settings.region, reference.name)
    record = await services.registry.fresh(reference.name)
    await functions.delete(reference.name)
    await services.artifacts.release(record.version.code_sha256, record.version.layers_sha256)
    return no_content()
