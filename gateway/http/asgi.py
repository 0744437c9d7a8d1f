"""The raw ASGI side of the warm path: reading a request's body within bounds, sending an answer whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.http.rendering import Headers, Response
from gateway.http.room import Room
from samovar.access.roles import AccessKey
from samovar.errors import InvalidRequestContent, RequestEntityTooLarge, RequestTooLarge
from samovar.link.wire import CHUNK_SIZE
from samovar.names import new_request_id

HANG_UP: Final = "samovar.hang_up"
"""Extension of the server's scope: a function that ends the connection."""
STALL_S: Final = 60.0
"""A client that takes nothing of an answer for so long is given up."""
BODY_DEADLINE_S: Final = 120.0
"""A body that takes longer to arrive is given up: the largest one needs about 0.5 Mbit/s."""
_DISCARDED_BYTES: Final = 64 * 1024 * 1024
"""How much of a body over the limit is read and thrown away, so that its sender gets to read the answer."""
_BODILESS: Final = frozenset({204, 304})


class ClientGone(Exception):
    """The client hung up before its request was complete; nobody is left to be answered."""


class Request:
    """One HTTP request: its head, and its body still to be received. Large bodies are received when there is `room`."""

    __slots__ = ("_body", "_held", "_receive", "_room", "caller", "close", "headers", "id", "scope")

    def __init__(self, scope: Scope, receive: Receive, room: Room | None = None) -> None:
        self._receive = receive
        self._room = room
        self._held = 0
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """The last value of each header; for headers that are given once."""
        self.id = new_request_id()
        self.close = False
        """Whether the connection can carry no further request after the answer."""
        self.caller: AccessKey | None = None
        """The key that signed the request, once that is verified."""
        self._body: bytes | None = None

    @property
    def has_ambiguous_length(self) -> bool:
        """Whether two headers say where the body ends: then a proxy in front may have believed the other one.

        RFC 9112, section 6.3: such a message may be an attempt at request smuggling.
        """
        return b"transfer-encoding" in self.headers and b"content-length" in self.headers

    async def body(self, limit: int) -> bytes:
        """The body, of at most `limit` bytes; no more than that is ever kept in memory. It is given out once.

        Raises what `look_ahead` raises.
        """
        body = await self.look_ahead(limit)
        self._body = None
        return body

    def received(self) -> bytes | None:
        """Give out the body if it has been received already."""
        body, self._body = self._body, None
        return body

    def replace(self, body: bytes) -> None:
        """Have `body` give out another one: what an encoded one stands for."""
        self._body = body

    async def look_ahead(
        self, limit: int, deadline_s: float = BODY_DEADLINE_S, operation: str = "InvokeFunction"
    ) -> bytes:
        """The body, which `body` still gives out afterwards.

        Raises `RequestTooLarge`, `InvalidRequestContent` when it does not arrive in time, `TooManyRequests` when there
        is no room for it, and `ClientGone`.
        """
        if self._body is None:
            self._body = await self._receive_body(limit, deadline_s, operation)
        if len(self._body) > limit:
            raise _too_large(limit, operation)
        return self._body

    async def _receive_body(self, limit: int, deadline_s: float, operation: str) -> bytes:
        announced = self.headers.get(b"content-length")
        if announced is None and b"transfer-encoding" not in self.headers:
            return b""
        try:
            async with asyncio.timeout(deadline_s):
                if announced is not None and int(announced) > limit:
                    await self._discard(int(announced))
                    raise _too_large(limit, operation)
                if self._room is not None and (announced is None or int(announced) > CHUNK_SIZE):
                    self._held = await self._room.take(limit if announced is None else int(announced))
                return await self._read(limit, operation)
        except TimeoutError as error:
            self.close = True
            raise InvalidRequestContent(
                f"The request body did not arrive within {deadline_s:g} s. Send it faster or make it smaller."
            ) from error

    def let_go(self) -> None:
        """Its body is not kept any more."""
        if self._room is not None and self._held:
            self._room.give(self._held)
            self._held = 0

    async def _read(self, limit: int, operation: str) -> bytes:
        body, more = await self._part()
        parts, size = [body], len(body)
        while more and size <= limit:
            part, more = await self._part()
            parts.append(part)
            size += len(part)
        if size > limit:
            parts.clear()
            if more:
                await self._discard(0)
            raise _too_large(limit, operation)
        return body if len(parts) == 1 else b"".join(parts)

    async def _discard(self, announced: int) -> None:
        """Read what is left of the body and forget it, unless the client would rather not send it, or it is vast."""
        if announced > _DISCARDED_BYTES or b"expect" in self.headers:
            self.close = True
            return
        size, more = 0, True
        while more and size <= _DISCARDED_BYTES:
            part, more = await self._part()
            size += len(part)
        self.close = more

    async def gone(self) -> None:
        """Wait until the client hangs up. Only once the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def hang_up(self) -> None:
        """End the connection in the middle of an answer, so that the client does not take it for whole."""
        hang_up = self.scope.get("extensions", {}).get(HANG_UP)
        if hang_up is not None:
            hang_up()

    async def _part(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)


async def send_parts(send: Send, request: Request, status: int, headers: Headers, parts: AsyncIterator[bytes]) -> None:
    """Send an answer as it comes. Raises what `parts` does, and `ClientGone` when the client takes nothing for long."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    bodiless = status in _BODILESS or request.scope["method"] == "HEAD"
    async for part in parts:
        if part and not bodiless:
            try:
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            except TimeoutError as error:
                raise ClientGone from error
    await send({"type": "http.response.body", "body": b""})


async def send_response(send: Send, request: Request, response: Response) -> None:
    """Send an answer whole."""
    headers, body = framed(request, response)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def framed(request: Request, response: Response) -> tuple[Headers, bytes]:
    """Headers and body of an answer, as they are to be sent.

    HEAD gets the headers GET would get, and no body (RFC 9110, section 9.3.2).
    """
    headers = list(response.headers)
    body = response.body
    if response.status in _BODILESS:
        body = b""
    else:
        headers.append((b"content-length", b"%d" % len(body)))
    if request.close:
        headers.append((b"connection", b"close"))
    return headers, b"" if request.scope["method"] == "HEAD" else body


def _too_large(limit: int, operation: str) -> RequestTooLarge:
    kind = RequestTooLarge if operation == "InvokeFunction" else RequestEntityTooLarge
    return kind(f"Request must be smaller than {limit} bytes for the {operation} operation")
