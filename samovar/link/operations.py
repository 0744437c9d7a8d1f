"""What gateways ask of an invoker besides invocations: the operations of the link and their bodies.

Every request frame has a head that is a JSON array whose first item names the operation. `invoke` has
its own heads (`samovar.invocation`); all others share the two below, with a JSON body each:

| op             | request body      | answer body                                          |
|----------------|-------------------|------------------------------------------------------|
| `declare`      | `FunctionVersion` | empty; the version is known, older serials drain     |
| `settle`       | `Settle`          | `Standing`; as `declare`, but it waits until calls get the version |
| `standing`     | `Subject`         | `Standing` of the newest record that is known        |
| `warm`         | `Warm`            | empty; as `declare`, and it has an environment if the other version has |
| `forget`       | `Forget`          | empty; its environments drain, later calls are unknown |
| `environments` | empty             | list of `EnvironmentView`                            |
| `identity`     | empty             | `InvokerIdentity`; it costs nothing, so it may be asked often |
| `status`       | empty             | `InvokerStatus`                                      |
| `refused`      | `RefusedQuestion` | `RefusedCall`, or `null`                             |
| `flush`        | empty             | empty; every reading taken so far is in Redis        |

A version that follows one with running environments is known at once, but in force only when it has an environment
of its own: until then its calls are answered by the one before.

`declare` is also how an invoker that was restarted learns about functions: an `invoke` for a version
it does not know is answered with the failure `UnknownVersion`, the gateway declares and asks again.
"""

from __future__ import annotations

import msgspec

from samovar.errors import PlatformError
from samovar.function import FunctionVersion


class UnknownVersion(PlatformError):
    """The invoker has not been told about this version; declare it and ask again."""


class OperationHead(msgspec.Struct, frozen=True, array_like=True):
    """Head of every request but `invoke`."""

    op: str


class OperationAnswer(msgspec.Struct, frozen=True, array_like=True):
    """Head of the answer to an operation; `failure` names an error class, as in `AnswerHead`."""

    failure: str | None = None
    message: str = ""


class Settle(msgspec.Struct, frozen=True):
    """Body of `settle`: a version to declare, and the seconds to wait until it is in force."""

    version: FunctionVersion
    within_s: float


class Warm(msgspec.Struct, frozen=True):
    """Body of `warm`: a version that is about to take calls which another one takes now."""

    version: FunctionVersion
    beside: str
    """That other version of the function."""
    within_s: float


class Subject(msgspec.Struct, frozen=True):
    """Body of `standing`: what is asked about."""

    arn: str
    version: str


class Standing(msgspec.Struct, frozen=True):
    """How far the newest known record of a version has come."""

    in_force: bool
    """Whether its calls get it; if not, its first environment is being started, and the record before answers."""
    provisioned: ProvisionedView | None = None
    """`None` when it has no provisioned environments."""


class ProvisionedView(msgspec.Struct, frozen=True, kw_only=True):
    """The provisioned environments of one version."""

    arn: str
    version: str
    serial: int
    wanted: int
    """Environments that are to be ready now."""
    ready: int
    """How many of them are, idle or at work."""
    problem: str = ""
    """Why there are fewer; empty while they are being started."""


class ImageQuestion(msgspec.Struct, frozen=True):
    """Body of `image`."""

    uri: str


class ImageFound(msgspec.Struct, frozen=True):
    """What the engine has under that name."""

    id: str
    """`sha256:…`"""


class Forget(msgspec.Struct, frozen=True):
    """Body of `forget`: the function is gone for every serial up to `serial`."""

    arn: str
    serial: int
    version: str | None = None
    """Only this version; `None` means all of them."""


class RefusedQuestion(msgspec.Struct, frozen=True):
    """Body of `refused`: what became of a call that has no reading."""

    request_id: str


class RefusedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that an invoker refused before anything of it ran."""

    request_id: str
    arn: str
    version: str
    failure: str
    """The name of its error in `samovar.errors`."""
    reason: str | None
    """AWS's, where it was throttled."""
    message: str
    retry_after_s: float | None
    waited_ms: float
    """For an environment, until it was refused."""


class EnvironmentView(msgspec.Struct, frozen=True, kw_only=True):
    """One environment as `samovar ps` shows it."""

    id: str
    arn: str
    version: str
    serial: int
    isolation: str
    state: str
    age_s: float
    idle_s: float
    invocations: int
    memory_mb: int
    peak_mb: int
    pid: int | None = None
    box: str | None = None
    """The environment whose box it is in: itself, or the one it was forked from."""


class IsolationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one isolation can be used here, and how it enforces its limits."""

    name: str
    available: bool
    detail: str
    """E.g. `Docker 20.10.24, runtimes runc, runsc` or why it is not available."""
    limits: dict[str, str] = {}
    """Limit name → mechanism, e.g. `{"memory": "cgroup v1", "pids": "rlimit"}`."""


class RuntimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether functions of one runtime can run here."""

    name: str
    available: bool
    detail: str
    missing: str = ""
    """Why functions of isolation `sandbox` and `none` cannot run though others can, and how to change that."""


class InvokerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers: enough for a health check, and for whoever waits until an invoker is there."""

    pid: int
    isolation: str
    """The isolation of functions that name none."""


class InvokerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `samovar status` shows of an invoker."""

    pid: int
    uptime_s: float
    isolation: str
    """The isolation of functions that name none."""
    isolations: list[IsolationStatus]
    runtimes: list[RuntimeStatus]
    default_runtime: str
    """What a function gets that names none: the Python Samovar itself runs on."""
    environments: int
    idle: int
    busy: int
    waiting: int
    memory_budget_mb: int
    memory_reserved_mb: int
    journal_pending: int
    """Readings in the journal that Redis does not have yet."""
    provisioned: list[ProvisionedView] = []
    """Of every version that has provisioned environments."""
