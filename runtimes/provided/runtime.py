"""The runtime's half of the AWS Lambda Runtime API: which invocation it has, and what it may say when.

States, error types and messages are those of AWS's runtime interface emulator. The path's version is "2018-06-01"; the
interface is described in the AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes".
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from .server import ACCEPTED, JSON, Flow, Request, Response, Sink, failure
from .streaming import MODE, STREAMING, Part, StreamedResponse, arrives_in_parts, is_streamed

PREFIX = "/2018-06-01/runtime/"
_INVOCATION = re.compile(r"invocation/([^/]+)/(response|error)")
_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
_INIT_ERROR_LIMIT = 200 * 1024
"""Bytes of an error of initialisation that are passed on: it has to fit into one frame."""


class State(StrEnum):
    """Of the runtime, as the emulator names them."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONSE_SENT = "RuntimeResponseSentState"


class Invocation(NamedTuple):
    """One event."""

    stream: int
    head: dict[str, Any]
    event: bytes

    @property
    def request_id(self) -> str:
        """What the runtime calls it by."""
        return str(self.head["request_id"])

    @property
    def delivery_id(self) -> str:
        """What tells this run of an event from its other tries. AWS's clients send it back with their answer."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.request_id} {self.stream} {self.head['deadline_ms']}"))


class Outcome(NamedTuple):
    """What became of an event; without an error type it is a result."""

    invocation: Invocation
    error: str | None
    body: bytes
    ends: bool = False
    """The runtime is not to be trusted with another event: AWS's client for Python, for one, ends itself."""


OnInit = Callable[[str | None, bytes], None]
"""Called once, when the runtime asks for its first event or reports an error (type and body)."""
OnOutcome = Callable[[Outcome], None]


