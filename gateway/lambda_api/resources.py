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
    layer_policies,
    layers,
    mappings,
    permissions,
    recursion,
    runtime_management,
    tags,
    urls,
    versions,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    functions.router,
    configuration.router,
    code.router,
    versions.router,
    aliases.router,
    urls.router,
    tags.router,
    concurrency.router,
    layers.router,
    layer_policies.router,
    permissions.router,
    event_invoke.router,
    mappings.router,
    recursion.router,
    runtime_management.router,
    code_signing.router,
    account.router,
)
