"""What a function is: the frozen records every layer passes around.

A `FunctionVersion` is all an invoker needs to build an environment, and nothing else; HTTP shapes
(`CreateFunction` and friends) live in `gateway/lambda_api/` and never reach this module.
Limits: lambda-facts §8 and §9.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from samovar.errors import InvalidParameterValue
from samovar.logs.config import LoggingConfig
from samovar.names import FUNCTION_NAME, LATEST, function_arn
from samovar.provisioning import Provision, check_provisions

Isolation = Literal["docker", "sandbox", "fake", "none"]
Network = Literal["none", "bridge", "host"]
OciRuntime = Literal["runc", "runsc", "kata"]

MIN_MEMORY_MB, MAX_MEMORY_MB = 128, 10_240
MIN_TIMEOUT_S, MAX_TIMEOUT_S = 1, 900
MIN_TMP_MB, MAX_TMP_MB = 512, 10_240
MAX_ENVIRONMENT_BYTES = 4096
MAX_HANDLER_LENGTH = 128

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
"""Variables only the platform may set (lambda-facts §8)."""

CONCURRENCY_VARIABLE = "AWS_LAMBDA_MAX_CONCURRENCY"
"""With it a function that brings its own runtime says how many events that takes at once in one environment."""
MAX_CONCURRENCY = 1600
"""AWS's bound on `PerExecutionEnvironmentMaxConcurrency`, which is that variable there."""

_VARIABLE_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        bound = (
            f"Member must have value less than or equal to {high}"
            if value > high
            else f"Member must have value greater than or equal to {low}"
        )
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {bound}"
        )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one environment may use."""

    memory_mb: int = 128
    timeout_s: int = 3
    tmp_mb: int = 512
    pids: int = 1024
    open_files: int = 1024

    def __post_init__(self) -> None:
        _within("memorySize", self.memory_mb, MIN_MEMORY_MB, MAX_MEMORY_MB)
        _within("timeout", self.timeout_s, MIN_TIMEOUT_S, MAX_TIMEOUT_S)
        _within("ephemeralStorage.size", self.tmp_mb, MIN_TMP_MB, MAX_TMP_MB)


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a function's environments run. `None` leaves the choice to the platform."""

    isolation: Isolation | None = None
    oci_runtime: OciRuntime | None = None
    network: Network | None = None


IMAGE_RUNTIME = "image"
"""What stands for the runtime of functions that are container images; nobody can ask for it by name."""


class ContainerImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image a function is, and what of it the function says otherwise. `None` leaves that to the image."""

    uri: str
    """As it was given: a name and a tag, or a digest."""
    id: str
    """What that was when it was given: the engine's own `sha256:…`, which no other image ever has."""
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the function says nothing otherwise than its image."""
        return (self.entry_point, self.command, self.working_directory) == (None, None, None)

    @property
    def sha256(self) -> str:
        """The digest alone, 64 hex digits."""
        return self.id.removeprefix("sha256:")


class FunctionVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a function, complete enough to build an environment from it.

    `serial` grows with every change anywhere on the platform: of two records of the same
    function and version, the one with the greater serial is the current one.
    """

    name: str
    account: str
    region: str
    version: str = LATEST
    serial: int
    revision_id: str
    born: int = 0
    """The serial with which its function was created; one of the same name that is created later has another."""
    runtime: str
    handler: str
    code_sha256: str
    """Lower-case hex digest of the deployment package; names its unpacked folder. Of an image, its own digest."""
    image: ContainerImage | None = None
    """`None` for functions that are deployment packages."""
    layers_sha256: str = ""
    """Digest that names the folder in which its layers lie one over the other; empty without layers."""
    limits: Limits = Limits()
    environment: dict[str, str] = {}
    placement: Placement = Placement()
    logging: LoggingConfig = LoggingConfig()
    max_environments: int | None = None
    """Reserved concurrency; `None` shares what the host has, 0 switches the function off."""
    provisioned: tuple[Provision, ...] = ()
    """Environments kept ready whether it is called or not."""

    def __post_init__(self) -> None:
        if FUNCTION_NAME.fullmatch(self.name) is None:
            raise InvalidParameterValue(f"function name {self.name!r} must match {FUNCTION_NAME.pattern}")
        missing = self.image is None and not self.handler
        if missing or len(self.handler) > MAX_HANDLER_LENGTH or re.search(r"\s", self.handler):
            raise InvalidParameterValue(
                f"handler {self.handler!r} must be module.function, without blanks, "
                f"at most {MAX_HANDLER_LENGTH} characters"
            )
        check_environment(self.environment)
        if CONCURRENCY_VARIABLE in self.environment:
            self._check_concurrency(self.environment[CONCURRENCY_VARIABLE])
        check_provisions(self.provisioned)

    def _check_concurrency(self, given: str) -> None:
        if self.image is None and not self.runtime.startswith("provided"):
            raise _reserved([CONCURRENCY_VARIABLE])
        if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MAX_CONCURRENCY):
            raise InvalidParameterValue(
                f"{CONCURRENCY_VARIABLE} = {given!r} is not allowed: it is a number of events, 1 to {MAX_CONCURRENCY}"
            )

    @property
    def concurrency(self) -> int:
        """How many calls one environment is to run at once."""
        return int(self.environment.get(CONCURRENCY_VARIABLE, "1"))

    @property
    def arn(self) -> str:
        """The unqualified ARN: the identity under which environments of all versions are counted."""
        return function_arn(self.account, self.region, self.name)

    @property
    def qualified_arn(self) -> str:
        """The ARN with the version."""
        return function_arn(self.account, self.region, self.name, self.version)

    @property
    def key(self) -> tuple[str, str]:
        """What is being versioned: (function ARN, version). Records with the same key supersede each other."""
        return self.arn, self.version

    def is_built_like(self, other: FunctionVersion) -> bool:
        """Whether an environment of one serves the calls of the other: they differ at most in how many there may be."""
        same = msgspec.structs.replace(
            other,
            serial=self.serial,
            revision_id=self.revision_id,
            max_environments=self.max_environments,
            provisioned=self.provisioned,
        )
        return same == self


def check_environment(variables: dict[str, str]) -> None:
    """Refuse variables Lambda would refuse: reserved or malformed names, over 4 KB in all."""
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise _reserved(reserved)
    for name in variables:
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise InvalidParameterValue(
                f"environment variable name {name!r} must start with a letter, have at least two characters "
                "and hold letters, digits and _ only"
            )
    size = len(msgspec.json.encode(variables)) if variables else 0
    if size > MAX_ENVIRONMENT_BYTES:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you "
            f"have provided exceeded the 4KB limit. String measured: {msgspec.json.encode(variables).decode()}"
        )


def _reserved(names: list[str]) -> InvalidParameterValue:
    return InvalidParameterValue(
        "Lambda was unable to configure your environment variables because the environment variables you "
        "have provided contains reserved keys that are currently not supported for modification. "
        f"Reserved keys used in this request: {', '.join(names)}"
    )
