"""What a deployed template leaves on the platform: a record of what belongs to it, and routes to its functions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from samovar.cors import Cors
from samovar.errors import InvalidParameterValue

Payload = Literal["rest", "1.0", "2.0"]
"""What a function gets: the event of a REST API, or one of the two formats of an HTTP API."""
StackName = Annotated[str, Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9-]{0,127}$")]
Method = Literal["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
ANY: Final = "ANY"
DEFAULT: Final = "$default"
MAX_ROUTES: Final = 300
"""Of one function; API Gateway has as many for an API."""
_PART: Final = re.compile(r"\{([a-zA-Z0-9._:-]+)\+?\}|[^{}]*")


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to a function: a method and a path below `/api/{api}`. Raises `InvalidParameterValue`."""

    api: StackName
    method: Method
    path: Annotated[str, Meta(min_length=1, max_length=512)]
    """With parameters as `{id}`, the last one as `{proxy+}` for all that is left; `$default` is every path."""
    payload: Payload = "2.0"
    stage: Annotated[str, Meta(min_length=1, max_length=128)] = DEFAULT
    """As events tell it; it is no part of the path."""
    qualifier: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] | None = None
    """The version or alias that is called."""
    cors: Cors | None = None
    """What browsers are told. Of a REST API the preflight is answered alone: its functions write their own headers."""

    def __post_init__(self) -> None:
        if self.path == DEFAULT:
            return
        parts = self.parts()
        greedy = [part for part in parts[:-1] if part.endswith("+}")]
        wrong = [part for part in parts if _PART.fullmatch(part) is None]
        if not self.path.startswith("/") or greedy or wrong:
            raise InvalidParameterValue(
                f"the path {self.path} is not allowed: it begins with /, a parameter is a whole part such as {{id}}, "
                "and only the last one may be {proxy+}"
            )

    def parts(self) -> list[str]:
        """The parts of its path; a slash at the end makes no difference."""
        return [part for part in self.path.split("/") if part]


class StackResource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that belongs to a stack."""

    logical_id: str
    """What the template calls it."""
    type: str
    """CloudFormation's type."""
    physical_id: str
    """What the platform calls it."""
    retain: bool = False
    """Whether it stays when the template no longer has it, or the stack is deleted (`DeletionPolicy: Retain`)."""


class Stack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployed template."""

    name: StackName
    resources: Annotated[tuple[StackResource, ...], Meta(max_length=2000)] = ()
    """In the order in which they were made."""
    outputs: dict[str, str] = {}
    updated: str = ""
    """ISO 8601; set by the platform."""


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of an AWS API that is to be checked and not carried out."""

    service: Literal["lambda", "scheduler", "sqs"]
    operation: Annotated[str, Meta(max_length=64)]
    """By AWS's name."""
    request: dict[str, Any]
    """Its members by AWS's names. A package is given as an empty `ZipFile`."""


MAX_CHECKS: Final = 200
"""In one request."""
