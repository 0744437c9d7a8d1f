"""Answers of a length nobody knows yet, for clients of HTTP/1.0: they know no chunks, and read to the connection's end.

RFC 9112, section 6.1: a server sends no `Transfer-Encoding` to such a client. uvicorn sends it to every one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    Scope,
)
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def without_chunks(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """`app`, for the one request of `cycle`."""

    async def serve(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        has_length = False

        async def send_on(message: ASGISendEvent) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                has_length = any(name.lower() == b"content-length" for name, _ in headers)
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:  # each part is as long as it is
                cycle.expected_content_length = len(cast("HTTPResponseBodyEvent", message).get("body", b""))
            await send(message)

        await app(scope, receive, send_on)

    return serve


def reset_at_end(transport: asyncio.Transport) -> None:
    """Have the connection end by a reset: it tells the client that the answer is not whole (socket(7), SO_LINGER)."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
