"""What everything is compared with: a bare ASGI app under uvicorn, with the gateway's loop and parser.

It answers a GET with a few bytes and a POST with the body it was sent: no routing, no isolation, no metering.
`python -m benchmarks.reference FD` serves on an inherited listening socket.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWER = b'{"ok": true}'
_STOPS_WITHIN_S = 10


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The whole server."""
    body = b""
    if scope["method"] == "POST":
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body or ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body or ANSWER})


@contextmanager
def serving() -> Iterator[str]:
    """Run it in a process of its own; gives its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reference", str(listener.fileno())], pass_fds=[listener.fileno()]
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve an application with the gateway's loop and parser, and nothing that costs time."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(app, socket.socket(fileno=int(sys.argv[1])))
