"""Invoke: run a function and answer with its result, or take an event for it.

AWS Lambda API reference, "Invoke". It stands apart from the rest of the Lambda API because it is on the warm path.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from gateway import lineage
from gateway.access.operations import INVOKE, Asked
from gateway.events.event import NewEvent
from gateway.functions.record import FunctionRecord
from gateway.http.asgi import BODY_DEADLINE_S, Request
from gateway.http.contract import Parts, Wanted, carry_out
from gateway.http.rendering import Response, render_error
from gateway.lambda_api import constraints
from gateway.link.invoker_link import Answer, Call, Errand
from gateway.namespaces import check_reachable, region_of
from samovar.errors import (
    CallerError,
    InvalidParameterValue,
    InvalidRequestContent,
    SamovarError,
    UnsupportedMediaType,
)
from samovar.invocation import Outcome
from samovar.names import LATEST, FunctionReference, function_arn
from samovar.settings import Settings

MAX_CLIENT_CONTEXT_BYTES: Final = 3583
_PREFIX: Final = "/2015-03-31/functions/"
_SUFFIX: Final = "/invocations"
_QUALIFIER: Final = re.compile(r"\$LATEST|[a-zA-Z0-9_-]{1,128}")
"""What needs no look at the model, which would be read for it."""
_TRACE: Final = b"x-amzn-trace-id"
_TENANT: Final = b"x-amz-tenant-id"
_DURABLE: Final = b"x-amz-durable-execution-name"
_HEADERS: Final = (
    ("InvocationType", b"x-amz-invocation-type"),
    ("LogType", b"x-amz-log-type"),
    ("ClientContext", b"x-amz-client-context"),
    ("DurableExecutionName", _DURABLE),
    ("TenantId", _TENANT),
)
"""Members of the request that are headers."""
_LOG_TYPES: Final = ("Tail", "None")
_UNSPECIFIC: Final = (b"", b"application/octet-stream", b"binary/octet-stream")
"""Content types that AWS's SDKs have sent with JSON."""
_skim_json = msgspec.json.Decoder(msgspec.Raw).decode


class Target(NamedTuple):
    """What an Invoke call names: a function and which version of it."""

    arn: str
    """The unqualified one."""
    qualifier: str
    given: str | None
    """The qualifier the caller gave, which is in the ARN the function sees."""


def function_name_in(path: str) -> str | None:
    """The FunctionName in the path of an Invoke call; `None` for any other path."""
    if path.startswith(_PREFIX) and path.endswith(_SUFFIX):
        name = path[len(_PREFIX) : -len(_SUFFIX)]
        return name if name and "/" not in name else None
    return None


@lru_cache(maxsize=4096)
def target_of(function_name: str, query: bytes, account: str, region: str) -> Target:
    """Read FunctionName and the Qualifier parameter of a request to a region.

    Raises `ValidationFailed` and `InvalidParameterValue`, and `ResourceNotFound` and `AccessDenied` for functions of
    another region or account.
    """
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("Qualifier", [None])[-1]
    try:
        reference = FunctionReference.parse(function_name)
    except CallerError:
        constraints.check("Invoke", {"FunctionName": function_name, "Qualifier": given})
        raise
    if given is not None and _QUALIFIER.fullmatch(given) is None:
        constraints.check("Invoke", {"FunctionName": function_name, "Qualifier": given})
    if given is not None and reference.qualifier is not None and given != reference.qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    check_reachable(reference, account, region)
    qualifier = given or reference.qualifier
    return Target(function_arn(account, region, reference.name), qualifier or LATEST, qualifier)


