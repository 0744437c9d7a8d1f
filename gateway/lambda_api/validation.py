"""What of the Lambda API is offered, and the rules the API model does not state.

Constraints of the model are checked before (`constraints.py`). Limits that are not in the model but in the service
(10,240 MB, 900 s, reserved variables …) are checked by `samovar.function`. What is found here comes as
`InvalidParameterValueException`, as it does from AWS's service.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.lambda_api import code_source
from gateway.lambda_api.images import is_image
from gateway.lambda_api.models import CodeSource, CreateFunctionRequest, Unoffered
from samovar.errors import InvalidParameterValue

ARCHITECTURE: Final = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
"""Of this host, in AWS's words."""
MAX_TAGS: Final = 50

_ENCRYPT: Final = "encrypt the disk that holds Samovar's data directory"
_ONE_HOST: Final = "there are no managed instances, environments are on this host"
INSTEAD: Final[dict[str, str]] = {
    "publish_to": _ONE_HOST,
    "vpc_config": "choose a network with the tag samovar:network (none, bridge or host)",
    "file_system_configs": "put what functions share into a bucket or a layer",
    "code_signing_config_arn": "access keys say who may deploy",
    "tenancy_config": "deploy a function for each tenant",
    "capacity_provider_config": _ONE_HOST,
    "durable_config": "keep a function's progress in what it reaches, such as a queue or a bucket",
    "runtime_config": _ONE_HOST,
    "accelerator_config": _ONE_HOST,
    "kms_key_arn": _ENCRYPT,
    "source_kms_key_arn": _ENCRYPT,
    "s3_object_storage_mode": "COPY is what is done: Samovar keeps packages itself",
}
"""Of members that are not offered: what to do instead. `S3ObjectStorageMode` is refused unless it is `COPY`."""


def check_creation(request: CreateFunctionRequest) -> None:
    """CreateFunction as a whole, apart from its name and runtime."""
    offered(request)
    check_architectures(request.architectures)
    check_tags(request.tags or {})
    if is_image(request):
        return
    check_code(request.code)
    if not request.runtime or not request.handler:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )


def check_code(code: CodeSource) -> None:
    """A zip file in the request itself, or in a bucket; encrypted ones are not offered."""
    if code.source_kms_key_arn:
        raise _not_offered("source_kms_key_arn", code.source_kms_key_arn)
    if code.s3_object_storage_mode not in (None, "COPY"):
        raise _not_offered("s3_object_storage_mode", code.s3_object_storage_mode)
    code_source.check(code, "function code")


def check_dead_letter(target: str | None) -> None:
    """A dead-letter queue is a queue. Raises `InvalidParameterValue`; whether it exists is seen when it is sent to."""
    if target and target.split(":")[2:3] != ["sqs"]:
        raise InvalidParameterValue(
            f"The provided dead letter target {target} is not offered by Samovar: name a queue, arn:aws:sqs:…"
        )


def check_architectures(asked: list[str] | None) -> None:
    """Functions run on the host's own architecture."""
    if asked and asked != [ARCHITECTURE]:
        raise InvalidParameterValue(f"Architectures {asked} cannot run here: this host has {ARCHITECTURE}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Number of tags, and the keys AWS keeps to itself."""
    reserved = next((key for key in tags if key.lower().startswith("aws:")), None)
    if reserved is not None:
        raise InvalidParameterValue(f"Tag key {reserved!r} is not allowed: the prefix aws: is reserved")
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue("Number of tags exceeds resource tag limit.")


def offered(request: Unoffered) -> None:
    """Refuse members that would change what the function does and have no meaning here. Empty ones pass."""
    for member in Unoffered.__struct_fields__:
        refuse_unless_empty(member, getattr(request, member))


def refuse_unless_empty(member: str, value: object) -> None:
    """Raise `InvalidParameterValue` for a value of an unoffered member that asks for something."""
    if not _asks_nothing(value):
        raise _not_offered(member, value)


def _asks_nothing(value: object) -> bool:
    """Whether a JSON value is empty all the way down: null, false, "", [] or {"SubnetIds": []}."""
    if isinstance(value, dict):
        return all(_asks_nothing(item) for item in value.values())
    return not value


def _not_offered(member: str, value: object) -> InvalidParameterValue:
    name = _AWS_NAMES.get(member, member.title().replace("_", ""))
    shown = msgspec.json.encode(value).decode()[:200]
    return InvalidParameterValue(f"{name} = {shown} is not offered by Samovar: {INSTEAD[member]}")


_AWS_NAMES: Final = {"kms_key_arn": "KMSKeyArn", "source_kms_key_arn": "SourceKMSKeyArn"}
