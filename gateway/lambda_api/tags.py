"""Tags: TagResource, UntagResource, ListTags, and the tags by which a function chooses where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Region, UsesFunctions, UsesServices, answer, find, no_content, resolve
from gateway.lambda_api.models import TagKeys, Tags
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.validation import check_tags
from gateway.record import FunctionRecord
from gateway.services import Services
from samovar.errors import InvalidParameterValue
from samovar.function import Network, OciRuntime, Placement
from samovar.names import FunctionReference

router = Operations()

_ISOLATIONS: Final = ("docker", "sandbox")
"""`none` is the operator's decision, never a function's."""
_CHOICES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "samovar:isolation": ("isolation", _ISOLATIONS),
    "samovar:oci-runtime": ("oci_runtime", get_args(OciRuntime)),
    "samovar:network": ("network", get_args(Network)),
}
HTTP_TAG: Final = "samovar:http"
_PREFIX: Final = "samovar:"
Switch = Literal["on", "off"]


def with_tags(record: FunctionRecord, tags: Mapping[str, str]) -> FunctionRecord:
    """The function with these tags and no others, placed as they say.

    Raises `InvalidParameterValue` for a `samovar:` tag that does not exist or has a value that is not allowed.
    """
    check_tags(tags)
    chosen: dict[str, Any] = {}
    for key, value in tags.items():
        if key.startswith(_PREFIX):
            field, allowed = _choice(key)
            if value not in allowed:
                raise InvalidParameterValue(f"Tag {key} = {value!r} is not allowed: one of {', '.join(allowed)}")
            chosen[field] = value
    http_route = chosen.pop("http", "on") == "on"
    version = msgspec.structs.replace(record.version, placement=Placement(**chosen))
    return msgspec.structs.replace(record, version=version, tags=dict(tags), http_route=http_route)


def _choice(key: str) -> tuple[str, tuple[str, ...]]:
    if key == HTTP_TAG:
        return "http", get_args(Switch)
    if key not in _CHOICES:
        raise InvalidParameterValue(
            f"Tag {key} is not allowed: tags that begin with {_PREFIX} are {', '.join([*_CHOICES, HTTP_TAG])}"
        )
    return _CHOICES[key]


@router.operation("TagResource")
async def tag_resource(request: Request, region: Region, services: UsesServices, functions: UsesFunctions) -> Response:
    """TagResource: add tags, or replace the values of those that are there."""
    function = _named(request, services, region)
    added = asked(request, Tags).tags
    if not added:
        raise InvalidParameterValue("An error occurred and the request cannot be processed.")
    await functions.attach(function.arn, lambda record: with_tags(record, {**record.tags, **added}))
    return no_content()


@router.operation("UntagResource")
async def untag_resource(
    request: Request, region: Region, services: UsesServices, functions: UsesFunctions
) -> Response:
    """UntagResource: remove tags; those that are not there are no error."""
    function = _named(request, services, region)
    keys = asked(request, TagKeys).tag_keys

    def without(record: FunctionRecord) -> FunctionRecord:
        return with_tags(record, {key: value for key, value in record.tags.items() if key not in keys})

    await functions.attach(function.arn, without)
    return no_content()


@router.operation("ListTags")
async def list_tags(request: Request, region: Region, services: UsesServices) -> Response:
    """ListTags."""
    return answer(Tags((await find(services, _named(request, services, region))).tags))


def _named(request: Request, services: Services, region: str) -> FunctionReference:
    """The function an ARN means. Tags belong to functions, not to versions or aliases."""
    reference = resolve(services, region, request.state.given["Resource"])
    if reference.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return reference
