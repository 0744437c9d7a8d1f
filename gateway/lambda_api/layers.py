"""Layers: PublishLayerVersion, ListLayers, ListLayerVersions, GetLayerVersion(ByArn), DeleteLayerVersion."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.artifacts import base64_digest
from gateway.lambda_api.edge import UsesFunctions, UsesServices, answer, no_content, read
from gateway.lambda_api.layer_models import (
    LayerContent,
    LayerSummary,
    LayerVersionAnswer,
    LayerVersions,
    LayerVersionSummary,
    ListedLayers,
    PublishLayerVersionRequest,
)
from gateway.lambda_api.validation import Constraints
from gateway.layers import Layers, LayerVersion
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.names import new_request_id

router = APIRouter(prefix="/2018-10-31/layers")

_PAGE: Final = 50
_NAME: Final = re.compile(r"(?:arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:layer:)?(?P<name>[a-zA-Z0-9_-]{1,140})")
_VERSION_ARN: Final = re.compile(r"(arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:layer:[a-zA-Z0-9_-]+):(\d+)")


def _layers(request: Request) -> Layers:
    found: Layers = request.app.state.layers
    return found


UsesLayers = Annotated[Layers, Depends(_layers)]


@dataclass(frozen=True)
class Listing:
    """What a list is asked for: versions that fit, and which page of them."""

    runtime: Annotated[str | None, Query(alias="CompatibleRuntime")] = None
    architecture: Annotated[str | None, Query(alias="CompatibleArchitecture")] = None
    marker: Annotated[str | None, Query(alias="Marker")] = None
    limit: Annotated[int, Query(alias="MaxItems")] = _PAGE

    def check(self) -> None:
        """Raise `ValidationFailed` for a page of an impossible size."""
        constraints = Constraints()
        constraints.within(self.limit, "maxItems", 1, _PAGE)
        constraints.enforce()

    def has(self, version: LayerVersion) -> bool:
        """Whether a version fits."""
        return version.fits(self.runtime, self.architecture)


UsesListing = Annotated[Listing, Depends()]


@router.post("/{layer}/versions")
async def publish_layer_version(
    layer: str, request: Request, services: UsesServices, functions: UsesFunctions, layers: UsesLayers
) -> Response:
    """PublishLayerVersion: the next version of a layer, or the first."""
    arn = layer_arn(services, layer)
    asked = await read(request, PublishLayerVersionRequest)
    content = asked.content
    if content.s3_bucket or content.s3_key:
        raise InvalidParameterValue("S3Bucket and S3Key are not offered by Samovar yet: send the layer as ZipFile")
    if content.zip_file is None:
        raise InvalidParameterValue("Please provide a source for layer content.")
    package = await services.artifacts.add(content.zip_file)
    version = LayerVersion(
        revision_id=new_request_id(),
        code_sha256=package.sha256,
        code_size=package.size,
        created=functions.timestamp(),
        description=asked.description or "",
        license_info=asked.license_info,
        compatible_runtimes=asked.compatible_runtimes,
        compatible_architectures=asked.compatible_architectures,
    )
    number = await layers.publish(arn, version)
    return answer(_shown(request, arn, number, version), 201)


@router.get("")
async def list_layers(request: Request, services: UsesServices, layers: UsesLayers, listing: UsesListing) -> Response:
    """ListLayers, each with its latest version that fits; or GetLayerVersionByArn, which has the same path."""
    if request.query_params.get("find") == "LayerVersion":
        return await _by_arn(request, layers, request.query_params.get("Arn"))
    listing.check()
    shown: list[LayerSummary] = []
    for found in await layers.arns(layer_arn(services, "")):
        name = found.rpartition(":")[2]
        if listing.marker is not None and name <= listing.marker:
            continue
        versions = await layers.versions(found)
        latest = next((number for number, made in versions.items() if listing.has(made)), None)
        if latest is None:
            continue
        if len(shown) == listing.limit:
            return answer(ListedLayers(shown, next_marker=shown[-1].layer_name))
        shown.append(LayerSummary(name, found, _summary(found, latest, versions[latest])))
    return answer(ListedLayers(shown))


@router.get("/{layer}/versions")
async def list_layer_versions(layer: str, services: UsesServices, layers: UsesLayers, listing: UsesListing) -> Response:
    """ListLayerVersions, the newest first. A marker is the number of the last version of the page before."""
    listing.check()
    if listing.marker is not None and not listing.marker.isdigit():
        raise InvalidParameterValue(f"Invalid marker {listing.marker}")
    before = math.inf if listing.marker is None else int(listing.marker)
    arn = layer_arn(services, layer)
    versions = {
        number: version
        for number, version in (await layers.versions(arn)).items()
        if listing.has(version) and number < before
    }
    numbers = list(versions)[: listing.limit]
    shown = [_summary(arn, number, versions[number]) for number in numbers]
    return answer(LayerVersions(shown, next_marker=str(numbers[-1]) if len(versions) > len(numbers) else None))


@router.get("/{layer}/versions/{number}")
async def get_layer_version(
    layer: str, number: int, request: Request, services: UsesServices, layers: UsesLayers
) -> Response:
    """GetLayerVersion."""
    _check_number(number)
    return await _version(request, layers, layer_arn(services, layer), number)


@router.delete("/{layer}/versions/{number}")
async def delete_layer_version(layer: str, number: int, services: UsesServices, layers: UsesLayers) -> Response:
    """DeleteLayerVersion. Functions that use it go on using it; a version that is not there is no error."""
    _check_number(number)
    arn = layer_arn(services, layer)
    found = await layers.get(arn, number)
    await layers.delete(arn, number)
    if found is not None:
        await services.artifacts.release(found.code_sha256)
    return no_content()


def layer_arn(services: Services, layer: str) -> str:
    """The ARN of a layer by its name or its ARN; without a name, what all of them begin with."""
    if layer.startswith("arn:"):
        return layer
    return f"arn:aws:lambda:{services.settings.region}:{services.settings.account}:layer:{layer}"


async def _by_arn(request: Request, layers: Layers, arn: str | None) -> Response:
    constraints = Constraints()
    named = _VERSION_ARN.fullmatch(arn or "")
    constraints.check(named is not None, arn, "arn", f"satisfy regular expression pattern: {_ARN_PATTERN}")
    constraints.enforce()
    assert named is not None, "enforced above"
    return await _version(request, layers, named[1], int(named[2]))


async def _version(request: Request, layers: Layers, arn: str, number: int) -> Response:
    version = await layers.get(arn, number)
    if version is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    return answer(_shown(request, arn, number, version))


def _check_number(number: int) -> None:
    if number < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")


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
            location=f"{request.base_url}samovar/v1/code/{version.code_sha256}",
            code_sha256=base64_digest(version.code_sha256),
            code_size=version.code_size,
        ),
        layer_arn=arn,
        **msgspec.structs.asdict(_summary(arn, number, version)),
    )


_ARN_PATTERN: Final = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+"
    r":[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
)
"""AWS's own, quoted in its message."""
