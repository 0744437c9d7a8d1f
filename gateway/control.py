"""Everything the gateway serves beside the warm path: the control API and Samovar's own, errors, request ids."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.functions.functions import Functions
from gateway.functions.layers import Layers
from gateway.functions.provisioned import Provisions
from gateway.functions.published import Published
from gateway.http import rendering
from gateway.lambda_api.resources import ROUTERS
from gateway.lambda_api.runtimes import Runtimes
from gateway.lambda_api.unoffered import refusal
from gateway.logs_api.api import TARGET, LogsApi
from gateway.mappings.mapping_store import MappingStore
from gateway.namespaces import region_of
from gateway.pollers.leases import Leases
from gateway.scheduler_api import groups, schedules
from gateway.schedules.schedules import Schedules
from gateway.schedules.store import ScheduleStore
from gateway.services import Services
from gateway.v1 import checks, events, keys, logs, platform, provisioned, routes, runs, uploads, usage
from gateway.v1 import code as v1_code
from gateway.v1 import schedules as v1_schedules
from gateway.v1.schema import add_openapi
from samovar.errors import CallerError, SamovarError, ServiceFailure, ValidationFailed
from samovar.names import new_request_id

V1: Final = "/samovar/v1"
SCHEDULER: Final = (schedules.router, groups.router)
_log = logging.getLogger(__name__)


class UnknownOperation(CallerError):
    """No operation has this path and method."""

    status, aws_name = 404, "UnknownOperationException"


class MethodNotAllowed(CallerError):
    """The path exists, but not with this method."""

    status, aws_name = 405, "MethodNotAllowedException"


def create_control_app(services: Services) -> FastAPI:
    """The FastAPI app. `services` are open already, and are closed by whoever opened them."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    app.state.started_at = services.clock.monotonic()
    app.state.functions = Functions(services.registry, services.link, services.clock.epoch)
    app.state.published = Published(app.state.functions)
    app.state.provisions = Provisions(app.state.functions)
    app.state.runtimes = Runtimes(services.link, services.clock)
    app.state.layers = Layers(services.redis)
    app.state.mappings = MappingStore(services.redis)
    app.state.leases = Leases(services.redis)
    store = ScheduleStore(services.redis, services.doorbell.wake)
    app.state.schedules = Schedules(store, services.registry, services.intake, services.clock, services.queues.store)
    for router in (*ROUTERS, *SCHEDULER):
        app.include_router(router, include_in_schema=False)
    app.add_route("/", Targets(services).answer, methods=["POST"])
    for own in (platform, logs, usage, provisioned, v1_code, keys, events, runs, uploads, routes, checks, v1_schedules):
        app.include_router(own.router, prefix=V1)
    add_openapi(app, f"{V1}/openapi.json", platform.VERSION)
    app.add_exception_handler(SamovarError, _on_samovar_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(RequestScope)
    return app


class Targets:
    """Services that have one path between them and are told apart by a header (the JSON protocols of AWS)."""

    def __init__(self, services: Services) -> None:
        self._default_region = services.settings.region
        self._logs = LogsApi(services)

    async def answer(self, request: Request) -> Response:
        """Serve a request to the path `/`. Raises `UnknownOperation`."""
        target = request.headers.get("x-amz-target", "")
        if target.startswith(TARGET):
            headers, query = dict(request.scope["headers"]), request.scope["query_string"]
            return await self._logs.answer(request, region_of(headers, query, self._default_region))
        raise UnknownOperation(f"X-Amz-Target: {target or 'none'} names no service that Samovar offers")


class RequestScope:
    """Gives each request its id, and turns what nobody expected into an answer and one entry in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Older SDKs end some paths of the Lambda API with a slash.
        scope["path"] = scope["path"].rstrip("/") or "/"
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-amzn-requestid"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            _log.info("request %s: the client hung up: %s %s", request_id, scope["method"], scope["path"])
        except Exception:  # noqa: BLE001 - the last line of defence: logged here, answered with an id to find it by
            _log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            if not started:
                failure = ServiceFailure(f"Samovar failed unexpectedly; its log has the reason under {request_id}")
                await _rendered(failure, request_id)(scope, receive, send_with_id)


def _rendered(error: SamovarError, request_id: str) -> Response:
    shown = rendering.render_error(error, request_id)
    response = Response(shown.body, shown.status)
    for name, value in shown.headers:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response


async def _on_samovar_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, SamovarError):
        raise error
    if error.fault == "Service":
        _log.warning("request %s: %s", request.state.request_id, error)
    return _rendered(error, request.state.request_id)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    """What FastAPI refuses itself: query parameters of the wrong type or out of range."""
    if not isinstance(error, RequestValidationError):
        raise error
    broken = [
        f"Value '{item.get('input')}' at '{item['loc'][-1]}' failed to satisfy constraint: {item['msg']}"
        for item in error.errors()
    ]
    errors = "error" if len(broken) == 1 else "errors"
    failed = ValidationFailed(f"{len(broken)} validation {errors} detected: {'; '.join(broken)}")
    return _rendered(failed, request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    not_offered = refusal(request.method, request.url.path, request.scope["query_string"])
    if error.status_code in (404, 405) and not_offered is not None:
        return _rendered(not_offered, request.state.request_id)
    asked = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        unknown: SamovarError = MethodNotAllowed(f"{asked} is no operation; this path takes other methods")
    elif error.status_code == 404:
        unknown = UnknownOperation(f"{asked} is no operation of the Lambda API that Samovar offers, nor one of its own")
    else:
        unknown = ValidationFailed(f"{asked}: {error.detail}")
    return _rendered(unknown, request.state.request_id)
