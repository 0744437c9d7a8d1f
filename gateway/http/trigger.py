"""The HTTP trigger: from a request to a function's event, and from its result to an HTTP answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from gateway import lineage
from gateway.access.guard import Guard
from gateway.access.identity import iam
from gateway.access.operations import INVOKE_URL, Asked
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import not_found
from gateway.http import answer as http_answer
from gateway.http import cors
from gateway.http.asgi import BODY_DEADLINE_S, Request
from gateway.http.contract import Functions, Invoker, SendsItself, Wanted, carry_out
from gateway.http.event import HttpCall, encode_event, endpoint
from gateway.http.rendering import Response, render_error
from gateway.http.stream import HttpStream
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.clock import Clock
from samovar.cors import Cors
from samovar.errors import AccessDenied, MissingAuthenticationToken, SamovarError
from samovar.invocation import Outcome
from samovar.names import FUNCTION_NAME, LATEST, function_arn
from samovar.settings import Settings

ROUTE = b"/fn/"
_URL_LABEL = ".lambda-url."


class NamedRoute:
    """Answers requests under `/fn/{name}/` and `/fn/{name}:{qualifier}/`; the function sees the path after that."""

    def __init__(self, settings: Settings, functions: Functions, invoker: Invoker, clock: Clock) -> None:
        self._settings = settings
        self._functions = functions
        self._invoker = invoker
        self._clock = clock

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """See `Trigger`."""
        name, path = _name_and_path(where)
        name, _, qualifier = name.partition(":")
        record = self._functions.cached(self._arn(name), qualifier or LATEST)
        if record is None or not record.http_route or record.streams or len(body) > self._settings.max_payload_bytes:
            return None
        wanted = _wanted(request, record, path, body, self._clock.epoch())
        return as_called(wanted, qualifier) if qualifier else wanted

    async def answer(self, request: Request, where: str) -> Response | SendsItself:
        """See `Trigger`. Raises `ResourceNotFound` for a function that does not exist or has no HTTP route."""
        name, path = _name_and_path(where)
        name, _, qualifier = name.partition(":")
        arn = self._arn(name)
        record = self._functions.cached(arn, qualifier or LATEST)
        if record is None and FUNCTION_NAME.fullmatch(name) is not None:
            record = await self._functions.get(arn, qualifier or None)
        if record is None or not record.http_route:
            raise not_found(arn, qualifier)
        body = await request.body(self._settings.max_payload_bytes)
        wanted = as_called(_wanted(request, record, path, body, self._clock.epoch()), qualifier)
        if record.streams:
            return HttpStream(self._invoker, request, wanted, _dressing(wanted))
        running = carry_out(self._invoker, wanted)
        del body, wanted  # as `carry_out` does
        return await running

    def _arn(self, name: str) -> str:
        """Names in paths are of the platform's own region."""
        return function_arn(self._settings.account, self._settings.region, name)


class FunctionUrls:
    """Answers requests to the host names of function URLs."""

    def __init__(self, settings: Settings, functions: Functions, invoker: Invoker, clock: Clock, guard: Guard) -> None:
        self._settings = settings
        self._functions = functions
        self._invoker = invoker
        self._clock = clock
        self._guard = guard

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """See `Trigger`."""
        record = self._functions.cached_by_url(where)
        if record is None or record.url is None or record.streams:
            return None
        if not self._is_admitted(request, record, body):
            return None
        rules = record.url.cors
        if len(body) > self._settings.max_payload_bytes or (rules is not None and is_preflight(request)):
            return None
        return self._wanted(request, record, rules, body)

    async def answer(self, request: Request, where: str) -> Response | SendsItself:
        """See `Trigger`."""
        record = self._functions.cached_by_url(where) or await self._functions.by_url(where)
        if record is None or record.url is None:
            return _denied(request, b'{"Message":null}')
        rules = record.url.cors
        origin = request.headers.get(b"origin")
        if rules is not None and origin is not None and is_preflight(request):
            return cors.preflight(rules, origin, request.id)
        limit = self._settings.max_payload_bytes
        try:
            if record.url.auth_type == "NONE":
                self._guard.check_open(record.arn, record.url.qualifier)
            else:
                await self._guard.admit(request, Asked(INVOKE_URL, record.arn), limit, BODY_DEADLINE_S)
            body = await request.body(limit)
        except (MissingAuthenticationToken, AccessDenied):
            refused = _denied(request, b'{"Message":"Forbidden"}')
        except SamovarError as error:  # rendered here so that a browser is let in on errors too
            refused = render_error(error, request.id)
        else:
            wanted = self._wanted(request, record, rules, body)
            if record.streams:
                return HttpStream(self._invoker, request, wanted, _dressing(wanted, rules, origin))
            running = carry_out(self._invoker, wanted)
            del body, wanted  # as `carry_out` does
            return await running
        return refused if rules is None else cors.apply(rules, origin, refused)

    def _is_admitted(self, request: Request, record: FunctionRecord, body: bytes) -> bool:
        """Whether a request is let in, by its signature unless none is asked for; `answer` says why not."""
        assert record.url is not None, "it was found by its URL"
        try:
            if record.url.auth_type == "NONE":
                self._guard.check_open(record.arn, record.url.qualifier)
                return True
            return self._guard.admit_at_once(request, Asked(INVOKE_URL, record.arn), body)
        except SamovarError:
            return False

    def _wanted(self, request: Request, record: FunctionRecord, rules: Cors | None, body: bytes) -> Wanted:
        wanted = _wanted(request, record, raw_path_of(request), body, self._clock.epoch())
        if record.url is not None and record.url.qualifier is not None:
            wanted = as_called(wanted, record.url.qualifier)
        if rules is None:
            return wanted
        origin, settle = request.headers.get(b"origin"), wanted.settle
        return replace(wanted, settle=lambda outcome: cors.apply(rules, origin, settle(outcome)))


