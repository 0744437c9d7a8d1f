"""Answers requests under `/api/{api}/`: finds the route, and calls the function it leads to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import unquote

import msgspec

from gateway.apis.events import of_route
from gateway.apis.table import ApiTable, Found
from gateway.functions.record import FunctionRecord
from gateway.http import answer as http_answer
from gateway.http import cors
from gateway.http.asgi import Request
from gateway.http.contract import Functions, Invoker, Wanted, carry_out
from gateway.http.event import HttpCall, endpoint
from gateway.http.rendering import Response, render_error
from gateway.http.trigger import as_called, dressed, is_preflight, passed_on, trace_id_of
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.clock import Clock
from samovar.cors import Cors
from samovar.errors import SamovarError
from samovar.invocation import Outcome
from samovar.names import LATEST
from samovar.settings import Settings
from samovar.stack import Payload

ROUTE: Final = b"/api/"
_JSON: Final = (b"content-type", b"application/json")
_FAILED: Final[dict[Payload, Response]] = {
    "rest": Response(502, [_JSON], b'{"message": "Internal server error"}'),
    "1.0": Response(500, [_JSON], b'{"message":"Internal Server Error"}'),
    "2.0": Response(500, [_JSON], b'{"message":"Internal Server Error"}'),
}
"""What API Gateway answers when a function failed, or its result is no answer."""
_NO_ROUTE: Final = Response(404, [_JSON], b'{"message":"Not Found"}')


class ApiRoutes:
    """The trigger of routes. Their functions are looked up as those of any call."""

    def __init__(
        self, settings: Settings, functions: Functions, invoker: Invoker, clock: Clock, table: ApiTable
    ) -> None:
        self._settings = settings
        self._functions = functions
        self._invoker = invoker
        self._clock = clock
        self._table = table

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """See `Trigger`."""
        path, found = self._find(request, where)
        if found is None or len(body) > self._settings.max_payload_bytes or is_preflight(request):
            return None
        record = self._functions.cached(found.arn, found.route.qualifier or LATEST)
        return None if record is None else self._wanted(request, path, found, record, body)

    async def answer(self, request: Request, where: str) -> Response:
        """See `Trigger`."""
        path, found = self._find(request, where)
        if is_preflight(request) and (allowed := self._preflight(request, where, path, found)) is not None:
            return allowed
        if found is None:
            return dressed(request.id, trace_id_of(request, self._clock.epoch()), _NO_ROUTE)
        record = await self._functions.get(found.arn, found.route.qualifier)
        body = await request.body(self._settings.max_payload_bytes)
        wanted = self._wanted(request, path, found, record, body)
        running = carry_out(self._invoker, wanted)
        del body, wanted  # as `carry_out` does
        return await running

    def _preflight(self, request: Request, where: str, path: str, found: Found | None) -> Response | None:
        """The answer to a browser that asks first; `None` where no rules are, or a REST API has a route for OPTIONS."""
        if found is not None and found.route.payload == "rest" and found.route.method == "OPTIONS":
            return None
        label, method = _label(where), request.headers[b"access-control-request-method"].decode("latin-1")
        rules = self._table.rules(self._settings.region, label, method, path)
        if rules is None:
            return None
        return cors.preflight(rules, request.headers[b"origin"], request.id)

    def _find(self, request: Request, where: str) -> tuple[str, Found | None]:
        """The path behind the API's name, and the route that takes it."""
        _, slash, rest = where[len(ROUTE) :].partition("/")
        path = slash + rest or "/"
        region = self._settings.region  # names in paths are of the platform's own
        return path, self._table.find(region, _label(where), request.scope["method"], path)

    def _wanted(self, request: Request, path: str, found: Found, record: FunctionRecord, body: bytes) -> Wanted:
        epoch = self._clock.epoch()
        trace_id = trace_id_of(request, epoch)
        where = endpoint(found.route.api, request.headers.get(b"host", b"localhost"))
        asked = HttpCall(request.scope, path.encode("latin-1"), body, where, request.id, trace_id, epoch)
        event = msgspec.json.encode(of_route(asked, found, record.version.account))
        call = Call(request.id, "http", trace_id=passed_on(trace_id, record))
        errand = Errand(record.version, call, event, request.let_go)
        settle = partial(_settled, request.id, trace_id, found.route.payload)
        rules = found.route.cors if found.route.payload != "rest" else None
        if rules is not None:
            settle = partial(_shared, rules, request.headers.get(b"origin"), settle)
        wanted = Wanted(errand, settle)
        return as_called(wanted, found.route.qualifier) if found.route.qualifier else wanted


def _label(where: str) -> str:
    """The API's name in a path under `ROUTE`."""
    return unquote(where[len(ROUTE) :].partition("/")[0])


def _shared(
    rules: Cors,
    origin: bytes | None,
    settle: Callable[[Answer | SamovarError], Response],
    outcome: Answer | SamovarError,
) -> Response:
    """An answer with what the API lets other origins do with it."""
    return cors.apply(rules, origin, settle(outcome))


def _settled(request_id: str, trace_id: str, payload: Payload, outcome: Answer | SamovarError) -> Response:
    if isinstance(outcome, SamovarError):
        return render_error(outcome, request_id)
    response: Response | None = None
    if outcome.head.outcome is Outcome.OK and payload == "2.0":
        response = http_answer.to_response(outcome.payload)
        response = None if response is http_answer.BAD_GATEWAY else response
    elif outcome.head.outcome is Outcome.OK:
        response = http_answer.proxied(outcome.payload)
    return dressed(request_id, trace_id, response or _FAILED[payload])
