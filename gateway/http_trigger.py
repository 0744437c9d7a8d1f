"""The HTTP trigger: from a request to a function's event, and from its result to an HTTP answer."""

from __future__ import annotations

import secrets
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from gateway import cors, http_answer
from gateway.asgi import Request
from gateway.contract import Functions, Invoker
from gateway.http_event import HttpCall, encode_event, endpoint
from gateway.invoker_link import Call
from gateway.record import FunctionRecord, FunctionUrl
from gateway.rendering import Response, render_error
from samovar.clock import Clock
from samovar.errors import ResourceNotFound, SamovarError
from samovar.invocation import Outcome
from samovar.names import FUNCTION_NAME, function_arn
from samovar.settings import Settings

ROUTE = b"/fn/"
_URL_LABEL = ".lambda-url."


class HttpTrigger:
    """Answers requests under `/fn/{name}/` and on the host names of function URLs."""

    def __init__(self, settings: Settings, functions: Functions, invoker: Invoker, clock: Clock) -> None:
        self._settings = settings
        self._functions = functions
        self._invoker = invoker
        self._clock = clock

    async def by_name(self, request: Request, raw_path: bytes) -> Response:
        """`/fn/{name}` and everything below; the function sees the path after its name.

        Raises `ResourceNotFound` for a function that does not exist or has no HTTP route.
        """
        label, slash, rest = raw_path.removeprefix(ROUTE).partition(b"/")
        name = (unquote_to_bytes(label) if b"%" in label else label).decode("latin-1")
        record = self._functions.cached(name)
        if record is None and FUNCTION_NAME.fullmatch(name) is not None:
            record = await self._functions.get(name)
        if record is None or not record.http_route:
            settings = self._settings
            raise ResourceNotFound(f"Function not found: {function_arn(settings.account, settings.region, name)}")
        return await self._run(request, record, slash + rest or b"/")

    async def by_url(self, request: Request, url_id: str) -> Response:
        """A request to a function URL's own host name."""
        record = self._functions.cached_by_url(url_id) or await self._functions.by_url(url_id)
        if record is None or record.url is None:
            return _denied(request, b'{"Message":null}')
        rules = record.url.cors
        origin = request.headers.get(b"origin")
        if rules is not None and origin is not None and cors.is_preflight(request.scope["method"], request.headers):
            return cors.preflight(rules, origin, request.id)
        try:
            response = await self._run_url(request, record, record.url)
        except SamovarError as error:  # rendered here so that a browser is let in on errors too
            response = render_error(error, request.id)
        return response if rules is None else cors.apply(rules, origin, response)

    async def _run_url(self, request: Request, record: FunctionRecord, url: FunctionUrl) -> Response:
        if url.auth_type != "NONE":  # signatures are not verified yet, so nobody can have a valid one
            return _denied(request, b'{"Message":"Forbidden"}')
        return await self._run(request, record, raw_path_of(request))

    async def _run(self, request: Request, record: FunctionRecord, path: bytes) -> Response:
        body = await request.body(self._settings.max_payload_bytes)
        api_id = record.name if record.url is None else record.url.url_id
        epoch = self._clock.epoch()
        trace_id = _trace_id(request, epoch)
        host = request.headers.get(b"host", b"localhost")
        event = encode_event(HttpCall(request.scope, path, body, endpoint(api_id, host), request.id, trace_id, epoch))
        answer = await self._invoker.invoke(record.version, Call(request.id, "http", trace_id=trace_id), event)
        if answer.head.outcome is Outcome.OK:
            response = http_answer.to_response(answer.payload)
        else:
            response = http_answer.BAD_GATEWAY
        ours = [(b"x-amzn-requestid", request.id.encode()), (b"x-amzn-trace-id", trace_id.encode())]
        return response._replace(headers=ours + response.headers)


@lru_cache(maxsize=1024)
def url_id_of(host: bytes, region: str) -> str | None:
    """The function URL id in a Host header, `None` when the host is no function URL's.

    The id of another region's URL is empty, which is nobody's.
    """
    label, found, rest = host.decode("latin-1").lower().partition(_URL_LABEL)
    if not found:
        return None
    return label if rest.partition(":")[0] == f"{region}.localhost" else ""


def raw_path_of(request: Request) -> bytes:
    """The path as the client encoded it."""
    path: bytes = request.scope["raw_path"]
    return path or b"/"


def _trace_id(request: Request, epoch: float) -> str:
    """The caller's trace, or a new one (AWS X-Ray developer guide, "Tracing header")."""
    given = request.headers.get(b"x-amzn-trace-id")
    if given is not None:
        return given.decode("latin-1")
    return f"Root=1-{int(epoch):08x}-{secrets.token_hex(12)}"


def _denied(request: Request, body: bytes) -> Response:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", request.id.encode()),
        (b"x-amzn-errortype", b"AccessDeniedException"),
    ]
    return Response(403, headers, body)
