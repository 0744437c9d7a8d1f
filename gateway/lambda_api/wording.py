"""Constraints of the Lambda API in the words of AWS's answers, where these are not what its published model says.

AWS's messages list some sets in another order than the model, some patterns with other parts, and its runtimes as they
are supported now. People search for these texts, and tests compare them. Source: answers of AWS, 2024 to 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from gateway.lambda_api.model import Shape

RUNTIMES: Final = (
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, "
    "python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, "
    "dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2"
)
"""The runtimes of functions, as AWS lists them to who names another."""

_EVERY_RUNTIME: Final = (
    "ruby3.5, ruby2.6, dotnetcore1.0, python3.7, nodejs8.10, nasa, ruby2.7, python2.7-greengrass, dotnetcore2.0, "
    "python3.8, java21, dotnet6, dotnetcore2.1, python3.9, java11, nodejs6.10, provided, dotnetcore3.1, dotnet8, "
    "java25, java17, nodejs, nodejs4.3, java8.al2, go1.x, dotnet10, nodejs20.x, go1.9, byol, nodejs10.x, "
    "provided.al2023, nodejs22.x, python3.10, java8, nodejs12.x, python3.11, nodejs24.x, nodejs8.x, python3.12, "
    "nodejs14.x, nodejs8.9, nodejs26.x, python3.13, python3.14, nodejs16.x, python3.15, provided.al2, "
    "nodejs4.3-edge, nodejs18.x, ruby3.2, python3.4, ruby3.3, ruby3.4, ruby2.5, python3.6, python2.7"
)
"""What layers may be looked for by, with names AWS has never published."""

_ENUMS: Final[Mapping[str, str]] = {
    "EventSourcePosition": "LATEST, AT_TIMESTAMP, TRIM_HORIZON",
    "InvokeMode": "RESPONSE_STREAM, BUFFERED",
    "RecursiveLoop": "Terminate, Allow",
    "Runtime": _EVERY_RUNTIME,
}

_PATTERNS: Final[Mapping[str, str]] = {
    "LayerVersionArn": (
        r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
        r"layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
    ),
    "TaggableResource": (
        r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
        r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
        r"code-signing-config:csc-[a-z0-9]{17}|"
        r"event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|"
        r"capacity-provider:[a-zA-Z0-9-_]+)"
    ),
}

_UP_TO_1024: Final = "Member must have length less than or equal to 1024, Member must have length greater than or equal"
_LISTS: Final[Mapping[str, str]] = {
    "CompatibleRuntimes": f"Member must satisfy enum value set: [{RUNTIMES}]",
    "SecurityGroupIds": (
        f"Member must satisfy constraint: [{_UP_TO_1024} to 0, "
        "Member must satisfy regular expression pattern: sg-[0-9a-zA-Z]*]"
    ),
    "SubnetIds": (
        f"Member must satisfy constraint: [{_UP_TO_1024} to 0, "
        "Member must satisfy regular expression pattern: subnet-[0-9a-z]*]"
    ),
}
"""What is said of a list one of whose items breaks a rule."""

_FIRST: Final[Mapping[str, str]] = {"PublishLayerVersionRequest": "CompatibleRuntimes"}
"""Members of which AWS speaks before those that the model has before them."""


def worded(name: str, shape: Shape) -> Shape:
    """A shape of the model with what AWS says of it. What a pattern says to be allowed is allowed."""
    first, pattern = _FIRST.get(name), _PATTERNS.get(name)
    return msgspec.structs.replace(
        shape,
        pattern=shape.pattern if pattern is None else f"{shape.pattern}|{pattern}",
        said_enum=_ENUMS.get(name),
        said_pattern=pattern,
        said_of_items=_LISTS.get(name),
        members=shape.members if first is None else {first: shape.members[first]} | shape.members,
    )
