"""What each operation needs: a table, and how a request finds its row.

Names, methods and paths of the Lambda API are those of AWS's API model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from gateway.lambda_api import model
from samovar.access.roles import Permission

Protocol = Literal["rest-json", "json", "query"]


class Operation(NamedTuple):
    """One operation of an API."""

    service: str
    """As in the scope of signatures."""
    name: str
    needs: Permission | None
    """What a key must have; `None` for what any key may do."""
    protocol: Protocol = "rest-json"

    @property
    def action(self) -> str:
        """As policies and refusals write it. IAM has one action for the ways to invoke by the API."""
        invokes = (self.service, self.needs) == ("lambda", "invoke") and self != INVOKE_URL
        return f"{self.service}:{'InvokeFunction' if invokes else self.name}"

    @property
    def shares_its_path(self) -> bool:
        """Whether several services have its path, so that a request may be meant for any of AWS's."""
        return self.protocol != "rest-json"


class Asked(NamedTuple):
    """An operation, and the function a request names for it as it names it."""

    operation: Operation
    function: str | None = None


OPEN: Final = frozenset({("GET", "/samovar/v1/health"), ("GET", "/samovar/v1/openapi.json")})
"""What is answered without a signature: whether calls can be served, and how to ask for everything else."""

INVOKE: Final = Operation("lambda", "Invoke", "invoke")
INVOKE_URL: Final = Operation("lambda", "InvokeFunctionUrl", "invoke")
IDENTITY: Final = Operation("sts", "GetCallerIdentity", None, "query")

SERVICES: Final = frozenset({"lambda", "logs", "s3", "scheduler", "sqs", "sts"})
"""Those of AWS's that there are, as in the scope of signatures."""

_OWN: Final[dict[Permission, tuple[str, ...]]] = {
    "read": (
        "GetStatus GET /samovar/v1/status",
        "ListEnvironments GET /samovar/v1/environments",
        "GetLogs GET /samovar/v1/functions/{FunctionName}/logs",
        "GetUsage GET /samovar/v1/usage",
        "GetFunctionUsage GET /samovar/v1/functions/{FunctionName}/usage",
        "ListInvocations GET /samovar/v1/functions/{FunctionName}/invocations",
        "GetInvocation GET /samovar/v1/invocations/{RequestId}",
        "ExplainInvocation GET /samovar/v1/invocations/{RequestId}/why",
        "GetUploads GET /samovar/v1/functions/{FunctionName}/uploads",
        "GetProvisioned GET /samovar/v1/functions/{FunctionName}/provisioned",
        "GetRoutes GET /samovar/v1/functions/{FunctionName}/routes",
        "ListStacks GET /samovar/v1/stacks",
        "GetStack GET /samovar/v1/stacks/{Stack}",
        "ListEvents GET /samovar/v1/functions/{FunctionName}/events",
        "GetEvent GET /samovar/v1/functions/{FunctionName}/events/{EventId}",
        "DownloadCode GET /samovar/v1/code/{Sha256}",
        "CheckRequests POST /samovar/v1/checks",
        "ListSchedules GET /samovar/v1/schedules",
    ),
    "deploy": (
        "ReplayEvents POST /samovar/v1/functions/{FunctionName}/events/replay",
        "RedriveEvents POST /samovar/v1/functions/{FunctionName}/events/redrive",
        "PurgeEvents POST /samovar/v1/functions/{FunctionName}/events/purge",
        "PutProvisioned PUT /samovar/v1/functions/{FunctionName}/provisioned",
        "PutUploads PUT /samovar/v1/functions/{FunctionName}/uploads",
        "DeleteProvisioned DELETE /samovar/v1/functions/{FunctionName}/provisioned",
        "PutSchedule PUT /samovar/v1/schedules/{Name}",
        "DeleteSchedule DELETE /samovar/v1/schedules/{Name}",
        "PutScheduleState PUT /samovar/v1/schedules/{Name}/state",
        "RunSchedule POST /samovar/v1/schedules/{Name}/run",
        "PutRoutes PUT /samovar/v1/functions/{FunctionName}/routes",
        "PutStack PUT /samovar/v1/stacks/{Stack}",
        "DeleteStack DELETE /samovar/v1/stacks/{Stack}",
    ),
    "invoke": ("RunEvent POST /samovar/v1/runs",),
    "admin": (
        "ListKeys GET /samovar/v1/keys",
        "CreateKey POST /samovar/v1/keys",
        "RevokeKey DELETE /samovar/v1/keys/{KeyId}",
    ),
}
"""What Samovar's own operations need: their names, methods and paths."""

_TARGETS: Final = {"AmazonSQS": "sqs", "Logs_20140328": "logs"}
_READING: Final = ("Describe", "Filter", "Get", "List", "StartLiveTail", "StartQuery", "StopQuery", "Test")
"""How names of AWS's operations begin that change nothing; that of the Lambda API which runs functions is Invoke."""


def of(method: str, path: str, headers: Mapping[bytes, bytes], query: bytes) -> Asked:
    """What a request asks for. What is found nowhere needs the most there is: it may be an operation yet."""
    path = path.rstrip("/") or "/"  # as `gateway.control.RequestScope` reads it
    target = headers.get(b"x-amz-target")
    if target is not None and (method, path) == ("POST", "/"):
        version, _, name = target.decode("latin-1").partition(".")
        service = _TARGETS.get(version, version.partition("_")[0].lower())
        return Asked(Operation(service, name, needed_by(name), "json"))
    if path == "/" and _is_query(method, headers, query):
        return Asked(IDENTITY)
    for row, pattern in _patterns().get(method, ()):
        match = pattern.fullmatch(path)
        if match is not None and row.query in query:
            return Asked(row.operation, match.groupdict().get("FunctionName"))
    return Asked(Operation("lambda", f"{method} {path}", "admin"))


def _is_query(method: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:
    form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
    return (method == "POST" and form) or (method in ("GET", "POST") and b"Action=" in query)


class Row(NamedTuple):
    """An operation that is told by its path."""

    operation: Operation
    method: str
    path: str
    """With its members in braces."""
    query: bytes = b""
    """What the query holds, where that tells it from another."""


@cache
def rows() -> list[Row]:
    """The table."""
    found = [
        Row(Operation("lambda", name, needed_by(name)), stated.method, stated.path, stated.query.encode())
        for name, stated in model.operations().items()
    ]
    found += [
        Row(Operation("scheduler", name, needed_by(name)), stated.method, stated.path)
        for name, stated in model.operations("scheduler").items()
    ]
    for needs, own in _OWN.items():
        for name, method, path in map(str.split, own):
            found.append(Row(Operation("lambda", name, needs), method, path))
    return found


def needed_by(name: str) -> Permission:
    """What an operation of an AWS API needs, which its name says."""
    if name.startswith("Invoke"):
        return "invoke"
    return "read" if name.startswith(_READING) else "deploy"


@cache
def _patterns() -> dict[str, list[tuple[Row, re.Pattern[str]]]]:
    """The rows by method, those that say more before those that fit more."""
    patterns: dict[str, list[tuple[Row, re.Pattern[str]]]] = {}
    for row in sorted(rows(), key=lambda row: (-len(row.query), -len(row.path))):
        # ARNs, which may have slashes, come in members named for what they name.
        pattern = re.sub(r"\{(\w*Arn|Resource)\}", ".+", row.path.rstrip("/"))
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        patterns.setdefault(row.method, []).append((row, re.compile(pattern)))
    return patterns
