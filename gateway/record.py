"""What the gateway keeps about a function beside what an invoker needs. Stored as JSON in Redis."""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.function import FunctionVersion

AuthType = Literal["NONE", "AWS_IAM"]
InvokeMode = Literal["BUFFERED", "RESPONSE_STREAM"]


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """Cross-origin rules of a function URL, as AWS has them."""

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 0


class FunctionUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A function's URL: its id is the first label of the host name."""

    url_id: str
    auth_type: AuthType = "NONE"
    invoke_mode: InvokeMode = "BUFFERED"
    cors: Cors | None = None
    created: str
    """ISO 8601 with milliseconds, as the API prints it."""
    modified: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for one version, or for two that share its calls."""

    name: str
    version: str
    """The version it points to: a number or `$LATEST`."""
    weights: dict[str, float] = {}
    """The share of calls, 0 to 1, that another version gets."""
    description: str = ""
    revision_id: str = ""


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version that a function has; it goes on having it when the version is deleted."""

    arn: str
    code_size: int
    code_sha256: str


class FunctionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A function as the registry holds it, or one of its published versions.

    Changing a function makes a new record with a greater serial; a published version stays as it is.
    """

    version: FunctionVersion
    description: str = ""
    role: str = ""
    code_size: int = 0
    """Bytes of the deployment package as uploaded."""
    last_modified: str = ""
    tags: dict[str, str] = {}
    has_environment: bool = False
    """Whether `Environment` was ever given, even empty: until then, the API leaves it out."""
    url: FunctionUrl | None = None
    layers: tuple[LayerUse, ...] = ()
    """In the order in which they are laid one over the other."""
    tracing: Literal["Active", "PassThrough"] = "PassThrough"
    """Kept and told as AWS does; there is no tracing service here."""
    http_route: bool = True
    """Whether `/fn/{name}/` reaches the function (tag `samovar:http` = `off` closes it)."""

    last_published: int = 0
    """The number of the last version that was published of it. Numbers are not given twice."""
    is_published: bool = False
    """Whether nothing has changed since then."""
    attached_serial: int = 0
    """The serial with which something last changed that all its versions have in common."""

    @property
    def arn(self) -> str:
        """The function's ARN, without a qualifier."""
        return self.version.arn

    @property
    def name(self) -> str:
        """The function's name."""
        return self.version.name
