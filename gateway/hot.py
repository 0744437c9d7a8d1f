"""The warm path's front door: a raw ASGI app that takes calls to functions and passes everything else on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.asgi import ClientGone, Request, send_response
from gateway.contract import Functions, Invoker
from gateway.http_trigger import ROUTE, HttpTrigger, raw_path_of, url_id_of
from gateway.lambda_api.invoke import InvokeApi, function_name_in
from gateway.rendering import Response, render_error
from samovar.clock import Clock
from samovar.errors import InvalidRequestContent, SamovarError, ServiceFailure, ServiceUnavailable
from samovar.settings import Settings

_log = logging.getLogger(__name__)


class HotPath:
    """Calls go from here to the invoker and back with no framework in between; `control` serves the rest."""

    def __init__(
        self, settings: Settings, functions: Functions, invoker: Invoker, clock: Clock, control: ASGIApp
    ) -> None:
        self._region = settings.region
        self._http = HttpTrigger(settings, functions, invoker, clock)
        self._invoke = InvokeApi(settings, functions, invoker)
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            await self._control(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = self._route(request)
        if answer is None:
            await self._control(scope, receive, send)
            return
        response = await _settle(request, answer)
        if response is not None:
            await send_response(send, request, response)

    def _route(self, request: Request) -> Coroutine[Any, Any, Response] | None:
        if request.has_ambiguous_length:
            return _refuse_ambiguous_length(request)
        url_id = url_id_of(request.headers.get(b"host", b""), self._region)
        if url_id is not None:
            return self._http.by_url(request, url_id)
        raw_path = raw_path_of(request)
        if raw_path.startswith(ROUTE) and len(raw_path) > len(ROUTE):
            return self._http.by_name(request, raw_path)
        if request.scope["method"] == "POST":
            function_name = function_name_in(request.scope["path"])
            if function_name is not None:
                return self._invoke.answer(request, function_name)
        return None


async def _settle(request: Request, answer: Coroutine[Any, Any, Response]) -> Response | None:
    """The answer, or the error that took its place; `None` when nobody waits for it any more."""
    try:
        return await answer
    except SamovarError as error:
        return render_error(error, request.id)
    except ClientGone:
        return None
    except asyncio.CancelledError:  # the server cancels a request only when draining has run out of time
        request.close = True
        return render_error(ServiceUnavailable("Samovar is shutting down.", retry_after=1.0), request.id)
    except Exception:  # noqa: BLE001 - the last line of defence: a fault of ours becomes an answer and a traceback
        _log.exception("request %s failed", request.id)
        return render_error(ServiceFailure(f"An internal fault was logged under request id {request.id}."), request.id)


async def _refuse_ambiguous_length(request: Request) -> Response:
    request.close = True
    raise InvalidRequestContent("Content-Length and Transfer-Encoding must not be given together.")
