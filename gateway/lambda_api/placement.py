"""The tags by which a function chooses where it runs, and whether `/fn/{name}/` reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from gateway.functions.record import MOST_RETRIES, RETRIES_TAG, FunctionRecord
from gateway.lambda_api.validation import check_tags
from samovar.errors import InvalidParameterValue
from samovar.function import Network, OciRuntime, Placement

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
        if key == RETRIES_TAG:
            _check_retries(value)
        elif key.startswith(_PREFIX):
            field, allowed = _choice(key)
            if value not in allowed:
                raise InvalidParameterValue(f"Tag {key} = {value!r} is not allowed: one of {', '.join(allowed)}")
            chosen[field] = value
    http_route = chosen.pop("http", "on") == "on"
    version = msgspec.structs.replace(record.version, placement=Placement(**chosen))
    return msgspec.structs.replace(record, version=version, tags=dict(tags), http_route=http_route)


def _check_retries(value: str) -> None:
    if not (value.isascii() and value.isdigit() and int(value) <= MOST_RETRIES):
        raise InvalidParameterValue(f"Tag {RETRIES_TAG} = {value!r} is not allowed: a number from 0 to {MOST_RETRIES}")


def _choice(key: str) -> tuple[str, tuple[str, ...]]:
    if key == HTTP_TAG:
        return "http", get_args(Switch)
    if key not in _CHOICES:
        known = ", ".join([*_CHOICES, HTTP_TAG, RETRIES_TAG])
        raise InvalidParameterValue(f"Tag {key} is not allowed: tags that begin with {_PREFIX} are {known}")
    return _CHOICES[key]
