"""The Lambda Telemetry API: what extensions are told of the platform's doings and of what the function prints.

Events are those of the AWS Lambda developer guide, "Lambda Telemetry API Event schema reference". The older Logs API
takes the same subscriptions and has fewer events.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .extensions import Extension
from .runtime import Outcome
from .server import Request, Response, failure, json_response
from .subscriptions import Invalid, Schema, Subscriber, encode, read

TELEMETRY_PATH, LOGS_PATH = "/2022-07-01/telemetry", "/2020-08-15/logs"
PATHS = (TELEMETRY_PATH, LOGS_PATH)
_STRUCTURED = (Schema.STRUCTURED, Schema.NEWEST)
_EXITED = {"status": "failure", "errorType": "Runtime.ExitError"}


class _Running:
    """An event that the function has."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.head = head
        self.began = time.monotonic()
        self.answered: float | None = None
        """When the first part of its answer came."""
        self.produced = 0
        """Bytes of the parts that have come."""

    def spans(self, now: float) -> list[dict[str, Any]]:
        """How long its answer took to begin, and to end."""
        answered = self.answered or now
        return [
            _span("responseLatency", self.began, answered, now),
            _span("responseDuration", answered, now, now),
        ]


class Telemetry:
    """Makes events and hands them to the subscribers."""

    def __init__(self, environment: Mapping[str, str], began: float) -> None:
        """`began` is the reading of the monotonic clock when initialisation began."""
        self._environment = environment
        self._began = began
        self._initialisation = {
            "initializationType": environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            "phase": "init",
        }
        self._subscribers: dict[str, Subscriber] = {}
        self._early: list[tuple[str, Any]] | None = []
        """What has happened before those who want to know it could say so; `None` after initialisation."""
        self._pipes: dict[int, _Pipe] = {}
        self._running: dict[str, _Running] = {}
        """By request id."""
        self._writes_json = environment.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        self._init_ms = 0.0

    def subscribe(self, request: Request, extension: Extension | Response) -> Response:
        """Answer a subscription."""
        if isinstance(extension, Response):
            return extension
        if self._early is None:
            return failure(403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")
        is_logs = request.path.startswith(LOGS_PATH)
        try:
            wish = read(request.body or b"", is_logs=is_logs)
        except Invalid as problems:
            return failure(400, "ValidationError", str(problems))
        former = self._subscribers.get(extension.name)
        if former is not None:
            if former.wish.schema.is_logs is not is_logs:
                return failure(400, "ValidationError", "the extension has subscribed by the other of the two APIs")
            former.close()
        subscriber = self._subscribers[extension.name] = Subscriber(wish)
        if "platform" in wish.kinds:
            for kind, record in self._early:
                if (name := wish.schema.name_of(kind)) is not None:
                    subscriber.take(encode(name, record))
        types = sorted(wish.kinds)
        self._tell("platform.telemetrySubscription", {"name": extension.name, "state": "Subscribed", "types": types})
        named = ", ".join(kind.capitalize() for kind in types)
        _note(f"{'LOGS' if is_logs else 'TELEMETRY'}\tName: {extension.name}\tState: Subscribed\tTypes: [{named}]")
        return json_response(200, "OK")

    def extensions_ready(self, extensions: Iterable[Extension], error: str | None = None) -> None:
        """They have all asked for their first event; or one has failed with that type of error."""
        for one in extensions:
            events = sorted(map(str, one.events))
            told = {"name": one.name, "state": str(one.state), "events": events}
            self._tell("platform.extension", told if error is None else {**told, "errorType": error})
            line = f"EXTENSION\tName: {one.name}\tState: {one.state}\tEvents: [{','.join(events)}]"
            _note(line if error is None else f"{line}\tError Type: {error}")

    def capture(self, kind: str) -> int:
        """A descriptor to print to. What is written there goes to our own output, and to who wants `kind`."""
        pipe = _Pipe(kind, self)
        self._pipes[pipe.read_end] = pipe
        asyncio.get_running_loop().add_reader(pipe.read_end, pipe.drain)
        return pipe.write_end

    def drain(self) -> None:
        """Take in what has been printed by now."""
        for pipe in self._pipes.values():
            pipe.drain()

    def printed(self, kind: str, line: str) -> None:
        """A line of output."""
        if not self._subscribers:
            return
        self._tell(kind, line, _json_object(line) if self._writes_json and kind == "function" else None)

    def init_started(self) -> None:
        """The function's program is about to be started."""
        function = {name: self._environment.get(f"AWS_LAMBDA_{name.upper()}", "")
                    for name in ("function_name", "function_version")}  # fmt: skip
        named = {"functionName": function["function_name"], "functionVersion": function["function_version"]}
        self._tell("platform.initStart", {**self._initialisation, **named})

    def init_done(self, error: str | None) -> None:
        """The program waits for its first event, or has reported an error."""
        self._init_ms = (time.monotonic() - self._began) * 1000
        status = {"status": "success"} if error is None else {"status": "error", "errorType": error}
        self._tell("platform.initRuntimeDone", {**self._initialisation, **status})
        metrics = {"durationMs": round(self._init_ms, 3)}
        self._tell("platform.initReport", {**self._initialisation, **status, "metrics": metrics})
        self._early = None

    def started(self, head: Mapping[str, Any]) -> None:
        """An event goes to the function."""
        if not self._subscribers:
            return
        self._running[head["request_id"]] = _Running(head)
        version = self._environment.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self._tell("platform.start", {"requestId": head["request_id"], "version": version, **_tracing(head)})

    def answering(self, request_id: str, part: int) -> None:
        """A part of an answer has come, of that many bytes."""
        if (running := self._running.get(request_id)) is not None:
            running.answered = running.answered or time.monotonic()
            running.produced += part

    def done(self, outcome: Outcome) -> None:
        """It has been answered."""
        status = {"status": "success"} if outcome.error is None else {"status": "error", "errorType": outcome.error}
        self._ended(outcome.invocation.request_id, status, len(outcome.body))

    def cut_off(self, reason: str) -> None:
        """The environment ends before the function has answered."""
        status = {"status": "timeout"} if reason == "TIMEOUT" else _EXITED
        if self._early is not None:
            self.init_done("Runtime.ExitError")
        for request_id in list(self._running):
            self._ended(request_id, status, 0)

    def _ended(self, request_id: str, status: Mapping[str, str], rest: int) -> None:
        """`rest` is how many bytes of the answer came at its end."""
        running = self._running.pop(request_id, None)
        if running is None:
            return
        now = time.monotonic()
        duration = (now - running.began) * 1000
        common = {"requestId": request_id, **status, **_tracing(running.head)}
        self._tell(
            "platform.runtimeDone",
            {
                **common,
                "spans": running.spans(now),
                "metrics": {"durationMs": round(duration, 3), "producedBytes": running.produced + rest},
            },
        )
        metrics = {
            "durationMs": round(duration, 3),
            "billedDurationMs": math.ceil(duration + self._init_ms),
            "memorySizeMB": int(self._environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")),
            "maxMemoryUsedMB": _peak_mb(),
        }
        if self._init_ms:
            metrics["initDurationMs"] = round(self._init_ms, 3)
        self._init_ms = 0.0
        self._tell("platform.end", {"requestId": request_id})
        self._tell("platform.report", {**common, "metrics": metrics})

    async def flush(self) -> None:
        """Send all there is."""
        self.drain()
        await asyncio.gather(*(subscriber.flush() for subscriber in self._subscribers.values()))

    def _tell(self, kind: str, record: Any, structured: Any = None) -> None:
        """Hand an event to who wants it. `structured` is the same record as an object, for those who know such."""
        family = kind.partition(".")[0]
        if self._early is not None and family == "platform":
            self._early.append((kind, record))
        rendered: dict[Schema, bytes] = {}
        for subscriber in self._subscribers.values():
            schema = subscriber.wish.schema
            name = schema.name_of(kind)
            if family not in subscriber.wish.kinds or name is None:
                continue
            if schema not in rendered:
                as_object = structured is not None and schema in _STRUCTURED
                rendered[schema] = encode(name, structured if as_object else record)
            subscriber.take(rendered[schema])


class _Pipe:
    """Where programs print to, when somebody wants to read along."""

    def __init__(self, kind: str, telemetry: Telemetry) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self._kind = kind
        self._telemetry = telemetry
        self._rest = b""

    def drain(self) -> None:
        """Pass on what is there."""
        while True:
            try:
                data = os.read(self.read_end, 65536)
            except BlockingIOError:
                return
            if not data:
                return
            write_whole(1, data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._telemetry.printed(self._kind, line.decode(errors="replace"))


def write_whole(file: int, data: bytes) -> None:
    """All of it, however little a write takes."""
    while data:
        data = data[os.write(file, data) :]


def _note(line: str) -> None:
    """A line of the platform's own in the function's log."""
    write_whole(1, f"{line}\n".encode())


def _json_object(line: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _span(name: str, start: float, end: float, now: float) -> dict[str, Any]:
    """Readings of the monotonic clock, the last of them of this moment, as subscribers are told."""
    at = datetime.now(UTC) - timedelta(seconds=now - start)
    started = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"name": name, "start": started, "durationMs": round((end - start) * 1000, 3)}


def _tracing(head: Mapping[str, Any]) -> dict[str, Any]:
    return {"tracing": {"type": "X-Amzn-Trace-Id", "value": head["trace_id"]}}


def _peak_mb() -> int:
    """The most that each process in here has used, added up: what can be seen from inside."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        except OSError:
            continue  # it has just ended
    return -(-total // 1024)
