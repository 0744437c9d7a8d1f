"""What the platform answers, as records: the members of AWS Lambda's API that Samovar's client reads, and
the answers of Samovar's own API.

Members a record does not name are ignored, so a newer platform can say more.
"""

from __future__ import annotations

import base64

import msgspec

from samovar.errors import ServiceUnavailable
from samovar.link.operations import InvokerStatus
from samovar.provisioning import Provision
from samovar.usage import Resolution

_HEX_DIGITS = 64


class Variables(msgspec.Struct, frozen=True, rename="pascal"):
    """`Environment`."""

    variables: dict[str, str] = {}


class Storage(msgspec.Struct, frozen=True, rename="pascal"):
    """`EphemeralStorage`."""

    size: int = 512


class Configuration(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`FunctionConfiguration`."""

    function_name: str
    function_arn: str
    runtime: str = ""
    handler: str = ""
    code_size: int = 0
    code_sha256: str = msgspec.field(default="", name="CodeSha256")
    """Base64 of the package's SHA-256."""
    description: str = ""
    timeout: int = 3
    memory_size: int = 128
    last_modified: str = ""
    version: str = "$LATEST"
    environment: Variables = Variables()
    ephemeral_storage: Storage = Storage()
    state: str = "Active"
    state_reason: str | None = None
    last_update_status: str = "Successful"
    last_update_status_reason: str | None = None

    @property
    def code_hash(self) -> str:
        """The package's SHA-256 as hex digits."""
        if len(self.code_sha256) == _HEX_DIGITS:  # of a container image
            return self.code_sha256
        return base64.b64decode(self.code_sha256).hex()


class Concurrency(msgspec.Struct, frozen=True, rename="pascal"):
    """`Concurrency`."""

    reserved_concurrent_executions: int | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`GetFunctionResponse`."""

    configuration: Configuration
    tags: dict[str, str] = {}
    concurrency: Concurrency | None = None

    @property
    def reserved(self) -> int | None:
        """Reserved concurrency; `None` when the function has none."""
        return self.concurrency.reserved_concurrent_executions if self.concurrency else None


class Provisioned(msgspec.Struct, frozen=True, kw_only=True):
    """The environments one function keeps ready whether it is called or not."""

    provisions: tuple[Provision, ...] = ()
    """What it asks for."""
    wanted: int
    """How many that are now."""
    ready: int
    """How many of them there are, idle or at work; 0 also while the invoker is away."""
    problem: str = ""
    """Why there are fewer; empty while they are being started."""


class Page(msgspec.Struct, frozen=True, rename="pascal"):
    """`ListFunctionsResponse`."""

    functions: list[Configuration] = []
    next_marker: str | None = None


class SourceMapping(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`EventSourceMappingConfiguration`, as far as it is looked at here."""

    uuid: str = msgspec.field(name="UUID")
    event_source_arn: str = ""
    event_source_mapping_arn: str = ""
    function_arn: str = ""
    state: str = ""
    last_processing_result: str = ""
    batch_size: int = 0
    maximum_batching_window_in_seconds: int = 0
    function_response_types: list[str] = []
    filter_criteria: dict[str, list[dict[str, str]]] | None = None
    scaling_config: dict[str, int] | None = None


class SourceMappings(msgspec.Struct, frozen=True, rename="pascal"):
    """`ListEventSourceMappingsResponse`."""

    event_source_mappings: list[SourceMapping] = []
    next_marker: str | None = None


class UrlConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`FunctionUrlConfig`."""

    function_url: str
    auth_type: str = "NONE"


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A finished invocation. `function_error` is set when the function failed; `payload` then says how."""

    payload: bytes
    request_id: str
    version: str
    function_error: str | None = None
    log: str = ""
    """The last 4 KB of the invocation's log, when it was asked for."""


class FunctionFailure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload of an invocation that failed."""

    error_message: str = ""
    error_type: str | None = None
    stack_trace: list[str] = []


class LogRecord(msgspec.Struct, frozen=True):
    """One line of a function's output."""

    epoch_ms: int
    request_id: str
    stream: str
    text: str


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one part of the platform answers."""

    available: bool
    detail: str
    """What it says of itself, or why it cannot be used."""


class PackageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The largest deployment package the platform takes, in bytes."""

    packed: int
    unpacked: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`/samovar/v1/status`: what runs, and what this host can do."""

    version: str
    pid: int
    """Of the gateway worker that answers."""
    uptime_s: float
    """Of the gateway worker that answers."""
    functions: int | None
    """`None` while the store cannot be asked."""
    following: bool
    """Whether this worker hears of changes other workers make."""
    package_limits: PackageLimits
    account: str = ""
    """The account everything belongs to, as ARNs have it."""
    store: PartStatus
    invoker: InvokerStatus | None
    """`None` while it cannot be reached; `invoker_detail` says why."""
    invoker_detail: str

    def running_invoker(self) -> InvokerStatus:
        """What runs functions. Raises `ServiceUnavailable` when it is away."""
        if self.invoker is None:
            raise ServiceUnavailable(f"the invoker cannot be reached: {self.invoker_detail}")
        return self.invoker


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over one span of time, or over all of them."""

    start: int
    """Epoch second at which it begins."""
    invocations: int
    errors: int
    cold: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    gb_seconds: float
    billed_ms: int
    duration_ms: float
    init_ms: float
    queue_ms: float
    cpu_ms: float
    outcomes: dict[str, int]
    """Outcome → invocations."""
    cold_reasons: dict[str, int]
    """Reason of a cold start → invocations."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What was used from `since` to `until` (epoch seconds): `/samovar/v1/usage` and a function's own."""

    since: int
    until: int
    resolution: Resolution
    """The spans of the series: m(inutes), h(ours) or d(ays)."""
    complete: bool
    """Whether every call answered before the question is counted; false when the invoker could not be asked."""
    total: Span
    series: list[Span]
    """Spans without any invocation are left out."""
    functions: dict[str, Span]
    """Function → its total, when all functions were asked for."""
