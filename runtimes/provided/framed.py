"""Our own runtimes for Python and Node.js, beside extensions: children of this process that speak frames with it.

To them it is the invoker: they say hello, are ready, and answer one event at a time (docs/runtime-protocol.md). They
are started as programs are, perhaps by a wrapper script of the function's, so a variable tells them what to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .program import COMMAND_VARIABLE
from .runtime import Invocation, OnInit, OnOutcome, Outcome
from .streaming import Part

if TYPE_CHECKING:
    from runtimes.node import samovar_node
    from runtimes.python import bootstrap
else:
    import samovar_node

    import __main__ as bootstrap  # the file this process runs

LANGUAGE_VARIABLE = "SAMOVAR_LANGUAGE"
"""Tells the keeper that the function's runtime is ours, and which."""
WRAPPER_VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
"""The script that is started with the runtime's command line as its arguments (AWS Lambda developer guide, "Modifying
the runtime environment"). It hears of no other languages than these, as on AWS."""
_SOCKET = "invoker.sock"
_READ_OUT_S = 0.5
_USUAL_COMMANDS = {"python": ["python3", "/var/runtime/bootstrap.py"], "nodejs": list(samovar_node.DEFAULT_COMMAND)}


class Start(NamedTuple):
    """What makes a runtime of ours a process."""

    command: list[str]
    variables: dict[str, str]


_BY_SHELL = ("/bin/sh", "-c", 'exec "$0" "$@"')


def start_of(order: bootstrap.Order, folder: str, environment: Mapping[str, str]) -> Start:
    """How the runtime of `LANGUAGE_VARIABLE` is started so that it connects to the socket in `folder`."""
    language = os.environ[LANGUAGE_VARIABLE]
    told = os.environ.get(COMMAND_VARIABLE)
    command: list[str] = json.loads(told) if told else _USUAL_COMMANDS[language]
    if language == "nodejs":
        command = samovar_node.command_line(command, order)
        words = samovar_node.words(order, os.path.join(folder, _SOCKET))
    else:
        command = [shutil.which(command[0]) or command[0], *command[1:]]
        words = bootstrap.words(order, folder)
    wrapper = environment.get(WRAPPER_VARIABLE)
    if wrapper:
        # AWS's runtimes are started by a shell: a script that is not there is its exit status 127 and a line in the log
        command = [*(() if os.access(wrapper, os.X_OK) else _BY_SHELL), wrapper, *command]
    return Start(command, {**environment, bootstrap.ORDER_VARIABLE: words})


class FramedRuntime(asyncio.Protocol):
    """The invoker's side of the protocol, for one worker and one event at a time; see `RuntimeApi`."""

    def __init__(self, on_init: OnInit, on_outcome: OnOutcome, on_part: Part) -> None:
        self._on_init = on_init
        self._on_outcome = on_outcome
        self._on_part = on_part
        self._decoder = bootstrap.Decoder()
        self._transport: asyncio.Transport | None = None
        self._server: asyncio.Server | None = None
        self._folder = ""
        self._current: Invocation | None = None
        self._answer = _Answer()
        self._is_over = asyncio.Event()

    @property
    def is_there(self) -> bool:
        """Whether the runtime has connected; if not, the function's program may speak the Runtime API instead."""
        return self._transport is not None

    async def listen(self, parent: str) -> str:
        """The folder, within `parent`, of the socket that the runtime is to connect to."""
        self._folder = tempfile.mkdtemp(prefix=".samovar-", dir=parent)
        path = os.path.join(self._folder, _SOCKET)
        self._server = await asyncio.get_running_loop().create_unix_server(self._accept, path)
        return self._folder

    def stop_listening(self) -> None:
        """Leave nothing of the socket where the function's files are."""
        if self._server is not None:
            self._server.close()
            self._server = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> asyncio.Protocol:
        return _Stranger() if self.is_there else self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.stop_listening()

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio."""
        self._is_over.set()

    async def read_out(self) -> None:
        """Return when all has been taken in that a runtime said before it ended."""
        if self.is_there:
            self.hold(paused=False)
            try:
                async with asyncio.timeout(_READ_OUT_S):
                    await self._is_over.wait()
            except TimeoutError:
                return  # a child of it has the connection, too

    def hold(self, *, paused: bool) -> None:
        """Read no more of what it answers, or go on."""
        if self._transport is None or self._transport.is_closing():
            return
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def offer(self, invocation: Invocation) -> None:
        """An event for the runtime."""
        assert self._transport is not None, "events are given to a runtime that is ready"
        self._current, self._answer = invocation, _Answer()
        head = json.dumps(invocation.head).encode()
        for part in bootstrap.encode(bootstrap.EVENT, invocation.stream, head, invocation.event):
            self._transport.write(part)

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        for kind, flags, stream, head, body in self._decoder.feed(data):
            if kind == bootstrap.READY:
                self._on_init(json.loads(head or b"{}").get("error"), body)
            elif kind in (bootstrap.RESULT, bootstrap.CHUNK):
                current = self._current
                if current is not None and current.stream == stream:
                    self._take(current, head, body, is_last=bool(flags & bootstrap.END))

    def _take(self, current: Invocation, head: bytes, body: bytes, *, is_last: bool) -> None:
        answer = self._answer
        answer.add(head, body)
        if not is_last:
            if answer.is_streamed and not answer.has_failed:
                self._on_part(current, answer.take_parts(), answer.content_type)
            return
        self._current = None
        self._on_outcome(Outcome(current, answer.error, answer.take_parts(), ends=answer.ends))


class _Answer:
    """An answer as far as it is here. A chunk with a head is, with those behind it, the error that ends a stream."""

    def __init__(self) -> None:
        self.is_streamed = False
        self.has_failed = False
        self.error: str | None = None
        self.ends = False
        self.content_type = ""
        self._parts: list[bytes] = []

    def add(self, head: bytes, body: bytes) -> None:
        """More of it."""
        if head:
            fields: dict[str, Any] = json.loads(head)
            self.is_streamed = self.is_streamed or fields.get("streaming", False)
            self.content_type = self.content_type or fields.get("content_type", "")
            self.error, self.ends = fields.get("error"), fields.get("ends", False)
            self.has_failed = self.error is not None
        self._parts.append(body)

    def take_parts(self) -> bytes:
        """What has been added since this was last asked."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Stranger(asyncio.Protocol):
    """Connected although the runtime has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        transport.close()