class RuntimeApi:
    """Hands out one event at a time, and takes what became of it."""

    def __init__(
        self, on_init: OnInit, on_outcome: OnOutcome, on_part: Part, max_response: int, on_asked: Callable[[], None]
    ) -> None:
        """`max_response` is how many bytes an answer may have that is not streamed.

        `on_asked` is called when the runtime has answered and asks for more.
        """
        self._on_asked = on_asked
        self._on_init = on_init
        self._on_outcome = on_outcome
        self._on_part = on_part
        self._max_response = max_response
        self._state = State.STARTED
        self._events: deque[Invocation] = deque()
        self._current: Invocation | None = None
        self._arrival = asyncio.Event()

    @property
    def has_answered(self) -> bool:
        """Whether the runtime has answered an event and not asked for the next: it may as well end, as on AWS."""
        return self._state is State.RESPONSE_SENT

    def offer(self, invocation: Invocation) -> None:
        """An event for the runtime to take."""
        self._events.append(invocation)
        self._arrival.set()

    async def answer(self, request: Request) -> Response | None:
        """The answer to a request of this API; `None` when there is no such path."""
        path = request.path.removeprefix(PREFIX)
        if (request.method, path) == ("GET", "invocation/next"):
            return await self._next(request)
        if request.method != "POST":
            return None
        if path == "init/error":
            return self._init_error(request)
        found = _INVOCATION.fullmatch(path)
        if found is None:
            return None
        return self._finished(found[1], found[2], request)

    async def _next(self, request: Request) -> Response:
        if self._state is State.INIT_ERROR:
            return not_allowed(self._state, State.READY)
        if self._state is State.STARTED:
            self._on_init(None, b"")
        has_answered = self.has_answered
        if self._state is not State.RUNNING:  # asked twice, it is given the same event again
            self._state = State.READY
        if has_answered:
            self._on_asked()
        while self._state is State.READY:
            if self._events:
                self._current = self._events.popleft()
                self._state = State.RUNNING
            else:
                self._arrival.clear()
                await self._arrival.wait()
        assert self._current is not None, "what runs is known"
        return event_response(self._current)

    def _init_error(self, request: Request) -> Response:
        if self._state is not State.STARTED:
            return not_allowed(self._state, State.INIT_ERROR)
        self._state = State.INIT_ERROR
        error_type = _error_type(request.headers)
        body = request.body or b""
        if len(body) > _INIT_ERROR_LIMIT or request.body is None:
            body = _error(error_type, "the runtime reported an error that is too long to pass on")
        self._on_init(error_type, body)
        return ACCEPTED

    def _finished(self, request_id: str, what: str, request: Request) -> Response:
        current = self._claim(request_id, what)
        if isinstance(current, Response):
            return current
        if what == "response" and request.headers.get(MODE, "").lower() not in ("", "buffered", STREAMING):
            name = "Runtime.InvalidResponseModeHeader"
            self._on_outcome(Outcome(current, name, _error(name, "Invalid function response mode")))
            return failure(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        return self._answered(current, request.body, _error_type(request.headers) if what == "error" else None)

    def _claim(self, request_id: str, what: str) -> Invocation | Response:
        """The invocation that is being answered, which nobody else can answer from then on; or why it may not be."""
        current = self._current
        if current is None or current.request_id != request_id:
            return invalid_id()
        if self._state is not State.RUNNING:
            wanted = "InvocationResponse" if what == "response" else "InvocationErrorResponse"
            return not_allowed(self._state, wanted)
        self._state = State.RESPONSE_SENT
        return current

    def _answered(self, current: Invocation, body: bytes | None, error: str | None) -> Response:
        """Of a body over the limit there may be nothing."""
        if body is None or len(body) > self._max_response:
            message = f"Response payload size exceeded maximum allowed payload size ({self._max_response} bytes)."
            name = "Function.ResponseSizeTooLarge"
            self._on_outcome(Outcome(current, name, _error(name, message), ends=True))
            limit = f"Exceeded maximum allowed payload size ({self._max_response} bytes)."
            return failure(413, "RequestEntityTooLarge", limit)
        self._on_outcome(Outcome(current, error, body))
        return ACCEPTED

    def sink(self, request: Request, flow: Flow) -> Sink | None:
        """Who takes the body of a request, if that is an answer in parts."""
        found = _INVOCATION.fullmatch(request.path.removeprefix(PREFIX))
        if request.method != "POST" or found is None or found[2] != "response" or not arrives_in_parts(request.headers):
            return None
        current = self._claim(found[1], "response")
        if isinstance(current, Response):
            return None  # it is told so in the usual way
        passed_on = bool(current.head.get("streaming")) and is_streamed(request.headers)
        whole = None if passed_on else self._max_response
        return StreamedResponse(current, request.headers, self._on_part, self._stream_ended, flow, whole)

    def _stream_ended(self, current: Invocation, error: str | None, body: bytes | None) -> Response:
        if error is not None:
            name = _error_type({"lambda-runtime-function-error-type": error})
            body = body or _error(name, "the runtime's answer ended before it was whole")
            self._on_outcome(Outcome(current, name, body))
            return ACCEPTED
        if body is not None:
            return self._answered(current, body, None)
        self._on_outcome(Outcome(current, None, b""))
        return ACCEPTED


def event_response(invocation: Invocation) -> Response:
    """An event as the runtime gets it."""
    return Response(200, invocation.event, (JSON, *_event_headers(invocation.head, invocation.delivery_id)))


def invalid_id() -> Response:
    """There is no such invocation to be answered."""
    return failure(400, "InvalidRequestID", "Invalid request ID")


def not_allowed(state: State, wanted: str) -> Response:
    message = f"State transition from {state} to {wanted} failed for runtime. Error: State transition is not allowed"
    return failure(403, "InvalidStateTransition", message)


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": error_type}).encode()


def _error_type(headers: Mapping[str, str]) -> str:
    """The type by which the platform counts the error; the caller reads the body."""
    given = headers.get("lambda-runtime-function-error-type", "")
    if _ERROR_TYPE.match(given):
        return given
    return "Function.Unknown" if given.startswith("Function.") else "Runtime.Unknown"


def _event_headers(head: dict[str, Any], delivery_id: str) -> list[tuple[str, str]]:
    headers = {
        "Aws-Request-Id": head["request_id"],
        "Invocation-Id": delivery_id,
        "Deadline-Ms": str(head["deadline_ms"]),
        "Invoked-Function-Arn": head["arn"],
        "Trace-Id": head.get("trace_id") or new_trace(),
        "Client-Context": _one_line(head.get("client_context")),
        "Cognito-Identity": _one_line(head.get("cognito_identity")),
    }
    return [(f"Lambda-Runtime-{name}", value) for name, value in headers.items() if value]


def new_trace() -> str:
    """A trace nobody records, for an event that came without one: runtimes expect the header with each."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()};Parent={os.urandom(8).hex()};Sampled=0"


def _one_line(text: str | None) -> str:
    """JSON as a header can carry it."""
    if not text:
        return ""
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except ValueError:
        return text.encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")
