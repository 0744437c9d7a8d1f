"""The Lambda Extensions API: programs that live beside the function, hear of its events, and are told when all ends.

External extensions are the executable files in /opt/extensions, started before the function's program; internal ones
are threads or children of that program, which may register until it waits for its first event. States, error types
and messages are those of AWS's runtime interface emulator; the interface is described in the AWS Lambda developer
guide, "Using the Lambda Extensions API to create extensions".
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any

from .program import CannotStart, Program
from .server import ACCEPTED, JSON, Request, Response, failure, json_response

PREFIX = "/2020-01-01/extension/"
FOLDER = "extensions"
MOST = 10
NAME, IDENTIFIER, ERROR_TYPE = (f"lambda-extension-{word}" for word in ("name", "identifier", "function-error-type"))

_RUNTIMES_OWN = frozenset(
    {"_HANDLER", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}
    | {"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_X_AMZN_TRACE_ID", "AWS_XRAY_CONTEXT_MISSING"}
)
"""Variables that are for the runtime's process alone."""
FEATURES = "lambda-extension-accept-feature"

Fail = Callable[[str, str], None]
"""Told the type and the words of what makes the environment unusable."""


class State(StrEnum):
    """Of an extension, as the emulator names them."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"


_FAILED = (State.INIT_ERROR, State.EXIT_ERROR, State.EXITED)


class Extension:
    """One extension. External ones are known before they register."""

    def __init__(self, name: str, state: State, program: Program | None = None) -> None:
        self.name = name
        self.identifier = str(uuid.uuid4())
        self.program = program
        self.state = state
        self.events: frozenset[str] = frozenset()
        self.waiting: asyncio.Future[dict[str, Any]] | None = None
        """Its request for the next event."""

    def give(self, event: dict[str, Any]) -> None:
        """Answer its request for an event, if it has made one."""
        if self.waiting is not None and not self.waiting.done():
            self.state = State.RUNNING
            self.waiting.set_result(event)


class Extensions:
    """Owner of all extensions of an environment."""

    def __init__(
        self,
        environment: Mapping[str, str],
        account_id: str,
        fail: Fail,
        root: str = "/opt",
        *,
        hears_events: bool = True,
    ) -> None:
        """`environment` and `account_id` are the function's; `root` is where its layers are.

        Where several events run at once, nobody hears of them, as on AWS: an extension could not tell them apart.
        """
        self._hears_events = hears_events
        self._environment = environment
        self._account_id = account_id
        self._fail = fail
        self._folder = os.path.join(root, FOLDER)
        self._all: dict[str, Extension] = {}
        self._is_open = True
        self._is_ending = False
        self._changed = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def all(self) -> list[Extension]:
        """Every one there is."""
        return list(self._all.values())

    @property
    def failed(self) -> list[Extension]:
        """Those that have reported an error, or have ended."""
        return [one for one in self._all.values() if one.state in _FAILED]

    @property
    def files(self) -> list[str]:
        """The external ones there are to be started."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return []
        paths = [os.path.join(self._folder, name) for name in names]
        return [path for path in paths if os.path.isfile(path)][:MOST]

    async def start(self, output: int | None = None) -> None:
        """Start the external ones, and wait until all have registered. Raises `CannotStart`."""
        variables = {name: value for name, value in self._environment.items() if name not in _RUNTIMES_OWN}
        for path in self.files:
            try:
                program = Program([path], variables, "/", output)
            except CannotStart as reason:
                raise CannotStart("Extension.LaunchError", str(reason)) from reason
            extension = Extension(os.path.basename(path), State.STARTED, program)
            self._all[extension.name] = extension
            program.on_end(partial(self._ended, extension))
        await self._until(lambda: all(one.state is not State.STARTED for one in self._all.values()))

    def close(self) -> None:
        """Nobody may register any more."""
        self._is_open = False

    @property
    def are_idle(self) -> bool:
        """Whether all wait for an event."""
        return all(one.state in (State.READY, State.EXITED) for one in self._all.values())

    async def idle(self) -> None:
        """Return when they do."""
        await self._until(lambda: self.are_idle)

    def invoke(self, head: Mapping[str, Any]) -> None:
        """Tell those who asked for it of an event."""
        self._tell(
            "INVOKE",
            {
                "eventType": "INVOKE",
                "deadlineMs": head["deadline_ms"],
                "requestId": head["request_id"],
                "invokedFunctionArn": head["arn"],
                "tracing": {"type": "X-Amzn-Trace-Id", "value": head["trace_id"]},
            },
        )

    @property
    def grace_s(self) -> float:
        """How long the end of the environment may take: as long as AWS gives it."""
        external = any(one.program is not None for one in self._all.values())
        return 2.0 if external else 0.5 if self._all else 0.0

    async def shut_down(self, reason: str, deadline_ms: int) -> None:
        """Tell those who asked for it of the end, and return when all external ones have ended."""
        self._is_ending = True
        event = {"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms}
        for one in self._all.values():
            if "SHUTDOWN" not in one.events and one.program is not None:
                one.program.terminate()
        self._tell("SHUTDOWN", event)
        await self._until(lambda: all(one.program is None or one.state is State.EXITED for one in self._all.values()))

    def find(self, request: Request) -> Extension | Response:
        """Whose request it is, or the refusal of one that is nobody's."""
        given = request.headers.get(IDENTIFIER, "")
        if not given:
            return failure(403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        try:
            uuid.UUID(given)
        except ValueError:
            return failure(403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        for one in self._all.values():
            if one.identifier == given and one.state is not State.STARTED:
                return one
        return failure(403, "Extension.UnknownExtensionIdentifier", f"Unknown extension {given}")

    async def answer(self, request: Request) -> Response | None:
        """The answer to a request of this API; `None` when there is no such path."""
        call = request.method, request.path.removeprefix(PREFIX)
        if call == ("POST", "register"):
            return self._register(request)
        if call not in (("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")):
            return None
        found = self.find(request)
        if isinstance(found, Response):
            return found
        if call == ("GET", "event/next"):
            return await self._next(found)
        return self._failed(found, request, State.INIT_ERROR if call[1] == "init/error" else State.EXIT_ERROR)

    def _register(self, request: Request) -> Response:
        name = request.headers.get(NAME, "")
        if not name:
            return failure(403, "Extension.InvalidExtensionName", "Empty extension name")
        try:
            events = frozenset(json.loads(request.body or b"")["events"])
        except (ValueError, TypeError, KeyError) as error:
            return failure(403, "InvalidRequestFormat", f"the body must be a JSON object with events: {error}")
        extension = self._all.get(name)
        allowed = {"INVOKE", "SHUTDOWN"} if extension is not None and extension.program is not None else {"INVOKE"}
        allowed -= set() if self._hears_events else {"INVOKE"}
        for event in sorted(map(str, events - allowed)):
            return failure(403, "Extension.InvalidEventType", f"{event}: event is not supported for this extension")
        refused = self._refusal(name, extension)
        if refused is not None:
            return refused
        if extension is None:
            extension = self._all[name] = Extension(name, State.STARTED)
        extension.events = events
        self._move(extension, State.REGISTERED)
        function = {
            "functionName": self._environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            "functionVersion": self._environment.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            "handler": self._environment.get("_HANDLER", ""),
        }
        if "accountId" in request.headers.get(FEATURES, "").replace(" ", "").split(","):
            function["accountId"] = self._account_id
        return json_response(200, function, ("Lambda-Extension-Identifier", extension.identifier))

    def _refusal(self, name: str, extension: Extension | None) -> Response | None:
        if extension is not None and extension.program is None:
            return failure(403, "Extension.InvalidExtensionState", "Extension with this name already registered")
        if extension is not None and extension.state is not State.STARTED:
            return _not_allowed(extension, State.REGISTERED, name)
        if not self._is_open and extension is None:
            return failure(403, "Extension.RegistrationClosed", "Extension registration closed already")
        if extension is None and len(self._all) >= MOST:
            return failure(403, "Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        return None

    async def _next(self, extension: Extension) -> Response:
        if extension.state not in (State.REGISTERED, State.READY, State.RUNNING):
            return _not_allowed(extension, State.READY, extension.identifier)
        extension.waiting = asyncio.get_running_loop().create_future()
        self._move(extension, State.READY)
        event = await extension.waiting
        return Response(
            200, json.dumps(event).encode(), (("Lambda-Extension-Event-Identifier", str(uuid.uuid4())), JSON)
        )

    def _failed(self, extension: Extension, request: Request, state: State) -> Response:
        told = request.headers.get(ERROR_TYPE, "")
        if not told:
            return failure(403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
        if extension.state in _FAILED or (state is State.INIT_ERROR and extension.state is not State.REGISTERED):
            return _not_allowed(extension, state, extension.identifier)
        self._move(extension, state)
        self._fail(f"Extension.{state}", f"extension {extension.name} reported {told}")
        return ACCEPTED

    def _ended(self, extension: Extension, code: int) -> None:
        had_failed = extension.state in (State.INIT_ERROR, State.EXIT_ERROR)
        self._move(extension, State.EXITED)
        if not self._is_ending and not had_failed:
            how = f"exit status {code}" if code >= 0 else f"signal {-code}"
            self._fail("Extension.Crash", f"extension {extension.name} ended: {how}")

    def _tell(self, kind: str, event: dict[str, Any]) -> None:
        for one in self._all.values():
            if kind in one.events:
                one.give(event)

    def _move(self, extension: Extension, state: State) -> None:
        extension.state = state
        self._changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def _not_allowed(extension: Extension, wanted: State, whose: str) -> Response:
    message = (
        f"State transition from {extension.state} to {wanted} failed for extension {whose}. "
        "Error: State transition is not allowed"
    )
    return failure(403, "Extension.InvalidExtensionState", message)
