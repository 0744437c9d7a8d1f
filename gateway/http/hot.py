"""The warm path's front door: takes calls to functions and passes everything else on.

A request comes here in one of two ways. The server (`http_protocol.py`) asks `begin` once a request has arrived
whole, which costs neither a task nor a trip through ASGI. Where `begin` declines, because something is to be waited
for or looked up, the same request comes as an ordinary ASGI call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.apis import trigger as apis
from gateway.apis.trigger import ApiRoutes
from gateway.http.asgi import ClientGone, Request, send_response
from gateway.http.contract import Parts, SendsItself, Trigger, Wanted
from gateway.http.rendering import Response, render_error
from gateway.http.room import Room
from gateway.http.stream import CutShort
from gateway.http.trigger import ROUTE, FunctionUrls, NamedRoute, raw_path_of, url_id_of
from gateway.lambda_api import invoke_stream
from gateway.lambda_api.invoke import InvokeApi, function_name_in
from gateway.link.invoker_link import Answer
from samovar.errors import InvalidRequestContent, SamovarError, ServiceFailure, ServiceUnavailable
from samovar.settings import Settings

_log = logging.getLogger(__name__)


class HotPath:
    """Calls go from here to the invoker and back with no framework in between; `control` serves the rest."""

    def __init__(self, settings: Settings, parts: Parts, control: ASGIApp) -> None:
        functions, invoker, clock, guard, _ = parts
        self._route = NamedRoute(settings, functions, invoker, clock)
        self._apis = ApiRoutes(settings, functions, invoker, clock, functions.apis)
        self._urls = FunctionUrls(settings, functions, invoker, clock, guard)
        self._invoke = InvokeApi(settings, parts)
        self._invoke_stream = invoke_stream.InvokeStreamApi(self._invoke, invoker)
        self._invoker = invoker
        self._control = control
        self._room = Room()

    def begin(self, request: Request, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Serve a request that has arrived whole; false, with nothing done, when it has to come through ASGI.

        `reply` is called once, now or later.
        """
        found = None if request.has_ambiguous_length else self._trigger_of(request)
        if found is None:
            return False
        trigger, where = found
        try:
            wanted = trigger.wanted(request, where, body)
            if wanted is not None:
                return self._invoker.begin(wanted.errand, partial(_settle, request, wanted, reply))
            return trigger is self._invoke and self._invoke.begin_event(request, where, body, reply)
        except SamovarError as error:
            reply(render_error(error, request.id))
            return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            await self._control(scope, receive, send)
            return
        request = Request(scope, receive, self._room)
        if request.has_ambiguous_length:
            request.close = True
            refusal = InvalidRequestContent("Content-Length and Transfer-Encoding must not be given together.")
            await send_response(send, request, render_error(refusal, request.id))
            return
        found = self._trigger_of(request)
        if found is None:
            await self._control(scope, receive, send)
            return
        try:
            response = await _answered(request, *found)
            if response is not None and not isinstance(response, Response):
                response = await _streamed(request, response, send)
        finally:
            request.let_go()
        if response is not None:
            await send_response(send, request, response)

    def _trigger_of(self, request: Request) -> tuple[Trigger, str] | None:
        """What serves a request, and the part of it that names the function; `None` for what is not a call."""
        url_id = url_id_of(request.headers.get(b"host", b""))
        if url_id is not None:
            return self._urls, url_id
        raw_path = raw_path_of(request)
        if raw_path.startswith(ROUTE) and len(raw_path) > len(ROUTE):
            return self._route, raw_path.decode("latin-1")
        if request.scope["method"] == "POST":
            path = request.scope["path"]
            function_name = function_name_in(path)
            if function_name is not None:
                return self._invoke, function_name
            function_name = invoke_stream.function_name_in(path)
            if function_name is not None:
                return self._invoke_stream, function_name
        if raw_path.startswith(apis.ROUTE) and len(raw_path) > len(apis.ROUTE):
            return self._apis, raw_path.decode("latin-1")
        return None


def _settle(
    request: Request, wanted: Wanted, reply: Callable[[Response], None], outcome: Answer | SamovarError
) -> None:
    try:
        response = wanted.settle(outcome)
    except Exception as error:  # noqa: BLE001 - becomes an answer and a traceback; the answers to other calls wait
        response = fault(request, error)
    reply(response)


async def _answered(request: Request, trigger: Trigger, where: str) -> Response | SendsItself | None:
    """The answer, or the error that took its place; `None` when nobody waits for it any more."""
    try:
        return await trigger.answer(request, where)
    except SamovarError as error:
        return render_error(error, request.id)
    except ClientGone:
        return None
    except asyncio.CancelledError:  # the server cancels a request only when draining has run out of time
        return cut_off(request)
    except Exception as error:  # noqa: BLE001 - the last line of defence: becomes an answer and a traceback
        return fault(request, error)


async def _streamed(request: Request, answer: SendsItself, send: Send) -> Response | None:
    """Have an answer send itself; what to send in its place if it could not begin, else `None`."""
    has_begun = False

    async def sending(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    try:
        await answer.send(sending)
    except (SamovarError, CutShort, ClientGone, asyncio.CancelledError) as error:
        if has_begun:
            request.hang_up()
        elif isinstance(error, SamovarError):
            return render_error(error, request.id)
        elif isinstance(error, asyncio.CancelledError):
            return cut_off(request)
    except Exception as error:  # noqa: BLE001 - the last line of defence: becomes an answer, if it still can, and a traceback
        response = fault(request, error)
        if not has_begun:
            return response
        request.hang_up()
    return None


def cut_off(request: Request) -> Response:
    """The answer to a request that was still being served when the time to drain was over."""
    request.close = True
    return render_error(ServiceUnavailable("Samovar is shutting down.", retry_after=1.0), request.id)


def fault(request: Request, error: Any) -> Response:
    """The answer to a request that met a fault of ours; the traceback is logged."""
    _log.error("request %s failed", request.id, exc_info=error)
    return render_error(ServiceFailure(f"An internal fault was logged under request id {request.id}."), request.id)
