"""What the gateway keeps about a function beside what an invoker needs. Stored as JSON in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from gateway.functions.policy import Statements
from samovar.cors import Cors
from samovar.function import FunctionVersion
from samovar.names import LATEST
from samovar.stack import Route

RETRIES_TAG: Final = "samovar:event-retries"
"""Tag of functions that want another number of retries of asynchronous events than Lambda's API takes."""
MOST_RETRIES: Final = 185
"""Lambda stops at 2; schedules on AWS may have so many."""
AuthType = Literal["NONE", "AWS_IAM"]
InvokeMode = Literal["BUFFERED", "RESPONSE_STREAM"]


class FunctionUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A function's URL: its id is the first label of the host name."""

    url_id: str
    auth_type: AuthType = "NONE"
    invoke_mode: InvokeMode | None = None
    """`None`: nobody has said, so it is buffered."""
    cors: Cors | None = None
    created: str
    """ISO 8601 with milliseconds, as the API prints it."""
    modified: str
    qualifier: str | None = None
    """The alias whose URL it is."""


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for one version, or for two that share its calls."""

    name: str
    version: str
    """The version it points to: a number or `$LATEST`."""
    weights: dict[str, float] = {}
    """The share of calls, 0 to 1, that another version gets."""
    description: str = ""
    revision_id: str = ""
    url: FunctionUrl | None = None


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version that a function has; it goes on having it when the version is deleted."""

    arn: str
    code_size: int
    code_sha256: str


class RuntimeManagement(msgspec.Struct, frozen=True, kw_only=True):
    """When a function is to get newer patch versions of its runtime. Kept and told; runtimes are the host's own."""

    update_on: Literal["Auto", "FunctionUpdate", "Manual"]
    version_arn: str | None = None
    """The runtime version that it is to stay with; only with `Manual`."""


class EventInvoke(msgspec.Struct, frozen=True, kw_only=True):
    """How asynchronous calls of a function are retried, and where their results go."""

    modified: float
    """Seconds since the epoch."""
    retries: int | None = None
    max_age_s: int | None = None
    on_success: str | None = None
    """ARN of a destination."""
    on_failure: str | None = None


class ProvisionedConcurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Environments that a version, or the versions of an alias, are to keep ready."""

    requested: int
    modified: str
    """As `LastModified` prints it."""
    versions: dict[str, int]
    """What each version's part of them is."""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """What is attached to a function as a whole, or to one of its versions or aliases."""

    policy: Statements = ()
    policy_revision_id: str = ""
    """Renewed with each change of the policy."""
    event_invoke: EventInvoke | None = None
    runtime_management: RuntimeManagement | None = None
    provisioned: ProvisionedConcurrency | None = None


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
    snap_start: bool = False
    """Whether `SnapStart` applies to published versions."""
    attached: dict[str, Attached] = {}
    """By qualifier; what the function as a whole has is under `$LATEST`."""
    dead_letter: str | None = None
    """ARN of the queue that gets the events of the function that failed for good."""
    recursive_loop: Literal["Allow", "Terminate"] = "Terminate"
    """What becomes of a call that comes from the function itself too often; see `gateway/lineage.py`."""
    http_route: bool = True
    """Whether `/fn/{name}/` reaches the function (tag `samovar:http` = `off` closes it)."""

    routes: tuple[Route, ...] = ()
    """The ways to it below `/api/`."""
    last_published: int = 0
    """The number of the last version that was published of it. Numbers are not given twice."""
    is_published: bool = False
    """Whether nothing has changed since then."""
    attached_serial: int = 0
    """The serial with which something last changed that all its versions have in common."""

    @property
    def streams(self) -> bool:
        """Whether HTTP answers may come in parts, as the function's URL says."""
        return self.url is not None and self.url.invoke_mode == "RESPONSE_STREAM"

    @property
    def arn(self) -> str:
        """The function's ARN, without a qualifier."""
        return self.version.arn

    @property
    def name(self) -> str:
        """The function's name."""
        return self.version.name


def attached_to(record: FunctionRecord, qualifier: str | None) -> Attached:
    """What is attached to a version or alias of a function, or to the function as a whole."""
    return record.attached.get(qualifier or LATEST, Attached())


def with_attached(
    record: FunctionRecord, qualifier: str | None, edit: Callable[[Attached], Attached]
) -> FunctionRecord:
    """The function with something else attached."""
    changed = {**record.attached, (qualifier or LATEST): edit(attached_to(record, qualifier))}
    kept = {name: one for name, one in changed.items() if one != Attached()}
    return msgspec.structs.replace(record, attached=kept)


def without_qualifier(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """The function when a version or an alias of it is gone, with what was attached to that."""
    kept = {name: one for name, one in record.attached.items() if name != qualifier}
    return msgspec.structs.replace(record, attached=kept)
