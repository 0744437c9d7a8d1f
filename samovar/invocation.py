"""One event given to one version: what goes to the invoker, what comes back, what is metered.

`InvokeHead` and `AnswerHead` are the heads of the frames between gateway and invoker; they are
encoded as JSON arrays because one of each crosses the warm path per call.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal

import msgspec

Trigger = Literal["invoke", "http", "queue", "upload", "schedule", "function", "warm-up"]

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
"""Request payload of a synchronous call (lambda-facts §1)."""
MAX_STREAM_BYTES = 200 * 1024 * 1024
"""AWS's limit on a streamed answer (lambda-facts §1); a platform's own is a setting."""
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""AWS's limit on an answer has 100 bytes of grace (lambda-facts §1); a platform's own is a setting."""
LOG_TAIL_BYTES = 4096


class Outcome(StrEnum):
    """How an invocation ended. All but `OK` are function errors: HTTP 200 with `X-Amz-Function-Error`."""

    OK = "ok"
    ERROR = "error"
    """The handler raised, or its result could not be serialised."""
    INIT_ERROR = "init-error"
    TIMEOUT = "timeout"
    EXIT = "exit"
    """The process ended before it answered: `sys.exit`, a crash, a signal."""
    OUT_OF_MEMORY = "out-of-memory"
    TOO_LARGE = "response-too-large"


class AnswerLimits(msgspec.Struct, frozen=True):
    """How large answers may be, in bytes."""

    whole: int = MAX_RESPONSE_BYTES
    streamed: int = MAX_STREAM_BYTES
    """All parts together."""


class ColdReason(StrEnum):
    """Why an invocation had to wait for an environment to be prepared."""

    FIRST_CALL = "first-call"
    SCALE_OUT = "scale-out"
    EXPIRED = "expired"
    EVICTED = "evicted"
    NEW_VERSION = "new-version"
    CRASH = "crash"


class InvokeHead(msgspec.Struct, frozen=True, array_like=True):
    """What the gateway says about a call; the event itself is the body."""

    op: str  # always "invoke"; first, so that the invoker can tell heads apart
    arn: str
    version: str
    serial: int
    """The serial the gateway knows. The invoker runs the newest it knows and asks when it knows none."""
    request_id: str
    trigger: Trigger = "invoke"
    tail: bool = False
    client_context: str | None = None
    """Base64 as the caller sent it (lambda-facts §1)."""
    trace_id: str | None = None
    size: int = 0
    """Bytes of the event."""
    qualifier: str | None = None
    """The version or alias the caller named, which is in the ARN the function sees."""
    streaming: bool = False
    """Whether the answer may come in parts: a `StreamHead` first, the `AnswerHead` with the last frame."""
    attempt: int = 1
    """Which run of the event this is; the readings of one request are told apart by it."""


class AnswerHead(msgspec.Struct, frozen=True, array_like=True):
    """What the invoker says about a finished call; the result (or the function's error) is the body.

    `failure` names a platform error by its class in `samovar.errors`; then nothing ran to an end,
    `message` says why, and the body is empty.
    """

    outcome: Outcome = Outcome.OK
    version: str = ""
    failure: str | None = None
    message: str = ""
    retry_after: float | None = None
    reason: str | None = None
    log_tail: str | None = None
    """The last 4 KB of the invocation's log, base64, when the call asked for it."""


class StreamHead(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is known of an answer when its first part leaves."""

    kind: str = "stream"  # first, so that it is told from an `AnswerHead`
    version: str
    content_type: str


class Preparation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What preceded the initialisation of an environment that a call waited for."""

    start_ms: float
    """From the decision to start it until its initialisation began: the box and the runtime in it."""
    idle_s: float | None = None
    """How long ago the version had last used the environment that would have served this call; `None`: none was."""
    kept_s: float | None = None
    """How long that one had been kept idle before it was stopped."""
    provisioned: int = 0
    """Environments the function was to have ready at that time."""
    provisioned_ready: int = 0
    """How many of them there were, all of them busy."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One meter reading: written once per invocation, before its answer leaves.

    Times are milliseconds (float), sizes are MB = 2**20 bytes unless the name says otherwise.
    """

    request_id: str
    arn: str
    version: str
    trigger: Trigger
    started_ms: int
    """Epoch milliseconds at which the handler (or its initialisation) began."""
    outcome: Outcome
    cold: ColdReason | None = None
    queue_ms: float = 0.0
    """Waited for a free environment, or for one to start."""
    init_ms: float = 0.0
    """Initialisation of the environment this call was the first to use; 0 when warm."""
    duration_ms: float
    billed_ms: int
    memory_mb: int
    """The function's limit."""
    peak_mb: int
    """Highest memory use seen in the environment, never the limit in its place."""
    cpu_ms: float = 0.0
    attempt: int = 1
    """Greater than 1 where an event is run again under its request id. Numbers may be missing: not every run ends."""
    environment: str = ""
    isolation: str = ""
    preparation: Preparation | None = None
    """Of the environment this call was the first to use; `None` when warm."""


def billed_ms(duration_ms: float, init_ms: float = 0.0) -> int:
    """Milliseconds to bill: duration and initialisation together, rounded up to whole ones.

    AWS bills the INIT phase since August 2025; that the sum is rounded (and not each part) is our
    reading of lambda-facts §5, which could not settle it.
    """
    return max(1, math.ceil(round(duration_ms + init_ms, 3)))
