"""The constraints of the Lambda API, all in one place, with AWS's wording.

A request that breaks constraints of the API model gets one `ValidationException` that lists them all. Limits that
are not in the model but in the service (10,240 MB, 900 s, reserved variables …) are checked by `samovar.function`
and come as `InvalidParameterValueException`, as AWS does it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from gateway.lambda_api.models import CodeSource, ConfigurationRequest, CorsConfig, CreateFunctionRequest, Unoffered
from samovar.errors import InvalidParameterValue, ValidationFailed

ARCHITECTURE: Final = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
"""Of this host, in AWS's words."""
MAX_TAGS: Final = 50
_ROLE: Final = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
_HANDLER: Final = r"[^\s]+"
_TAG: Final = r"[\w\s.:/=+\-@]*"
_AWS_TAG: Final = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
_METHODS: Final = ("*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE")

_HARMLESS: Final[dict[str, tuple[object, ...]]] = {
    "package_type": ("Zip",),
    "snap_start": ({"ApplyOn": "None"},),
    "logging_config": ({"LogFormat": "Text"},),
}
"""Values of unoffered members that ask for nothing but what happens anyway."""

_INSTEAD: Final[dict[str, str]] = {
    "publish": "versions are not offered yet; leave it out and call the function without a qualifier",
    "package_type": "container images are not offered yet; send a zip file",
    "dead_letter_config": "asynchronous invocation is not offered yet",
    "vpc_config": "choose a network with the tag samovar:network (none, bridge or host)",
    "logging_config": "logs are text, one file set per function; read them with `samovar logs`",
    "kms_key_arn": "encrypt the disk that holds Samovar's data directory",
    "s3_bucket": "send the package itself as ZipFile",
    "image_uri": "container images are not offered yet; send a zip file",
}


class Constraints:
    """Collects what a request breaks, to report it at once."""

    def __init__(self) -> None:
        self._broken: list[str] = []

    def check(self, kept: bool, value: object, member: str, constraint: str) -> None:
        """Note that `value` of `member` breaks `constraint`, unless it was `kept`."""
        if not kept:
            shown = "null" if value is None else f"'{value}'"
            self._broken.append(f"Value {shown} at '{member}' failed to satisfy constraint: Member must {constraint}")

    def within(self, value: int | None, member: str, low: int, high: int) -> None:
        """A number between bounds, both allowed."""
        if value is not None:
            self.check(value >= low, value, member, f"have value greater than or equal to {low}")
            self.check(value <= high, value, member, f"have value less than or equal to {high}")

    def matches(self, value: str | None, member: str, pattern: str, shown: str | None = None) -> None:
        """Text of a pattern, which AWS may write in another dialect (`shown`)."""
        if value is not None:
            kept = re.fullmatch(pattern, value) is not None
            self.check(kept, value, member, f"satisfy regular expression pattern: {shown or pattern}")

    def no_longer(self, value: str | None, member: str, limit: int) -> None:
        """Text of at most so many characters."""
        if value is not None:
            self.check(len(value) <= limit, value, member, f"have length less than or equal to {limit}")

    def one_of(self, value: str | None, member: str, allowed: Collection[str]) -> None:
        """One of some words."""
        if value is not None:
            self.check(value in allowed, value, member, f"satisfy enum value set: [{', '.join(allowed)}]")

    def enforce(self) -> None:
        """Raise `ValidationFailed` if anything was broken."""
        if self._broken:
            count = len(self._broken)
            errors = "error" if count == 1 else "errors"
            raise ValidationFailed(f"{count} validation {errors} detected: {'; '.join(self._broken)}")


def check_configuration(request: ConfigurationRequest) -> None:
    """What CreateFunction and UpdateFunctionConfiguration have in common. Bounds are those of AWS's model."""
    constraints = Constraints()
    constraints.matches(request.role, "role", _ROLE)
    constraints.matches(request.handler, "handler", _HANDLER)
    constraints.no_longer(request.handler, "handler", 128)
    constraints.no_longer(request.description, "description", 256)
    constraints.within(request.timeout, "timeout", 1, 5400)
    constraints.within(request.memory_size, "memorySize", 128, 32_768)
    if request.ephemeral_storage is not None:
        constraints.within(request.ephemeral_storage.size, "ephemeralStorage.size", 512, 32_768)
    if request.tracing_config is not None:
        constraints.one_of(request.tracing_config.mode, "tracingConfig.mode", ("Active", "PassThrough"))
    constraints.enforce()
    offered(request)