def as_called(wanted: Wanted, qualifier: str | None) -> Wanted:
    """For a function that was called by the name of a version or alias, which it sees in its ARN."""
    call = replace(wanted.errand.call, qualifier=qualifier or None)
    return replace(wanted, errand=wanted.errand._replace(call=call))


def _wanted(request: Request, record: FunctionRecord, path: bytes, body: bytes, epoch: float) -> Wanted:
    api_id = record.name if record.url is None else record.url.url_id
    trace_id = trace_id_of(request, epoch)
    host = request.headers.get(b"host", b"localhost")
    caller = None if request.caller is None else iam(request.caller, record.version.account)
    asked = HttpCall(request.scope, path, body, endpoint(api_id, host), request.id, trace_id, epoch, caller)
    call = Call(request.id, "http", trace_id=passed_on(trace_id, record))
    errand = Errand(record.version, call, encode_event(asked), request.let_go)
    return Wanted(errand, partial(_settled, request.id, trace_id))


def _settled(request_id: str, trace_id: str, outcome: Answer | SamovarError) -> Response:
    if isinstance(outcome, SamovarError):
        return render_error(outcome, request_id)
    response = http_answer.BAD_GATEWAY
    if outcome.head.outcome is Outcome.OK:
        response = http_answer.to_response(outcome.payload)
    return dressed(request_id, trace_id, response)


def dressed(request_id: str, trace_id: str, response: Response) -> Response:
    """With the headers that are not the function's own."""
    ours = [(b"x-amzn-requestid", request_id.encode()), (b"x-amzn-trace-id", trace_id.encode("latin-1"))]
    return Response(response.status, ours + response.headers, response.body)


def _dressing(wanted: Wanted, rules: Cors | None = None, origin: bytes | None = None) -> Callable[[Response], Response]:
    call = wanted.errand.call

    def dress(response: Response) -> Response:
        answer = dressed(call.request_id, lineage.root(call.trace_id or ""), response)
        return answer if rules is None else cors.apply(rules, origin, answer)

    return dress


def _name_and_path(raw_path: str) -> tuple[str, bytes]:
    """The function's name in a path under `ROUTE`, and the path that it sees."""
    label, slash, rest = raw_path[len(ROUTE) :].partition("/")
    name = unquote_to_bytes(label).decode("latin-1") if "%" in label else label
    return name, (slash + rest).encode("latin-1") or b"/"


def is_preflight(request: Request) -> bool:
    """Whether a browser asks for permission first."""
    return cors.is_preflight(request.scope["method"], request.headers)


@lru_cache(maxsize=1024)
def url_id_of(host: bytes) -> str | None:
    """The function URL id in a Host header with its region, `None` when the host is no function URL's.

    Of a host in another domain it is empty, which is nobody's.
    """
    label, found, rest = host.decode("latin-1").lower().partition(_URL_LABEL)
    if not found:
        return None
    region, found, port = rest.partition(".localhost")
    return f"{label}.{region}" if found and (not port or port.startswith(":")) else ""


def raw_path_of(request: Request) -> bytes:
    """The path as the client encoded it."""
    path: bytes = request.scope["raw_path"]
    return path or b"/"


def trace_id_of(request: Request, epoch: float) -> str:
    """The caller's trace, or a new one."""
    given = request.headers.get(b"x-amzn-trace-id")
    return lineage.new_root(epoch) if given is None else given.decode("latin-1")


def passed_on(trace_id: str, record: FunctionRecord) -> str:
    """The trace that the function passes on. Raises `RecursiveInvocation` when it came here too often."""
    if "=" in trace_id and "Lineage" not in trace_id:
        return lineage.begun(trace_id, record.arn)
    followed = lineage.followed(trace_id, record.arn)
    lineage.check(followed, record.arn, record.recursive_loop)
    return followed


def _denied(request: Request, body: bytes) -> Response:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", request.id.encode()),
        (b"x-amzn-errortype", b"AccessDeniedException"),
    ]
    return Response(403, headers, body)
