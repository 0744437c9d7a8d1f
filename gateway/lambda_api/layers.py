"""Layers: PublishLayerVersion, ListLayers, ListLayerVersions, GetLayerVersion(ByArn), DeleteLayerVersion."""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec
from fastapi import Depends, Request, Response

from gateway.functions.artifacts import base64_digest
from gateway.functions.layers import Layers, LayerVersion
from gateway.lambda_api import code_source
from gateway.lambda_api.edge import Region, UsesFunctions, UsesServices, answer, no_content
from gateway.lambda_api.layer_models import (
    LayerContent,
    LayerListing,
    LayerSummary,
    LayerVersionAnswer,
    LayerVersionArn,
    LayerVersionName,
    LayerVersions,
    LayerVersionSummary,
    ListedLayers,
    PublishLayerVersionRequest,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.services import Services
from gateway.v1.code import location
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.names import new_request_id

router = Operations()

_PAGE: Final = 50


def _layers(request: Request) -> Layers:
    found: Layers = request.app.state.layers
    return found


UsesLayers = Annotated[Layers, Depends(_layers)]


@router.operation("PublishLayerVersion")
async def publish_layer_version(
    request: Request, region: Region, services: UsesServices, functions: UsesFunctions, layers: UsesLayers
) -> Response:
    """PublishLayerVersion: the next version of a layer, or the first."""
    wanted = asked(request, PublishLayerVersionRequest)
    content = wanted.content
    code_source.check(content, "layer content")
    package = await code_source.package_of(services, content)
    version = LayerVersion(
        revision_id=new_request_id(),
        code_sha256=package.sha256,
        code_size=package.size,
        created=functions.timestamp(),
        description=wanted.description or "",
        license_info=wanted.license_info,
        compatible_runtimes=wanted.compatible_runtimes,
        compatible_architectures=wanted.compatible_architectures,
    )
    arn = layer_arn(services, region, wanted.layer_name)
    number = await layers.publish(arn, version)
    return answer(_shown(request, arn, number, version), 201)


@router.operation("ListLayers")
async def list_layers(request: Request, region: Region, services: UsesServices, layers: UsesLayers) -> Response:
    """ListLayers, each with its latest version that fits. A marker is the name of the last layer of the page before."""
    wanted = asked(request, LayerListing)
    limit = wanted.max_items or _PAGE
    shown: list[LayerSummary] = []
    for found in await layers.arns(layer_arn(services, region, "")):
        name = found.rpartition(":")[2]
        if wanted.marker is not None and name <= wanted.marker:
            continue
        versions = await layers.versions(found)
        latest = next((number for number, version in versions.items() if _fits(version, wanted)), None)
        if latest is None:
            continue
        if len(shown) == limit:
            return answer(ListedLayers(shown, next_marker=shown[-1].layer_name))
        shown.append(LayerSummary(name, found, _summary(found, latest, versions[latest])))
    return answer(ListedLayers(shown))


@router.operation("ListLayerVersions")
async def list_layer_versions(request: Request, region: Region, services: UsesServices, layers: UsesLayers) -> Response:
    """ListLayerVersions, the newest first. A marker is the number of the last version of the page before."""
    wanted = asked(request, LayerListing)
    if wanted.marker is not None and not wanted.marker.isdigit():
        raise InvalidParameterValue(f"Invalid marker {wanted.marker}")
    before = math.inf if wanted.marker is None else int(wanted.marker)
    arn = layer_arn(services, region, wanted.layer_name)
    versions = {
        number: version
        for number, version in (await layers.versions(arn)).items()
        if _fits(version, wanted) and number < before
    }
    numbers = list(versions)[: wanted.max_items or _PAGE]
    shown = [_summary(arn, number, versions[number]) for number in numbers]
    return answer(LayerVersions(shown, next_marker=str(numbers[-1]) if len(versions) > len(numbers) else None))


@router.operation("GetLayerVersion")
async def get_layer_version(request: Request, region: Region, services: UsesServices, layers: UsesLayers) -> Response:
    """GetLayerVersion."""
    return await _version(request, layers, *_named(request, region, services))


@router.operation("GetLayerVersionByArn")
async def get_layer_version_by_arn(request: Request, layers: UsesLayers) -> Response:
    """GetLayerVersionByArn."""
    arn, _, number = asked(request, LayerVersionArn).arn.rpartition(":")
    if not number.isdigit():  # one of AWS's own layers, of which there are none here
        raise _absent()
    return await _version(request, layers, arn, int(number))


@router.operation("DeleteLayerVersion")
async def delete_layer_version(
    request: Request, region: Region, services: UsesServices, layers: UsesLayers
) -> Response:
    """DeleteLayerVersion. Functions that use it go on using it; a version that is not there is no error."""
    arn, number = _named(request, region, services)
    found = await layers.get(arn, number)
    await layers.delete(arn, number)
    if found is not None:
        await services.artifacts.release(found.code_sha256)
    return no_content()


def layer_arn(services: Services, region: str, layer: str) -> str:
    """The ARN of a layer by its name or its ARN; without a name, what all of them begin with."""
    if layer.startswith("arn:"):
        return layer
    return f"arn:aws:lambda:{region}:{services.settings.account}:layer:{layer}"


def _named(request: Request, region: str, services: Services) -> tuple[str, int]:
    named = asked(request, LayerVersionName)
    if named.version_number < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")
    return layer_arn(services, region, named.layer_name), named.version_number


async def _version(request: Request, layers: Layers, arn: str, number: int) -> Response:
    version = await layers.get(arn, number)
    if version is None:
        raise _absent()
    return answer(_shown(request, arn, number, version))


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _fits(version: LayerVersion, wanted: LayerListing) -> bool:
    return version.fits(wanted.compatible_runtime, wanted.compatible_architecture)


def _summary(arn: str, number: int, version: LayerVersion) -> LayerVersionSummary:
    return LayerVersionSummary(
        layer_version_arn=f"{arn}:{number}",
        version=number,
        description=version.description,
        created_date=version.created,
        compatible_runtimes=version.compatible_runtimes,
        license_info=version.license_info,
        compatible_architectures=version.compatible_architectures,
    )


def _shown(request: Request, arn: str, number: int, version: LayerVersion) -> LayerVersionAnswer:
    return LayerVersionAnswer(
        content=LayerContent(
            location=location(request, version.code_sha256),
            code_sha256=base64_digest(version.code_sha256),
            code_size=version.code_size,
        ),
        layer_arn=arn,
        **msgspec.structs.asdict(_summary(arn, number, version)),
    )