def check_creation(request: CreateFunctionRequest) -> None:
    """CreateFunction as a whole, apart from its name and runtime."""
    check_configuration(request)
    check_code(request.code)
    check_architectures(request.architectures)
    check_tags(request.tags or {})
    if not request.runtime or not request.handler:
        raise InvalidParameterValue(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )


def check_code(code: CodeSource) -> None:
    """Only a zip file in the request itself is offered."""
    for member, value in (
        ("s3_bucket", code.s3_bucket or code.s3_key),
        ("image_uri", code.image_uri),
        ("kms_key_arn", code.source_kms_key_arn),
    ):
        if value:
            raise _not_offered(member, value)
    if code.zip_file is None:
        raise InvalidParameterValue("Please provide a source for function code.")


def check_architectures(asked: list[str] | None) -> None:
    """Functions run on the host's own architecture."""
    if asked and asked != [ARCHITECTURE]:
        raise InvalidParameterValue(f"Architectures {asked} cannot run here: this host has {ARCHITECTURE}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Form and number of tags."""
    constraints = Constraints()
    for key, value in tags.items():
        constraints.matches(key, "tags.key", _TAG, _AWS_TAG)
        constraints.matches(value, "tags.value", _TAG, _AWS_TAG)
        constraints.check(0 < len(key) <= 128, key, "tags.key", "have length between 1 and 128")
        constraints.no_longer(value, "tags.value", 256)
    constraints.enforce()
    reserved = next((key for key in tags if key.lower().startswith("aws:")), None)
    if reserved is not None:
        raise InvalidParameterValue(f"Tag key {reserved!r} is not allowed: the prefix aws: is reserved")
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue(f"Number of tags exceeds resource tag limit. A function has at most {MAX_TAGS}")


def check_cors(cors: CorsConfig | None) -> None:
    """Cross-origin rules of a function URL."""
    if cors is None:
        return
    constraints = Constraints()
    constraints.within(cors.max_age, "cors.maxAge", 0, 86_400)
    for method in cors.allow_methods or ():
        constraints.one_of(method, "cors.allowMethods", _METHODS)
    constraints.check(
        len(cors.allow_methods or ()) <= 6,
        cors.allow_methods,
        "cors.allowMethods",
        "have length less than or equal to 6",
    )
    for member, values in (
        ("allowHeaders", cors.allow_headers),
        ("allowOrigins", cors.allow_origins),
        ("exposeHeaders", cors.expose_headers),
    ):
        constraints.check(len(values or ()) <= 100, values, f"cors.{member}", "have length less than or equal to 100")
    constraints.enforce()


def offered(request: Unoffered) -> None:
    """Refuse members that would change what the function does and have no meaning here. Empty ones pass."""
    for member in Unoffered.__struct_fields__:
        refuse_unless_empty(member, getattr(request, member))


def refuse_unless_empty(member: str, value: object) -> None:
    """Raise `InvalidParameterValue` for a value of an unoffered member that asks for something."""
    if not _asks_nothing(value) and value not in _HARMLESS.get(member, ()):
        raise _not_offered(member, value)


def _asks_nothing(value: object) -> bool:
    """Whether a JSON value is empty all the way down: null, false, "", [] or {"SubnetIds": []}."""
    if isinstance(value, dict):
        return all(_asks_nothing(item) for item in value.values())
    return not value


def _not_offered(member: str, value: object) -> InvalidParameterValue:
    name = _AWS_NAMES.get(member, member.title().replace("_", ""))
    instead = _INSTEAD.get(member, "leave it out")
    shown = msgspec.json.encode(value).decode()[:200]
    return InvalidParameterValue(f"{name} = {shown} is not offered by Samovar: {instead}")


_AWS_NAMES: Final = {"kms_key_arn": "KMSKeyArn", "s3_bucket": "S3Bucket"}
