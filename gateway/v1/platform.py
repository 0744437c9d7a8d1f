"""How the platform is: health, status, environments."""

from __future__ import annotations

import os
from importlib.metadata import version as installed_version

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.functions.functions import ask
from gateway.lambda_api.edge import UsesServices, answer
from gateway.services import Services
from gateway.v1.schema import described
from samovar.answers import PackageLimits, PartStatus, Status
from samovar.errors import SamovarError
from samovar.link.operations import EnvironmentView, InvokerIdentity, InvokerStatus

router = APIRouter()
VERSION = installed_version("samovar")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`ok` when everything a call needs is there. Anything else comes with status 503."""

    status: str
    store: PartStatus
    invoker: PartStatus


_HEALTH = described.answers(Health)


@router.get("/health", responses=_HEALTH | {503: _HEALTH[200] | {"description": "Something a call needs is missing"}})
async def health(services: UsesServices) -> Response:
    """Whether calls can be served now: 200, or 503 with what is missing."""
    store, reached = await _store(services), await _reached(services)
    well = store.available and reached.available
    return answer(Health(status="ok" if well else "degraded", store=store, invoker=reached), 200 if well else 503)


@router.get("/status", responses=described.answers(Status))
async def status(request: Request, services: UsesServices) -> Response:
    """The state of every part of the platform. It answers whatever is missing."""
    store, invoker = await _store(services), await _invoker(services)
    settings = services.settings
    return answer(
        Status(
            version=VERSION,
            pid=os.getpid(),
            uptime_s=services.clock.monotonic() - request.app.state.started_at,
            functions=await services.store.count() if store.available else None,
            following=services.registry.following,
            package_limits=PackageLimits(packed=settings.max_upload_bytes, unpacked=settings.max_code_bytes),
            account=settings.account,
            store=store,
            invoker=invoker if isinstance(invoker, InvokerStatus) else None,
            invoker_detail=_detail(invoker),
        )
    )


@router.get("/environments", responses=described.answers(list[EnvironmentView]))
async def environments(services: UsesServices) -> Response:
    """Every execution environment there is now."""
    body = await ask(services.link, "environments")
    return answer(msgspec.json.decode(body, type=list[EnvironmentView]))


async def _store(services: Services) -> PartStatus:
    try:
        return PartStatus(available=True, detail=f"version {await services.store.ping()}")
    except SamovarError as error:
        return PartStatus(available=False, detail=error.message)


async def _reached(services: Services) -> PartStatus:
    try:
        invoker = msgspec.json.decode(await ask(services.link, "identity"), type=InvokerIdentity)
    except SamovarError as error:
        return PartStatus(available=False, detail=error.message)
    return PartStatus(available=True, detail=f"pid {invoker.pid}, {invoker.isolation}")


async def _invoker(services: Services) -> InvokerStatus | SamovarError:
    try:
        return msgspec.json.decode(await ask(services.link, "status"), type=InvokerStatus)
    except SamovarError as error:
        return error


def _detail(invoker: InvokerStatus | SamovarError) -> str:
    return invoker.message if isinstance(invoker, SamovarError) else f"pid {invoker.pid}, {invoker.isolation}"
