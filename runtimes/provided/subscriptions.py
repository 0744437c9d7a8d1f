"""What extensions wish to be told by the Telemetry API, and how it gets to them.

Names, bounds and defaults are those of the AWS Lambda developer guide, "Lambda Telemetry API reference" and "Accessing
real-time telemetry data for extensions"; for the older Logs API, those of its own page.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h11

KINDS = ("platform", "function", "extension")
MOST_EVENTS, MOST_BYTES = 20_000, 2_097_152
"""What a subscriber can be behind, twice of what it may have in a batch; what comes then is dropped, which is told."""
RESERVED_PORT = 9001
_HOSTS = ("sandbox.localdomain", "sandbox", "localhost", "127.0.0.1")
_DELIVERY_TIMEOUT_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
"""Between a delivery that has failed and the next attempt; doubled each time."""
_BEHIND = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
_LOGS_NAMES = {"platform.telemetrySubscription": "platform.logsSubscription"}
_NOT_IN_LOGS = ("platform.initStart", "platform.initRuntimeDone", "platform.initReport")


class Schema(Enum):
    """In which form a subscriber wants events."""

    TEXT = "2022-07-01"
    STRUCTURED = "2022-12-13"
    """Records that the function has written as JSON are objects."""
    NEWEST = "2025-01-29"
    LOGS = "2020-08-15"
    """The Logs API's."""
    LOGS_DONE = "2021-03-18"
    """The same, with `platform.runtimeDone`."""

    @property
    def is_logs(self) -> bool:
        """Whether it belongs to the Logs API."""
        return self in (Schema.LOGS, Schema.LOGS_DONE)

    def name_of(self, kind: str) -> str | None:
        """What a type of event is called in it; `None` when it has none such."""
        if not self.is_logs:
            return None if kind == "platform.end" else kind
        if kind in _NOT_IN_LOGS or (kind == "platform.runtimeDone" and self is Schema.LOGS):
            return None
        return _LOGS_NAMES.get(kind, kind)


class Invalid(Exception):
    """A subscription that breaks rules; its text names all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))


class Buffering(NamedTuple):
    """When a batch is sent."""

    maxItems: int = 10_000
    maxBytes: int = 262_144
    timeoutMs: int = 1_000


_BOUNDS = {"maxItems": (1_000, 10_000), "maxBytes": (262_144, 1_048_576), "timeoutMs": (25, 30_000)}


@dataclass(frozen=True)
class Wish:
    """A subscription that keeps to the rules."""

    kinds: frozenset[str]
    schema: Schema
    protocol: str
    port: int
    path: str
    buffering: Buffering


def read(body: bytes, *, is_logs: bool) -> Wish:
    """A subscription as it was sent. Raises `Invalid`."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise Invalid([f"the body is no JSON: {error}"]) from error
    if not isinstance(asked, dict):
        raise Invalid(["the body must be a JSON object"])
    problems: list[str] = []
    schema = _schema(asked.get("schemaVersion"), problems, is_logs=is_logs)
    destination = asked.get("destination")
    if not isinstance(destination, dict):
        problems.append("destination is not provided")
        destination = {"protocol": "HTTP", "URI": "http://sandbox:1"}
    protocol, port, path = _destination(destination, problems)
    types = asked.get("types")
    if not isinstance(types, list) or not types:
        problems.append("types should not be empty")
        types = []
    problems += [f"type {kind!r} is none of {', '.join(KINDS)}" for kind in types if kind not in KINDS]
    buffering = _buffering(asked.get("buffering"), problems)
    if problems:
        raise Invalid(problems)
    return Wish(frozenset(types), schema, protocol, port, path, buffering)


def _schema(given: Any, problems: list[str], *, is_logs: bool) -> Schema:
    if given is None and is_logs:
        return Schema.LOGS
    valid = [schema for schema in Schema if schema.is_logs is is_logs]
    found = next((schema for schema in valid if schema.value == given), None)
    if found is None:
        problems.append(f"schemaVersion {given!r} is none of {', '.join(schema.value for schema in valid)}")
    return found or valid[0]


