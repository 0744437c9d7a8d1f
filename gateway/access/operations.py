"""What each operation needs: a table, and how a request finds its row. No I/O happens here.

Names, methods and paths of the Lambda API are those of AWS's API model, to which a test holds the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from samovar.access import Permission

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
        invokes = self.needs == "invoke" and self != INVOKE_URL
        return f"{self.service}:{'InvokeFunction' if invokes else self.name}"


class Asked(NamedTuple):
    """An operation, and the function a request names for it as it names it."""

    operation: Operation
    function: str | None = None


OPEN: Final = frozenset({("GET", "/samovar/v1/health"), ("GET", "/samovar/v1/openapi.json")})
"""What is answered without a signature: whether calls can be served, and how to ask for everything else."""

INVOKE: Final = Operation("lambda", "Invoke", "invoke")
INVOKE_URL: Final = Operation("lambda", "InvokeFunctionUrl", "invoke")
IDENTITY: Final = Operation("sts", "GetCallerIdentity", None, "query")

_INVOKE: Final = """
Invoke POST /2015-03-31/functions/{FunctionName}/invocations
InvokeAsync POST /2014-11-13/functions/{FunctionName}/invoke-async
InvokeWithResponseStream POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations
"""
_READ: Final = """
GetAccountSettings GET /2016-08-19/account-settings
GetAlias GET /2015-03-31/functions/{FunctionName}/aliases/{Name}
GetCapacityProvider GET /2025-11-30/capacity-providers/{CapacityProviderName}
GetCodeSigningConfig GET /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
GetDurableExecution GET /2025-12-01/durable-executions/{DurableExecutionArn}
GetDurableExecutionHistory GET /2025-12-01/durable-executions/{DurableExecutionArn}/history
GetDurableExecutionState GET /2025-12-01/durable-executions/{DurableExecutionArn}/state
GetEventSourceMapping GET /2015-03-31/event-source-mappings/{UUID}
GetFunction GET /2015-03-31/functions/{FunctionName}
GetFunctionCodeSigningConfig GET /2020-06-30/functions/{FunctionName}/code-signing-config
GetFunctionConcurrency GET /2019-09-30/functions/{FunctionName}/concurrency
GetFunctionConfiguration GET /2015-03-31/functions/{FunctionName}/configuration
GetFunctionEventInvokeConfig GET /2019-09-25/functions/{FunctionName}/event-invoke-config
GetFunctionRecursionConfig GET /2024-08-31/functions/{FunctionName}/recursion-config
GetFunctionScalingConfig GET /2025-11-30/functions/{FunctionName}/function-scaling-config
GetFunctionUrlConfig GET /2021-10-31/functions/{FunctionName}/url
GetLayerVersion GET /2018-10-31/layers/{LayerName}/versions/{VersionNumber}
GetLayerVersionByArn GET /2018-10-31/layers
GetLayerVersionPolicy GET /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy
GetPolicy GET /2015-03-31/functions/{FunctionName}/policy
GetProvisionedConcurrencyConfig GET /2019-09-30/functions/{FunctionName}/provisioned-concurrency
GetResourcePolicy GET /2026-07-09/resource-policy/{ResourceArn}
GetRuntimeManagementConfig GET /2021-07-20/functions/{FunctionName}/runtime-management-config
ListAliases GET /2015-03-31/functions/{FunctionName}/aliases
ListCapacityProviders GET /2025-11-30/capacity-providers
ListCodeSigningConfigs GET /2020-04-22/code-signing-configs
ListDurableExecutionsByFunction GET /2025-12-01/functions/{FunctionName}/durable-executions
ListEventSourceMappings GET /2015-03-31/event-source-mappings
ListFunctionEventInvokeConfigs GET /2019-09-25/functions/{FunctionName}/event-invoke-config/list
ListFunctionUrlConfigs GET /2021-10-31/functions/{FunctionName}/urls
ListFunctionVersionsByCapacityProvider GET /2025-11-30/capacity-providers/{CapacityProviderName}/function-versions
ListFunctions GET /2015-03-31/functions
ListFunctionsByCodeSigningConfig GET /2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions
ListLayerVersions GET /2018-10-31/layers/{LayerName}/versions
ListLayers GET /2018-10-31/layers
ListProvisionedConcurrencyConfigs GET /2019-09-30/functions/{FunctionName}/provisioned-concurrency
ListTags GET /2017-03-31/tags/{Resource}
ListVersionsByFunction GET /2015-03-31/functions/{FunctionName}/versions
GetStatus GET /samovar/v1/status
ListEnvironments GET /samovar/v1/environments
GetLogs GET /samovar/v1/functions/{FunctionName}/logs
GetUsage GET /samovar/v1/usage
GetFunctionUsage GET /samovar/v1/functions/{FunctionName}/usage
ListInvocations GET /samovar/v1/functions/{FunctionName}/invocations
GetInvocation GET /samovar/v1/invocations/{RequestId}
ExplainInvocation GET /samovar/v1/invocations/{RequestId}/why
GetProvisioned GET /samovar/v1/functions/{FunctionName}/provisioned
DownloadCode GET /samovar/v1/code/{Sha256}
"""
_DEPLOY: Final = """
AddLayerVersionPermission POST /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy
AddPermission POST /2015-03-31/functions/{FunctionName}/policy
CheckpointDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint
CreateAlias POST /2015-03-31/functions/{FunctionName}/aliases
CreateCapacityProvider POST /2025-11-30/capacity-providers
CreateCodeSigningConfig POST /2020-04-22/code-signing-configs
CreateEventSourceMapping POST /2015-03-31/event-source-mappings
CreateFunction POST /2015-03-31/functions
CreateFunctionUrlConfig POST /2021-10-31/functions/{FunctionName}/url
DeleteAlias DELETE /2015-03-31/functions/{FunctionName}/aliases/{Name}
DeleteCapacityProvider DELETE /2025-11-30/capacity-providers/{CapacityProviderName}
DeleteCodeSigningConfig DELETE /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
DeleteDurableExecution DELETE /2025-12-01/durable-executions/{DurableExecutionArn}
DeleteEventSourceMapping DELETE /2015-03-31/event-source-mappings/{UUID}
DeleteFunction DELETE /2015-03-31/functions/{FunctionName}
DeleteFunctionCodeSigningConfig DELETE /2020-06-30/functions/{FunctionName}/code-signing-config
DeleteFunctionConcurrency DELETE /2017-10-31/functions/{FunctionName}/concurrency
DeleteFunctionEventInvokeConfig DELETE /2019-09-25/functions/{FunctionName}/event-invoke-config
DeleteFunctionUrlConfig DELETE /2021-10-31/functions/{FunctionName}/url
DeleteLayerVersion DELETE /2018-10-31/layers/{LayerName}/versions/{VersionNumber}
DeleteProvisionedConcurrencyConfig DELETE /2019-09-30/functions/{FunctionName}/provisioned-concurrency
DeleteResourcePolicy DELETE /2026-07-09/resource-policy/{ResourceArn}
PauseDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/pause
PublishLayerVersion POST /2018-10-31/layers/{LayerName}/versions
PublishVersion POST /2015-03-31/functions/{FunctionName}/versions
PutFunctionCodeSigningConfig PUT /2020-06-30/functions/{FunctionName}/code-signing-config
PutFunctionConcurrency PUT /2017-10-31/functions/{FunctionName}/concurrency
PutFunctionEventInvokeConfig PUT /2019-09-25/functions/{FunctionName}/event-invoke-config
PutFunctionRecursionConfig PUT /2024-08-31/functions/{FunctionName}/recursion-config
PutFunctionScalingConfig PUT /2025-11-30/functions/{FunctionName}/function-scaling-config
PutProvisionedConcurrencyConfig PUT /2019-09-30/functions/{FunctionName}/provisioned-concurrency
PutResourcePolicy PUT /2026-07-09/resource-policy/{ResourceArn}
PutRuntimeManagementConfig PUT /2021-07-20/functions/{FunctionName}/runtime-management-config
RemoveLayerVersionPermission DELETE /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}
RemovePermission DELETE /2015-03-31/functions/{FunctionName}/policy/{StatementId}
ResumeDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/resume
SendDurableExecutionCallbackFailure POST /2025-12-01/durable-execution-callbacks/{CallbackId}/fail
SendDurableExecutionCallbackHeartbeat POST /2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat
SendDurableExecutionCallbackSuccess POST /2025-12-01/durable-execution-callbacks/{CallbackId}/succeed
StopDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/stop
TagResource POST /2017-03-31/tags/{Resource}
UntagResource DELETE /2017-03-31/tags/{Resource}
UpdateAlias PUT /2015-03-31/functions/{FunctionName}/aliases/{Name}
UpdateCapacityProvider PUT /2025-11-30/capacity-providers/{CapacityProviderName}
UpdateCodeSigningConfig PUT /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
UpdateEventSourceMapping PUT /2015-03-31/event-source-mappings/{UUID}
UpdateFunctionCode PUT /2015-03-31/functions/{FunctionName}/code
UpdateFunctionConfiguration PUT /2015-03-31/functions/{FunctionName}/configuration
UpdateFunctionEventInvokeConfig POST /2019-09-25/functions/{FunctionName}/event-invoke-config
UpdateFunctionUrlConfig PUT /2021-10-31/functions/{FunctionName}/url
PutProvisioned PUT /samovar/v1/functions/{FunctionName}/provisioned
DeleteProvisioned DELETE /samovar/v1/functions/{FunctionName}/provisioned
"""
_ADMIN: Final = """
ListKeys GET /samovar/v1/keys
CreateKey POST /samovar/v1/keys
RevokeKey DELETE /samovar/v1/keys/{KeyId}
"""
TABLE: Final[dict[Permission, str]] = {"invoke": _INVOKE, "read": _READ, "deploy": _DEPLOY, "admin": _ADMIN}
"""What an operation needs: its name, method and path."""

_TARGETS: Final = {"Logs_20140328": "logs"}
_READING: Final = ("Describe", "Filter", "Get", "List", "Start", "Stop", "Test")
"""How names of operations begin that change nothing, where an API is too wide for a row each."""


def of(method: str, path: str, headers: Mapping[bytes, bytes], query: bytes) -> Asked:
    """What a request asks for. What is no operation at all needs as much as if it were one."""
    target = headers.get(b"x-amz-target")
    if target is not None and method == "POST":
        version, _, name = target.decode("latin-1").partition(".")
        needs: Permission = "read" if name.startswith(_READING) else "deploy"
        return Asked(Operation(_TARGETS.get(version, version.partition("_")[0].lower()), name, needs, "json"))
    if path == "/" and _is_query(method, headers, query):
        return Asked(IDENTITY)
    for operation, pattern in _patterns().get(method, ()):
        match = pattern.fullmatch(path)
        if match is not None:
            return Asked(operation, match.groupdict().get("FunctionName"))
    return Asked(Operation("lambda", f"{method} {path}", "read" if method in ("GET", "HEAD") else "deploy"))


def _is_query(method: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:
    form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
    return (method == "POST" and form) or (method in ("GET", "POST") and b"Action=" in query)


@cache
def rows() -> list[tuple[Operation, str, str]]:
    """The table, each row with its method and path."""
    found = []
    for needs, text in TABLE.items():
        for row in text.strip().splitlines():
            name, method, path = row.split()
            found.append((Operation("lambda", name, needs), method, path))
    return found


@cache
def _patterns() -> dict[str, list[tuple[Operation, re.Pattern[str]]]]:
    patterns: dict[str, list[tuple[Operation, re.Pattern[str]]]] = {}
    for operation, method, path in rows():
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?"
        patterns.setdefault(method, []).append((operation, re.compile(pattern)))
    return patterns
