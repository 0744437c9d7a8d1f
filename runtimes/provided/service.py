"""The worker itself: frames to the invoker on one side, HTTP for the function's program on the other."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from .program import DIRECTORY_VARIABLE, CannotStart, Program, end_like, find, variables
from .runtime import PREFIX, Invocation, Outcome, RuntimeApi
from .server import HttpConnection, Request, Response, failure

if TYPE_CHECKING:
    from runtimes.python import bootstrap
else:
    import __main__ as bootstrap  # the file this process runs

HELLO, READY, EVENT, RESULT = 10, 14, 15, 16
HOST, PORT = "127.0.0.1", 9001
"""Where AWS has it. Where the network is the host's and somebody has that port, it is another one."""
_SPARE_BYTES = 1024 * 1024
"""Bodies are read so far over the limit before they are dropped, as all of them are refused alike."""


def serve(order: bootstrap.Order) -> NoReturn:
    """Carry an order out."""
    asyncio.run(Service(order).run())
    sys.exit(0)


class Invoker(asyncio.Protocol):
    """The connection to the invoker."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._decoder = bootstrap.Decoder()
        self._first: tuple[int, bytes] = (0, b"")
        self._parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        for kind, flags, stream, head, body in self._decoder.feed(data):
            if kind == EVENT:
                self._first, self._parts = (stream, head), [body]
            elif kind == bootstrap.CHUNK and stream == self._first[0]:
                self._parts.append(body)
            else:
                continue
            if flags & bootstrap.END:
                self._service.event(Invocation(stream, json.loads(self._first[1]), b"".join(self._parts)))
                self._parts = []

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio: the invoker is gone, and the keeper ends everything."""
        os._exit(0)


class Service:
    """See the module. One worker from its order to its end."""

    def __init__(self, order: bootstrap.Order) -> None:
        self._order = order
        self._invoker: asyncio.Transport
        self._runtime = RuntimeApi(self._initialised, self._finished, order.max_response_bytes)

    async def run(self) -> None:
        """Serve until the program or the invoker is gone."""
        loop = asyncio.get_running_loop()
        path = os.path.join(self._order.socket_dir, "invoker.sock")
        self._invoker, _ = await loop.create_unix_connection(lambda: Invoker(self), path)
        self._send(HELLO, self._order.number, {"role": "worker", "pid": os.getpid(), "protocol": bootstrap.PROTOCOL})
        limit = self._order.max_response_bytes + _SPARE_BYTES
        server = await listen(lambda: HttpConnection(self._answer, limit))
        host, port = server.sockets[0].getsockname()
        environment = {**variables(self._order.environment), "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"}
        try:
            directory = os.environ.get(DIRECTORY_VARIABLE) or environment["LAMBDA_TASK_ROOT"]
            program = Program(find(environment), environment, directory)
        except CannotStart as reason:
            self._initialised(reason.name, reason.body())
            return
        program.on_end(loop.add_reader, end_like)
        await server.serve_forever()

    def event(self, invocation: Invocation) -> None:
        """The invoker sent one."""
        self._runtime.offer(invocation)

    async def _answer(self, request: Request) -> Response:
        answer = await self._runtime.answer(request) if request.path.startswith(PREFIX) else None
        return answer or failure(404, "NotFound", f"there is no {request.method} {request.path} here")

    def _initialised(self, error: str | None, body: bytes) -> None:
        head: dict[str, Any] = {"init_ms": round((time.monotonic() - self._order.started) * 1000, 3)}
        self._send(READY, self._order.number, head if error is None else {**head, "error": error}, body)

    def _finished(self, outcome: Outcome) -> None:
        head = None if outcome.error is None else {"error": outcome.error, **({"ends": True} if outcome.ends else {})}
        self._send(RESULT, outcome.invocation.stream, head, outcome.body)

    def _send(self, kind: int, stream: int, head: dict[str, Any] | None, body: bytes = b"") -> None:
        for part in bootstrap.encode(kind, stream, json.dumps(head).encode() if head else b"", body):
            self._invoker.write(part)


async def listen(make: Any) -> asyncio.Server:
    """A server on loopback, at the usual port if it is free."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(make, HOST, PORT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return await loop.create_server(make, HOST, 0)
