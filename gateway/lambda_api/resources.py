"""Every resource of the control API, in one list: the gateway serves it, and the compatibility page is made from it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from gateway.lambda_api import (
    account,
    aliases,
    code,
    code_signing,
    concurrency,
    configuration,
    event_invoke,
    functions,
    invoke_async,
    layer_policies,
    layers,
    mappings,
    permissions,
    provisioned_concurrency,
    recursion,
    resource_policies,
    runtime_management,
    tags,
    urls,
    versions,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    functions.router,
    invoke_async.router,
    configuration.router,
    code.router,
    versions.router,
    aliases.router,
    urls.router,
    tags.router,
    concurrency.router,
    provisioned_concurrency.router,
    layers.router,
    layer_policies.router,
    permissions.router,
    resource_policies.router,
    event_invoke.router,
    mappings.router,
    recursion.router,
    runtime_management.router,
    code_signing.router,
    account.router,
)
WARM: Final = ("Invoke", "InvokeWithResponseStream")
"""Operations that the warm path answers before any route is looked for."""
_RECORDS: Final = "of queues, and of streams and lists in Redis; of other sources there are records alone"
_KEPT: Final = "the choice is kept and told"
NOTES: Final[dict[str, str]] = {
    "CreateEventSourceMapping": _RECORDS,
    "UpdateEventSourceMapping": _RECORDS,
    "PutFunctionEventInvokeConfig": "destinations are functions, queues, buckets and HTTP endpoints",
    "UpdateFunctionEventInvokeConfig": "as PutFunctionEventInvokeConfig",
    "PutRuntimeManagementConfig": f"{_KEPT}; runtimes are the host's own, and `Manual` takes the one version there is",
    "PublishLayerVersion": "from `ZipFile`",
    "AddPermission": "lets in access keys by their ARN; services and other accounts do not call here",
    "AddLayerVersionPermission": "kept and told exactly; all layers are of one account",
}
"""What a caller should know about an operation that is offered, where it is not all that AWS does."""