def _destination(given: Mapping[str, Any], problems: list[str]) -> tuple[str, int, str]:
    """Protocol, port and path."""
    protocol = given.get("protocol")
    if protocol not in ("HTTP", "TCP"):
        problems.append(f"protocol {protocol!r} is none of HTTP, TCP")
    uri = given.get("URI") or given.get("uri")
    if protocol == "TCP" and uri is None and isinstance(given.get("port"), int):
        return "TCP", _port(given["port"], problems), ""
    if not isinstance(uri, str):
        problems.append("URI is not provided")
        return "HTTP", 0, "/"
    try:
        parts = urlsplit(uri)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        problems.append(f"URI {uri!r}: {error}")
        return "HTTP", 0, "/"
    if protocol == "HTTP" and parts.scheme != "http":
        problems.append("URI scheme must be http")
    if host not in _HOSTS:
        problems.append(f"URI host must be {_HOSTS[0]}: telemetry does not leave the environment")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return str(protocol), _port(port, problems), path


def _port(port: int | None, problems: list[str]) -> int:
    if port is None:
        problems.append("URI port is not provided")
    elif not 0 < port < 65536 or port == RESERVED_PORT:
        problems.append(f"port {port} cannot be used")
    return port or 0


def _buffering(given: Any, problems: list[str]) -> Buffering:
    if given is None:
        return Buffering()
    if not isinstance(given, dict):
        problems.append("buffering must be an object")
        return Buffering()
    told = {name: given[name] for name in _BOUNDS if given.get(name) is not None}
    chosen = {**Buffering()._asdict(), **told}
    for name, (least, most) in _BOUNDS.items():
        if type(chosen[name]) is not int or not least <= chosen[name] <= most:
            problems.append(f"{name} must be between {least} and {most}")
    return Buffering(**chosen)


def encode(kind: str, record: Any) -> bytes:
    """An event as subscribers get it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "type": kind, "record": record}).encode()


class Subscriber:
    """One extension's subscription, with what it has not taken yet."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self._events: deque[bytes] = deque()
        self._size = 0
        self._dropped: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = 0.0
        """Before the next attempt, where the last one failed."""
        self._turn = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        """Where events go one a line, for those who want them by TCP."""
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: bytes) -> None:
        """An event for it."""
        if len(self._events) >= MOST_EVENTS or self._size + len(event) > MOST_BYTES:
            self._dropped.append(len(event))
            return
        self._events.append(event)
        self._size += len(event)
        items, size, timeout_ms = self.wish.buffering
        if not self._pause_s and (len(self._events) >= items or self._size >= size):
            self._send_soon()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, self._send_soon)

    def _send_soon(self) -> None:
        task = asyncio.create_task(self.flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Send nothing more."""
        for task in self._tasks:
            task.cancel()
        for held in (self._timer, self._writer):
            if isinstance(held, asyncio.TimerHandle):
                held.cancel()
            elif held is not None:
                held.close()

    async def flush(self) -> None:
        """Send what there is. What is not taken is kept for another attempt."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._turn:
            if not self._events:
                return
            count = len(self._events)
            try:
                async with asyncio.timeout(_DELIVERY_TIMEOUT_S):
                    await self._deliver([self._events[index] for index in range(count)])
            except (OSError, TimeoutError, EOFError, h11.RemoteProtocolError):
                self._try_later()
                return
            self._pause_s = 0.0
            self._size -= sum(len(self._events.popleft()) for _ in range(count))
        if self._dropped:
            lost = {"droppedBytes": sum(self._dropped), "droppedRecords": len(self._dropped), "reason": _BEHIND}
            self._dropped = []
            self.take(encode("platform.logsDropped", lost))

    def _try_later(self) -> None:
        self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._send_soon)

    async def _deliver(self, batch: list[bytes]) -> None:
        """Whatever name the destination has, it is in here with us. Raises when it does not take the events."""
        if self.wish.protocol == "HTTP":
            await self._post(b"[" + b",".join(batch) + b"]")
            return
        if self._writer is None or self._writer.is_closing():
            _, self._writer = await asyncio.open_connection("127.0.0.1", self.wish.port)
        try:
            self._writer.write(b"".join(event + b"\n" for event in batch))
            await self._writer.drain()
        except BaseException:
            self._writer.close()
            raise

    async def _post(self, body: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.wish.port)
        try:
            http = h11.Connection(h11.CLIENT)
            headers = [("Host", _HOSTS[0]), ("Content-Type", "application/json"), ("Connection", "close")]
            headers.append(("Content-Length", str(len(body))))
            writer.write(http.send(h11.Request(method="POST", target=self.wish.path, headers=headers)) or b"")
            writer.write((http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b""))
            while not isinstance(event := http.next_event(), (h11.Response, h11.ConnectionClosed)):
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(65536))
            if not isinstance(event, h11.Response) or event.status_code >= 300:
                raise EOFError("the events were not taken")
        finally:
            writer.close()
