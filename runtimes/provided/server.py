"""HTTP/1.1 for the programs inside an environment: many connections, one request at a time on each, no timeouts.

A long poll is an answer that takes its time: it is cancelled when its connection is lost, and never otherwise. What is
on the wire is h11's business, chunked bodies and trailers included.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, cast

import h11

from .printing import process_at


class Peer:
    """The process at the other end of a connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_known = False
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Looked for once; `None` if it cannot be seen."""
        if not self._is_known:
            self._pid, self._is_known = process_at(self._port), True
        return self._pid


class Request(NamedTuple):
    """One whole request."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes | None
    """`None` when there is more of it than the server takes."""
    peer: Peer


class Response(NamedTuple):
    """One whole answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Awaitable[Response]]


class Flow(Protocol):
    """The connection a body comes from."""

    def hold(self, *, paused: bool) -> None:
        """Have it wait, or go on."""
        ...


class Sink(Protocol):
    """Takes a body as it arrives."""

    def feed(self, part: bytes) -> None:
        """More of it."""
        ...

    def end(self, trailers: Mapping[str, str]) -> Response:
        """That was all; the answer to it."""
        ...

    def lost(self) -> None:
        """There will be no more, though there should be."""
        ...


FindSink = Callable[[Request, Flow], Sink | None]
"""Who takes the body of a request whose head is here (its body is `None`), if not the usual way."""


def json_response(status: int, value: Any, *headers: tuple[str, str]) -> Response:
    """A value as JSON."""
    return Response(status, json.dumps(value, separators=(",", ":")).encode(), (*headers, JSON))


def failure(status: int, error_type: str, message: str) -> Response:
    """What all of Lambda's APIs inside environments say when they refuse something."""
    return json_response(status, {"errorMessage": message, "errorType": error_type})


JSON = ("Content-Type", "application/json")
ACCEPTED = json_response(202, {"status": "OK"})


class HttpConnection(asyncio.Protocol):
    """One connection of a program."""

    def __init__(self, answer: Answer, max_body: int, find_sink: FindSink) -> None:
        """Of bodies over `max_body` bytes nothing is kept."""
        self._answer = answer
        self._max_body = max_body
        self._find_sink = find_sink
        self._sink: Sink | None = None
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport
        self._peer: Peer
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._size = 0
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._peer = Peer(transport.get_extra_info("peername")[1])

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio."""
        if self._answering is not None:
            self._answering.cancel()
        self._lose_sink()

    def hold(self, *, paused: bool) -> None:
        """See `Flow`."""
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _lose_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.lost()

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        self._http.receive_data(data)
        self._read()

    def eof_received(self) -> bool:
        """From asyncio: a program may close its half once it has asked."""
        self._http.receive_data(b"")
        self._read()
        return self._answering is not None

    def _read(self) -> None:
        try:
            while self._answering is None and not self._take(self._http.next_event()):
                continue
        except h11.RemoteProtocolError as error:
            self._lose_sink()
            self._send(failure(error.error_status_hint, "InvalidRequest", str(error)))
            self._transport.close()

    def _take(self, event: Any) -> bool:
        """Whether there is nothing more to be read for now."""
        if isinstance(event, h11.Request):
            self._head, self._size = event, 0
            self._body.clear()
            self._sink = self._find_sink(self._request()._replace(body=None), self)
        elif isinstance(event, h11.Data):
            self._size += len(event.data)
            if self._sink is not None:
                self._sink.feed(bytes(event.data))
            elif self._size <= self._max_body:
                self._body += event.data
        elif isinstance(event, h11.EndOfMessage) and self._sink is not None:
            sink, self._sink = self._sink, None
            self._finish(sink.end(_named(event.headers)))
        elif isinstance(event, h11.EndOfMessage):
            self._answering = asyncio.create_task(self._respond(self._request()))
        elif isinstance(event, h11.ConnectionClosed):
            self._transport.close()
            return True
        else:
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            return True
        return False

    def _request(self) -> Request:
        head = self._head
        assert head is not None, "a message ends after it has begun"
        return Request(
            method=head.method.decode("latin-1"),
            path=head.target.decode("latin-1").partition("?")[0],
            headers=_named(head.headers),
            body=bytes(self._body) if self._size <= self._max_body else None,
            peer=self._peer,
        )

    async def _respond(self, request: Request) -> None:
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - a fault of ours: who asked is not left to wait for ever
            sys.stderr.write(f"{request.method} {request.path} failed: {error!r}\n")
            response = failure(500, "InternalServerError", "Internal server error")
        self._answering = None
        self._finish(response)
        self._read()

    def _finish(self, response: Response) -> None:
        self._send(response)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._transport.close()

    def _send(self, response: Response) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [*response.headers, ("Date", formatdate(usegmt=True)), ("Content-Length", str(len(response.body)))]
        self._write(
            h11.Response(status_code=response.status, headers=headers, reason=HTTPStatus(response.status).phrase)
        )
        self._write(h11.Data(data=response.body))
        self._write(h11.EndOfMessage())

    def _write(self, event: Any) -> None:
        if data := self._http.send(event):
            self._transport.write(data)


def _named(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
