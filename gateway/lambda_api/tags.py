"""Tags: TagResource, UntagResource, ListTags, and the tags by which a function chooses where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from fastapi import APIRouter, Query, Request, Response

from gateway.lambda_api.edge import UsesFunctions, UsesServices, answer, find, no_content, read, resolve
from gateway.lambda_api.models import Tags
from gateway.lambda_api.validation import check_tags
from gateway.record import FunctionRecord
from samovar.errors import InvalidParameterValue
from samovar.function import Network, OciRuntime, Placement

router = APIRouter(prefix="/2017-03-31/tags")

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


@router.post("/{arn:path}")
async def tag_resource(arn: str, request: Request, services: UsesServices, functions: UsesFunctions) -> Response:
    """TagResource: add tags, or replace the values of those that are there."""
    name = _named(services, arn)
    added = (await read(request, Tags)).tags
    if not added:
        raise InvalidParameterValue("An error occurred and the request cannot be processed.")
    await functions.attach(name, lambda record: with_tags(record, {**record.tags, **added}))
    return no_content()


@router.delete("/{arn:path}")
async def untag_resource(
    arn: str, services: UsesServices, functions: UsesFunctions, keys: Annotated[list[str], Query(alias="tagKeys")]
) -> Response:
    """UntagResource: remove tags; those that are not there are no error."""
    name = _named(services, arn)

    def without(record: FunctionRecord) -> FunctionRecord:
        return with_tags(record, {key: value for key, value in record.tags.items() if key not in keys})

    await functions.attach(name, without)
    return no_content()


@router.get("/{arn:path}")
async def list_tags(arn: str, services: UsesServices) -> Response:
    """ListTags."""
    return answer(Tags((await find(services, _named(services, arn))).tags))


def _named(services: UsesServices, arn: str) -> str:
    """The function an ARN means. Tags belong to functions, not to versions or aliases."""
    reference = resolve(services, arn)
    if reference.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return reference.name
