"""HTTP calls with a stopwatch, over sockets: one, many in the same moment, and a steady stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.signing import signature
from benchmarks.wrk import CannotMeasure
from samovar.access.sigv4 import Credentials

CALL_TIMEOUT_S = 90.0
_TICK_S = 0.001


class Call(NamedTuple):
    """What to ask."""

    url: str
    body: bytes | None = None
    """Sent as JSON with POST; without one, the method is GET."""
    key: Credentials | None = None
    """What to sign a POST with."""

    def encode(self) -> bytes:
        """The request as it is sent."""
        parts = urlsplit(self.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"{'GET' if self.body is None else 'POST'} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        if self.body is None:
            return f"{head}\r\n".encode()
        signed = signature(self.url, self.body, self.key) if self.key is not None else {}
        head += "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n".encode() + self.body

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80


class Reply(NamedTuple):
    """What came of a call. Seconds are counted from the moment before it was sent, or should have been."""

    status: int
    first_byte_s: float
    whole_s: float
    request_id: str
    size: int


class Crowd(NamedTuple):
    """What came of many calls."""

    replies: list[Reply]
    wall_s: float
    """From the first byte sent to the last one received."""

    def expect(self, *statuses: int) -> Crowd:
        """Itself. Raises `CannotMeasure` when an answer has any other status."""
        wrong = [reply.status for reply in self.replies if reply.status not in statuses]
        if wrong:
            raise CannotMeasure(f"{len(wrong)} of {len(self.replies)} calls were answered with status {wrong[0]}")
        return self


def one(call: Call) -> Reply:
    """One call, on a connection that was opened before. Raises `CannotMeasure` unless it answers 200."""
    return at_once([call]).expect(200).replies[0]


def at_once(calls: Sequence[Call]) -> Crowd:
    """So many calls in the same moment, each on a connection of its own that was opened before."""
    return uvloop.run(crowd(calls))


async def crowd(calls: Sequence[Call]) -> Crowd:
    """As `at_once`, inside an event loop."""
    async with asyncio.timeout(CALL_TIMEOUT_S):
        streams = [await asyncio.open_connection(*call.address) for call in calls]
        try:
            began = time.perf_counter()
            exchanges = (
                _exchange(call.encode(), reader, writer, began)
                for call, (reader, writer) in zip(calls, streams, strict=True)
            )
            replies = await asyncio.gather(*exchanges)
            return Crowd(replies, time.perf_counter() - began)
        finally:
            for _, writer in streams:
                writer.close()


async def _exchange(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, began: float) -> Reply:
    writer.write(request)
    first = await reader.read(1)
    first_byte_s = time.perf_counter() - began
    head = first + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    whole_s = time.perf_counter() - began
    return Reply(int(lines[0].split()[1]), first_byte_s, whole_s, fields.get("x-amzn-requestid", ""), len(body))


async def one_by_one(call: Call, until: asyncio.Event) -> list[float]:
    """Seconds of each of a stream of calls on one connection, one after the other, until told to stop."""
    reader, writer = await asyncio.open_connection(*call.address)
    request, seconds = call.encode(), []
    try:
        while not until.is_set():
            reply = await _exchange(request, reader, writer, time.perf_counter())
            if reply.status != 200:
                raise CannotMeasure(f"{call.url} answered {reply.status}")
            seconds.append(reply.whole_s)
    finally:
        writer.close()
    return seconds


def steady(call: Call, *, rate: float, seconds: float, connections: int = 32) -> list[float]:
    """Latencies (s) of calls sent at a fixed rate, whatever the answers do: an open loop.

    Each is counted from the moment it was due, so that a stall delays all the calls it would have delayed
    (wrk's closed loop would leave them out). Raises `CannotMeasure` when an answer is not 200.
    """
    return uvloop.run(_Stream(call, rate, seconds).run(connections))


class _Stream:
    """Requests that fall due by the clock, on whichever connection is free."""

    def __init__(self, call: Call, rate: float, seconds: float) -> None:
        self._call, self._request = call, call.encode()
        self._rate, self._total = rate, int(rate * seconds)
        self._due: deque[float] = deque()
        self._free: list[_Connection] = []
        self.seconds: list[float] = []
        self.failure = ""

    async def run(self, connections: int) -> list[float]:
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(lambda: _Connection(self), *self._call.address) for _ in range(connections)
        ]
        self._free = [connection for _, connection in opened]
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                began, sent = time.perf_counter(), 0
                while len(self.seconds) < self._total and not self.failure:
                    while sent < self._total and began + sent / self._rate <= time.perf_counter():
                        self._due.append(began + sent / self._rate)
                        sent += 1
                    self._send()
                    await asyncio.sleep(_TICK_S)
        finally:
            for transport, _ in opened:
                transport.close()
        if self.failure:
            raise CannotMeasure(f"{self._call.url}: {self.failure}")
        return self.seconds

    def answered(self, connection: _Connection) -> None:
        """A connection is free again."""
        self.seconds.append(time.perf_counter() - connection.due)
        self._free.append(connection)
        self._send()

    def _send(self) -> None:
        while self._due and self._free:
            self._free.pop().ask(self._request, self._due.popleft())


class _Connection(asyncio.Protocol):
    """One request at a time. It reads no more of an answer than where it ends."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not say that they are one

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the peer is gone."""
        if self._buffer or exc:
            self._stream.failure = f"a connection broke: {exc}"

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was due at `due`."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._stream.failure = f"an answer was {head[:40].decode('latin-1')!r}"
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._stream.answered(self)
