"""The Lambda Telemetry API: what extensions are told of the platform's doings and of what the function prints.

Described in the AWS Lambda developer guide, "Accessing real-time telemetry data for extensions using the Telemetry
API", and in its "Event schema reference". The older Logs API takes the same subscriptions.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11

from .extensions import Extension
from .runtime import Outcome
from .server import Request, Response, failure, json_response

PATHS = ("/2022-07-01/telemetry", "/2020-08-15/logs")
KINDS = frozenset({"platform", "function", "extension"})
MOST_EVENTS, MOST_BYTES = 10_000, 1_048_576
"""What a subscriber can be behind, at most; what comes then is dropped, and that is told."""
_DELIVERY_TIMEOUT_S = 1.0


class Buffering(NamedTuple):
    """When a batch is sent; the defaults and bounds are AWS's."""

    items: int = 10_000
    size: int = 262_144
    timeout_ms: int = 1_000


class Subscriber:
    """One extension's subscription."""

    def __init__(self, kinds: frozenset[str], destination: str, buffering: Buffering) -> None:
        self.kinds = kinds
        parts = urlsplit(destination)
        self._port, self._path = parts.port or 80, parts.path or "/"
        self._buffering = buffering
        self._events: deque[bytes] = deque()
        self._size = 0
        self._dropped: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: bytes) -> None:
        """An event for it."""
        if len(self._events) >= MOST_EVENTS or self._size + len(event) > MOST_BYTES:
            self._dropped.append(len(event))
            return
        self._events.append(event)
        self._size += len(event)
        if len(self._events) >= self._buffering.items or self._size >= self._buffering.size:
            self._send_soon()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._buffering.timeout_ms / 1000, self._send_soon)

    def _send_soon(self) -> None:
        task = asyncio.create_task(self.flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Send what there is. A subscriber that does not take it loses it, and is told how much that was."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._turn:
            if not self._events:
                return
            batch = list(self._events)
            self._events.clear()
            self._size = 0
            if self._dropped:
                lost = {"droppedBytes": sum(self._dropped), "droppedRecords": len(self._dropped)}
                batch.append(encode("platform.logsDropped", {**lost, "reason": "the subscriber is behind"}))
                self._dropped = []
            try:
                async with asyncio.timeout(_DELIVERY_TIMEOUT_S):
                    await self._post(b"[" + b",".join(batch) + b"]")
            except (OSError, TimeoutError, h11.RemoteProtocolError):
                self._dropped += [len(event) for event in batch]

    async def _post(self, body: bytes) -> None:
        """Whatever name the destination has (AWS gives `sandbox.localdomain`), it is in here with us."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            http = h11.Connection(h11.CLIENT)
            headers = [("Host", "sandbox.localdomain"), ("Content-Type", "application/json"), ("Connection", "close")]
            headers.append(("Content-Length", str(len(body))))
            writer.write(http.send(h11.Request(method="POST", target=self._path, headers=headers)) or b"")
            writer.write((http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b""))
            while not isinstance(event := http.next_event(), (h11.Response, h11.ConnectionClosed)):
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(65536))
        finally:
            writer.close()


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
        self._early: list[bytes] | None = []
        """What has happened before those who want to know it could say so; `None` after initialisation."""
        self._pipes: dict[int, _Pipe] = {}
        self._running: dict[str, tuple[Mapping[str, Any], float]] = {}
        """Request id → the event's head, and when it began."""
        self._init_ms = 0.0

    def subscribe(self, request: Request, extension: Extension | Response) -> Response:
        """Answer a subscription."""
        if isinstance(extension, Response):
            return extension
        if self._early is None:
            return failure(403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")
        try:
            asked = json.loads(request.body or b"")
            kinds = frozenset(asked["types"])
            destination = asked["destination"]
            if not kinds or kinds - KINDS or destination["protocol"] != "HTTP":
                raise ValueError("types must be platform, function or extension, and the protocol HTTP")
            given = asked.get("buffering") or {}
            names = ("maxItems", "maxBytes", "timeoutMs")
            buffering = Buffering(*(given.get(name, usual) for name, usual in zip(names, Buffering(), strict=True)))
            subscriber = Subscriber(kinds, destination.get("URI") or destination["uri"], buffering)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return failure(400, "ValidationError", f"the subscription cannot be read: {error}")
        self._subscribers[extension.name] = subscriber
        if "platform" in kinds:
            for event in self._early:
                subscriber.take(event)
        told = {"name": extension.name, "state": "Subscribed", "types": sorted(kinds)}
        self._tell("platform.telemetrySubscription", told)
        return json_response(200, "OK")

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
        self._tell(kind, line)

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
        self._running[head["request_id"]] = head, time.monotonic()
        version = self._environment.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self._tell("platform.start", {"requestId": head["request_id"], "version": version, **_tracing(head)})

    def done(self, outcome: Outcome) -> None:
        """It has been answered."""
        head, began = self._running.pop(outcome.invocation.request_id, (None, 0.0))
        if head is None:
            return
        duration = (time.monotonic() - began) * 1000
        status: dict[str, Any] = {"status": "success"}
        if outcome.error is not None:
            status = {"status": "error", "errorType": outcome.error}
        common = {"requestId": head["request_id"], **status, **_tracing(head)}
        produced = {"durationMs": round(duration, 3), "producedBytes": len(outcome.body)}
        self._tell("platform.runtimeDone", {**common, "metrics": produced})
        metrics = {
            "durationMs": round(duration, 3),
            "billedDurationMs": math.ceil(duration + self._init_ms),
            "memorySizeMB": int(self._environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")),
            "maxMemoryUsedMB": _peak_mb(),
        }
        if self._init_ms:
            metrics["initDurationMs"] = round(self._init_ms, 3)
        self._init_ms = 0.0
        self._tell("platform.report", {**common, "metrics": metrics})

    async def flush(self) -> None:
        """Send all there is."""
        self.drain()
        await asyncio.gather(*(subscriber.flush() for subscriber in self._subscribers.values()))

    def _tell(self, kind: str, record: Any) -> None:
        family = kind.partition(".")[0]
        wanted = [one for one in self._subscribers.values() if family in one.kinds]
        is_early = self._early is not None and family == "platform"
        if not wanted and not is_early:
            return
        event = encode(kind, record)
        if self._early is not None and is_early:
            self._early.append(event)
        for subscriber in wanted:
            subscriber.take(event)


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


def encode(kind: str, record: Any) -> bytes:
    """An event as subscribers get it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "type": kind, "record": record}).encode()


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
