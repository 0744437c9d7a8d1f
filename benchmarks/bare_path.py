"""The path of a call with nothing on it: what the same processes and hops cost when they do nothing.

uvicorn hands a request to a second process over a unix socket, which hands it to one of four workers over another.
There is no event, no route, no isolation, no log, no time-keeping and no meter reading. What a platform of this design
could reach at most on a machine is what this reaches there.

`python -m benchmarks.bare_path ROLE FOLDER [FD]` is one of the processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop
from starlette.types import Receive, Scope, Send

from benchmarks.reference import serve

WORKERS = 4
ANSWER = b'{"statusCode": 200, "body": "{}"}'
_HEADER = struct.Struct("!II")
_STARTS_WITHIN_S = 10.0
_STOPS_WITHIN_S = 5.0


class _Frames(asyncio.Protocol):
    """Numbered bodies over one connection; those of one turn of the event loop leave together."""

    def __init__(self) -> None:
        self._rest = b""
        self._outbox: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, number: int, body: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(_HEADER.pack(len(body), number) + body)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._outbox))
        self._outbox.clear()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        position = 0
        while len(data) - position >= _HEADER.size:
            length, number = _HEADER.unpack_from(data, position)
            end = position + _HEADER.size + length
            if len(data) < end:
                break
            self.received(number, data[position + _HEADER.size : end])
            position = end
        self._rest = data[position:]

    def received(self, number: int, body: bytes) -> None:
        raise NotImplementedError


class _Asking(_Frames):
    """The first process's end."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0

    async def ask(self, body: bytes) -> bytes:
        self._number += 1
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[self._number] = future
        self.send(self._number, body)
        return await future

    def received(self, number: int, body: bytes) -> None:
        self._waiting.pop(number).set_result(body)


class _Dispatcher:
    """The second process: a request goes to whoever is idle."""

    def __init__(self) -> None:
        self.idle: deque[_Worker] = deque()
        self.waiting: deque[tuple[_Frames, int, bytes]] = deque()

    def place(self, asker: _Frames, number: int, body: bytes) -> None:
        if self.idle:
            self.idle.pop().run(asker, number, body)
        else:
            self.waiting.append((asker, number, body))

    def is_idle(self, worker: _Worker) -> None:
        if self.waiting:
            worker.run(*self.waiting.popleft())
        else:
            self.idle.append(worker)


class _Asked(_Frames):
    """The second process's end towards the first."""

    def __init__(self, dispatcher: _Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher

    def received(self, number: int, body: bytes) -> None:
        self._dispatcher.place(self, number, body)


class _Worker(_Frames):
    """The second process's end towards a worker."""

    def __init__(self, dispatcher: _Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._asker: _Frames

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dispatcher.is_idle(self)

    def run(self, asker: _Frames, number: int, body: bytes) -> None:
        self._asker = asker
        self._transport.write(_HEADER.pack(len(body), number) + body)

    def received(self, number: int, body: bytes) -> None:
        self._asker.send(number, body)
        self._dispatcher.is_idle(self)


def _gateway(folder: Path, listener: socket.socket) -> None:
    links: list[_Asking] = []
    event = json.dumps({"headers": {str(number): "x" * 20 for number in range(8)}}).encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not links:
            _, link = await asyncio.get_running_loop().create_unix_connection(_Asking, str(folder / "invoker"))
            links.append(link)
        body = await links[0].ask(event)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    serve(app, listener)


async def _invoker(folder: Path) -> None:
    loop, dispatcher = asyncio.get_running_loop(), _Dispatcher()
    await loop.create_unix_server(lambda: _Worker(dispatcher), str(folder / "workers"))
    await loop.create_unix_server(lambda: _Asked(dispatcher), str(folder / "invoker"))
    await asyncio.Event().wait()


def _worker(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "workers"))
        while data := connection.recv(65536):
            _, number = _HEADER.unpack_from(data)
            json.loads(data[_HEADER.size :])
            connection.sendall(_HEADER.pack(len(ANSWER), number) + ANSWER)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """All of its processes; gives its URL."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bare-")))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        _start(stack, "invoker", folder)
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not (folder / "invoker").exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the second process of the bare path does not start")
            time.sleep(0.01)
        for _ in range(WORKERS):
            _start(stack, "worker", folder)
        _start(stack, "gateway", folder, listener.fileno())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _start(stack: contextlib.ExitStack, role: str, folder: Path, *fds: int) -> None:
    command = [sys.executable, "-m", "benchmarks.bare_path", role, str(folder), *map(str, fds)]
    process = subprocess.Popen(command, pass_fds=fds)
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _main(role: str, folder: Path, *fds: str) -> None:
    if role == "gateway":
        _gateway(folder, socket.socket(fileno=int(fds[0])))
    elif role == "invoker":
        uvloop.run(_invoker(folder))
    else:
        _worker(folder)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
