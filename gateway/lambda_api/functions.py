"""Functions: CreateFunction, GetFunction, ListFunctions, DeleteFunction."""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response

from gateway.functions.layers import check_regions
from gateway.functions.listing import every_version
from gateway.functions.published import Publication, Published
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import not_found
from gateway.lambda_api import images
from gateway.lambda_api.code import coded
from gateway.lambda_api.code_source import package_of
from gateway.lambda_api.configuration import configuration, configured, listed, pending
from gateway.lambda_api.edge import (
    Named,
    NamedLatest,
    Region,
    UsesFunctions,
    UsesPublished,
    UsesRuntimes,
    UsesServices,
    answer,
    find,
    no_content,
)
from gateway.lambda_api.function_layers import Layering, check_size, lay
from gateway.lambda_api.images import is_image
from gateway.lambda_api.layers import UsesLayers
from gateway.lambda_api.models import (
    CodeLocation,
    Concurrency,
    CreateFunctionRequest,
    GetFunctionResponse,
    ListFunctionsRequest,
    ListFunctionsResponse,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.placement import with_tags
from gateway.lambda_api.validation import check_creation
from gateway.v1.code import location
from samovar.errors import InvalidParameterValue, ResourceConflict
from samovar.function import FunctionVersion
from samovar.names import LATEST, check_new_name

router = Operations()

_PAGE: Final = 50
"""ListFunctions gives at most 50 a page, whatever more is asked for."""


@router.operation("CreateFunction")
async def create_function(
    request: Request,
    reference: NamedLatest,
    services: UsesServices,
    functions: UsesFunctions,
    runtimes: UsesRuntimes,
    layers: UsesLayers,
) -> Response:
    """CreateFunction."""
    create = asked(request, CreateFunctionRequest)
    check_new_name(reference.name)
    check_creation(create)
    await runtimes.check(create.runtime)
    image = None
    if is_image(create):
        image = await images.pull(functions.link, create.code.image_uri or "", create.image_config)
    draft = FunctionRecord(
        version=FunctionVersion(
            name=reference.name,
            account=reference.account or "",
            region=reference.region or "",
            serial=0,
            revision_id="",
            runtime=create.runtime or "",
            handler=create.handler or "",
            code_sha256="",
            image=image,
        )
    )
    draft = with_tags(configured(draft, create), create.tags or {})
    check_regions(create.layers or (), draft.version.region)
    # Before the package is unpacked, so that a name that is taken costs nothing; the store decides again below.
    if await services.store.get(reference.arn) is not None:
        raise ResourceConflict(f"Function already exist: {reference.name}")
    if image is not None:
        coding = images.on(draft, image)
    else:
        layering = await lay(services, layers, create.layers, draft.version) or Layering()
        package = await package_of(services, create.code)
        await check_size(services, package.sha256, layering.uses)
        coding = coded(layering.on(draft), package)
    made = await functions.create(coding)
    if create.publish:
        made = await Published(functions).publish(reference.arn, Publication())
    return answer(pending(configuration(made)), 201)


@router.operation("ListFunctions")
async def list_functions(request: Request, region: Region, services: UsesServices) -> Response:
    """ListFunctions, in the order of their names. A marker is the name of the last function of the page before."""
    wanted = asked(request, ListFunctionsRequest)
    size = min(wanted.max_items, _PAGE)
    if wanted.function_version == "ALL":
        versions, following = await every_version(services, region, wanted.marker, size)
        return answer(
            ListFunctionsResponse(
                functions=[listed(one, one.version.version) for one in versions], next_marker=following
            )
        )
    records, following = await services.store.page(wanted.marker or None, size, region)
    return answer(ListFunctionsResponse(functions=[listed(one) for one in records], next_marker=following))


@router.operation("GetFunction")
async def get_function(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """GetFunction: configuration, tags, reserved concurrency, and where to download the package."""
    record = await find(services, reference)
    reserved = record.version.max_environments
    return answer(
        GetFunctionResponse(
            configuration=configuration(record, reference.qualifier, await functions.standing(record.version)),
            code=_code_location(request, record),
            tags=record.tags or None,
            concurrency=None if reserved is None else Concurrency(reserved),
        )
    )


def _code_location(request: Request, record: FunctionRecord) -> CodeLocation:
    if record.version.image is not None:
        return images.location(record.version.image)
    # "S3" is AWS's word for: download it from `Location`.
    return CodeLocation(repository_type="S3", location=location(request, record.version.code_sha256))


@router.operation("DeleteFunction")
async def delete_function(
    reference: Named, services: UsesServices, functions: UsesFunctions, published: UsesPublished
) -> Response:
    """DeleteFunction: a version, or all there is. Running calls finish; its logs and meter readings stay."""
    qualifier = reference.qualifier
    if qualifier == LATEST:
        raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
    if qualifier is not None and "$" in qualifier:  # no version and no alias is called so
        raise not_found(reference.arn)
    if qualifier is not None and not qualifier.isdecimal():
        raise InvalidParameterValue("Deletion of aliases is not currently supported.")
    record = await services.registry.fresh(reference.arn)
    if qualifier is not None:
        released = await published.delete(reference.arn, qualifier)
    else:
        released = await services.registry.qualified.store.code_digests(reference.arn)
        released |= {record.version.code_sha256, record.version.layers_sha256}
        await functions.delete(reference.arn)
    await services.artifacts.release(*released)
    return no_content()
