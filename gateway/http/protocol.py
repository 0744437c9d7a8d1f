"""uvicorn's HTTP protocol, with a bound on the size of a request's head and a short way for calls to functions.

uvicorn starts an ASGI task as soon as a request's head is complete. Here a request is held until its body is complete,
too, which for nearly all calls is before the read that brought the head has been dealt with, and then offered to
`HotPath.begin`. Its answer leaves in one write. What `begin` declines, and every request whose body takes more than
one read, is uvicorn's again.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, cast

from starlette.types import Receive, Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.http.asgi import HANG_UP, Request, framed
from gateway.http.hot import HotPath, cut_off
from gateway.http.rendering import Response
from gateway.http.without_chunks import reset_at_end, without_chunks

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together. AWS's limits are 10,240 bytes of headers and 8 KB of path."""
_JOINED_BYTES: Final = 64 * 1024
"""Up to here copying a body behind its head is cheaper than a second write."""


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        app: object = self.app
        self._hot = app if isinstance(app, HotPath) else None
        self._head_bytes = 0
        self._in_head = False
        self._head_is_new = False
        self._held: RequestResponseCycle | None = None
        """The request whose body is still being parsed."""
        self._served: tuple[RequestResponseCycle, Request] | None = None
        """The request that `HotPath.begin` has taken and not answered yet."""
        self._rests_since: float | None = None
        """When the last request was answered, on the event loop's clock; `None` once another one comes."""

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        self._in_head = False
        self._head_is_new = True
        super().on_headers_complete()
        self._head_is_new = False

    def on_message_complete(self) -> None:
        """httptools: the body is complete."""
        super().on_message_complete()
        if self._held is not None:
            cycle, self._held = self._held, None
            self._begin(cycle)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived. What came with the end of a head is not counted, it may be body."""
        super().data_received(data)
        if self._held is not None:
            cycle, self._held = self._held, None
            self._go_through_asgi(cycle)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._in_head = False
                self.send_400_response(f"Request head is larger than {MAX_HEAD_BYTES} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    # One timer for all pauses of a connection: one for each would cost as much as parsing the request after it.

    def on_response_complete(self) -> None:
        """uvicorn: an answer has left."""
        if self.timeout_keep_alive_task is None or self.pipeline or self.transport.is_closing():
            rests = not self.pipeline
            super().on_response_complete()
        else:
            rests = True
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        self._rests_since = self.loop.time() if rests else None

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn: something has arrived."""
        self._rests_since = None

    def timeout_keep_alive_handler(self) -> None:
        """The timer: the connection may have rested for as long as it may."""
        self.timeout_keep_alive_task = None
        if self._rests_since is None:
            return  # the end of the request that is being served sets it anew
        left_s = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def cut_off(self) -> None:
        """Answer what is being served at once: the server has no time left."""
        if self._served is not None:
            cycle, request = self._served
            self._reply(cycle, request, cut_off(request))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """uvicorn: serve a request, whose head is complete, or which waited for the answers to those before it."""
        if app is self.app and self._head_is_new and not cycle.waiting_for_100_continue:
            self._held = cycle
        elif app is self.app and not cycle.more_body:
            self.loop.call_soon(self._begin, cycle)  # not now: many of them would be as many calls deep
        else:
            self._go_through_asgi(cycle, app)

    def _go_through_asgi(self, cycle: RequestResponseCycle, app: ASGI3Application | None = None) -> None:
        cast("Scope", cycle.scope)["extensions"] = {HANG_UP: partial(self._hang_up, cycle)}
        app = app or self.app
        super()._start_asgi_task(cycle, without_chunks(app, cycle) if _is_old(cycle) else app)

    def _hang_up(self, cycle: RequestResponseCycle) -> None:
        cycle.response_complete = True
        if _is_old(cycle):
            reset_at_end(self.transport)  # an orderly end would be the answer's
        self.transport.close()

    def _begin(self, cycle: RequestResponseCycle) -> None:
        if cycle.disconnected:
            return
        # A client that does not read its answers waits in ASGI, where sending can wait.
        if self._hot is not None and not self.flow.write_paused:
            scope, receive = cast("tuple[Scope, Receive]", (cycle.scope, cycle.receive))
            request = Request(scope, receive)
            self._served = cycle, request
            if self._hot.begin(request, bytes(cycle.body), lambda response: self._reply(cycle, request, response)):
                return
            self._served = None
        self._go_through_asgi(cycle)

    def _reply(self, cycle: RequestResponseCycle, request: Request, response: Response) -> None:
        if cycle.response_complete:
            return
        self._served = None
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        headers, body = framed(request, response)
        parts = [STATUS_LINE[response.status]]
        for name, value in (*cycle.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        closes = request.close or not cycle.keep_alive
        parts.append(b"\r\n" if not closes or request.close else b"connection: close\r\n\r\n")
        if len(body) <= _JOINED_BYTES:
            parts.append(body)
            self.transport.write(b"".join(parts))
        else:
            self.transport.writelines((b"".join(parts), body))
        if closes:
            self.transport.close()
        self.on_response_complete()


def _is_old(cycle: RequestResponseCycle) -> bool:
    return cycle.scope["http_version"] == "1.0"