class InvokeApi:
    """Answers `POST /2015-03-31/functions/{FunctionName}/invocations`."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self._functions, self._invoker, self._clock, self._guard, self._intake = parts

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """See `Trigger`."""
        if request.headers.get(b"x-amz-invocation-type", b"RequestResponse") != b"RequestResponse":
            return None
        if len(body) > self._settings.max_payload_bytes or _TENANT in request.headers or _DURABLE in request.headers:
            return None
        if not self._guard.admit_at_once(request, Asked(INVOKE, where), body):
            return None
        target = self._target(request, where)
        record = self._functions.cached(target.arn, target.qualifier)
        if record is None:
            return None
        trace = self._trace(request, record.arn)
        if _TRACE in request.headers:
            self._check_loop(trace, record)
        return _wanted(request, record, target.given, body, trace)

    def begin_event(self, request: Request, where: str, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Take the event of a request that has arrived whole; false, with nothing done, if it cannot be done at once.

        `reply` is called once the event is stored, or could not be. Raises as `answer` does.
        """
        if request.headers.get(b"x-amz-invocation-type") != b"Event":
            return False
        if _TENANT in request.headers or _DURABLE in request.headers:
            return False
        if not self._guard.admit_at_once(request, Asked(INVOKE, where), body):
            return False
        target = self._target(request, where)
        if self._functions.cached(target.arn, target.qualifier) is None:
            return False
        event = self._event(request, target, body)
        self._intake.begin(event, lambda failure: reply(_taken(request.id, failure)))
        return True

    async def answer(self, request: Request, where: str) -> Response:
        """See `Trigger`. Raises the errors the Lambda API names."""
        asked = await self.asked(request, where, "Invoke")
        if isinstance(asked, Response):
            return asked
        running = carry_out(self._invoker, asked)
        del asked  # as `carry_out` does
        return await running

    async def asked(self, request: Request, where: str, operation: str) -> Wanted | Response:
        """What a call wants of the invoker; an answer where it wants nothing. Raises as `answer` does."""
        limit = self._settings.max_payload_bytes
        await self._guard.admit(request, Asked(INVOKE, where), limit, BODY_DEADLINE_S)
        payload = await request.body(limit)
        target = self._target(request, where)
        members = _members(request.headers)
        constraints.check(operation, {"FunctionName": where, "Qualifier": target.given, **members})
        invocation_type = members.get("InvocationType")
        record = self._functions.cached(target.arn, target.qualifier)
        record = record or await self._functions.get(target.arn, target.qualifier)
        if invocation_type == "Event":
            await self._intake.accept(self._event(request, target, payload))
            return _taken(request.id, None)
        trace = self._trace(request, record.arn)
        wanted = _wanted(request, record, target.given, payload, trace)
        if invocation_type == "DryRun":
            return Response(204, [(b"x-amzn-requestid", request.id.encode())])
        self._check_loop(trace, record)
        return wanted

    def _event(self, request: Request, target: Target, payload: bytes) -> NewEvent:
        """Raises `RequestTooLarge`, `InvalidRequestContent` and `UnsupportedMediaType`."""
        self._intake.check(payload)
        return NewEvent(
            arn=target.arn,
            qualifier=target.given,
            payload=_checked(request.headers, payload),
            request_id=request.id,
            trace_id=_caller_trace(request.headers),
        )

    def _trace(self, request: Request, arn: str) -> str:
        """The trace the function is to see: the caller's with the function added, or a new one."""
        given = request.headers.get(_TRACE)
        if given is None:
            return lineage.begun(lineage.new_root(self._clock.epoch()), arn)
        return lineage.followed(given.decode("latin-1"), arn)

    def _check_loop(self, trace: str, record: FunctionRecord) -> None:
        """Raise `RecursiveInvocation` for a call too many. What is chosen for a function holds for its versions."""
        latest = self._functions.cached(record.arn) or record
        lineage.check(trace, record.arn, latest.recursive_loop)

    def _target(self, request: Request, where: str) -> Target:
        query, settings = request.scope["query_string"], self._settings
        return target_of(where, query, settings.account, region_of(request.headers, query, settings.region))


def _members(headers: dict[bytes, bytes]) -> dict[str, str]:
    """The members of the API's request that are headers, those that are given."""
    return {name: headers[header].decode("latin-1") for name, header in _HEADERS if header in headers}


def _wanted(request: Request, record: FunctionRecord, qualifier: str | None, payload: bytes, trace: str) -> Wanted:
    headers = request.headers
    log_type = _choice(headers, b"x-amz-log-type", "LogType", _LOG_TYPES)
    call = Call(request.id, "invoke", log_type == "Tail", _client_context(headers), trace, qualifier)
    return Wanted(
        Errand(record.version, call, _checked(headers, payload), request.let_go), partial(_settled, request.id)
    )


def _settled(request_id: str, outcome: Answer | SamovarError) -> Response:
    return render_error(outcome, request_id) if isinstance(outcome, SamovarError) else _success(request_id, outcome)


def _taken(request_id: str, failure: SamovarError | None) -> Response:
    """The answer to an event: AWS's has no body and names no version, which is not known before it runs."""
    if failure is not None:
        return render_error(failure, request_id)
    return Response(202, [(b"x-amzn-requestid", request_id.encode())])


def _checked(headers: dict[bytes, bytes], payload: bytes) -> bytes:
    """As `checked_event`. Raises `UnsupportedMediaType` for what is no JSON and does not say it is.

    What a caller's content type says matters to nothing else: many send JSON as bytes, as text or as a form.
    """
    try:
        return checked_event(payload)
    except InvalidRequestContent:
        given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if given in _UNSPECIFIC or given.endswith(b"json"):
            raise
    raise UnsupportedMediaType("The content type of the Invoke request body is not JSON.")


def checked_event(payload: bytes) -> bytes:
    """The payload, known to be JSON; an empty one is `{}`, as on Lambda. Raises `InvalidRequestContent`."""
    if not payload:
        return b"{}"
    try:
        _skim_json(payload)  # checks the syntax without building the values
        if not payload.isascii():
            payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error
    return payload


def _success(request_id: str, answer: Answer) -> Response:
    head = answer.head
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amz-executed-version", head.version.encode()),
    ]
    if head.outcome is not Outcome.OK:
        headers.append((b"x-amz-function-error", b"Unhandled"))
    if head.log_tail is not None:
        headers.append((b"x-amz-log-result", head.log_tail.encode()))
    return Response(200, headers, answer.payload)


def _caller_trace(headers: dict[bytes, bytes]) -> str | None:
    given = headers.get(_TRACE)
    return None if given is None else given.decode("latin-1")


def _choice(headers: dict[bytes, bytes], header: bytes, member: str, allowed: tuple[str, ...]) -> str | None:
    given = headers.get(header)
    if given is None:
        return None
    text = given.decode("latin-1")
    if text not in allowed:
        constraints.refuse("Invoke", member, text)
    return text


def _client_context(headers: dict[bytes, bytes]) -> str | None:
    """The ClientContext as it was sent. Raises `InvalidRequestContent` unless it is a JSON object in Base64."""
    given = headers.get(b"x-amz-client-context")
    if not given:
        return None
    if len(given) > MAX_CLIENT_CONTEXT_BYTES:
        raise InvalidRequestContent(
            f"Client context must be no more than {MAX_CLIENT_CONTEXT_BYTES} bytes, it has {len(given)}."
        )
    try:
        context = msgspec.json.decode(base64.b64decode(given, validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error
    if not isinstance(context, dict):
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.")
    return given.decode("ascii")
