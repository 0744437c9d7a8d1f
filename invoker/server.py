"""The invoker's socket: requests of gateways in, answers out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from invoker.invoke import FAULT, Invocation, Invocations, refusal
from invoker.response_stream import ResponseStream
from invoker.upload import Event, Upload
from samovar.errors import RequestTooLarge, SamovarError, ServiceFailure
from samovar.invocation import AnswerHead, InvokeHead
from samovar.link.channel import FrameChannel
from samovar.link.operations import OperationAnswer, OperationHead
from samovar.link.wire import CANCEL, CHUNK, CHUNK_SIZE, CREDIT, PULL, REQUEST, RESPONSE, Frame

log = logging.getLogger("samovar.invoker")

Operation = Callable[[bytes], Awaitable[bytes]]

_encode = msgspec.json.Encoder().encode
_decode_invoke = msgspec.json.Decoder(InvokeHead).decode
_decode_operation = msgspec.json.Decoder(OperationHead).decode
_INVOKE = b'["invoke"'


class Server:
    """Accepts gateways. Answers leave in the order they become ready."""

    def __init__(self, invocations: Invocations, operations: dict[str, Operation], max_request_bytes: int) -> None:
        self.invocations = invocations
        self._operations = operations
        self.max_request_bytes = max_request_bytes
        self._connections: dict[FrameChannel, _Connection] = {}
        self._idle = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        """Open the socket. A stale one of a former process is replaced."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        loop = asyncio.get_running_loop()
        old_umask = os.umask(0o177)
        try:
            self._server = await loop.create_unix_server(lambda: FrameChannel(self), str(path), backlog=128)
        finally:
            os.umask(old_umask)

    def stop_accepting(self) -> None:
        """Let no new gateway in; the connected ones are still answered."""
        if self._server is not None:
            self._server.close()

    async def close(self, deadline_s: float) -> None:
        """Hang up, after the calls that have ended have been answered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while any(connection.calls for connection in self._connections.values()):
                    self._idle.clear()
                    await self._idle.wait()
        for channel in list(self._connections):
            channel.close()

    def one_is_idle(self) -> None:
        """A gateway has all its answers."""
        self._idle.set()

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        connection = self._connections.get(channel)
        if connection is None:
            connection = self._connections[channel] = _Connection(self, channel)
        for frame in frames:
            connection.take(frame)

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`: what it asked for runs to its end; the answers are dropped."""
        connection = self._connections.pop(channel, None)
        if connection is not None:
            connection.lose()

    async def operate(self, connection: _Connection, stream: int, head: bytes, body: bytes) -> None:
        """Serve a request that is not a call."""
        try:
            answer_head, payload = await self._operate(_decode_operation(head).op, body)
        except Exception:
            log.exception("request %d failed unexpectedly", stream)
            answer_head, payload = _encode(FAULT), b""
        await connection.send(stream, answer_head, payload)

    async def _operate(self, op: str, body: bytes) -> tuple[bytes, bytes]:
        operation = self._operations.get(op)
        try:
            if operation is None:
                raise ServiceFailure(f"this invoker has no operation {op!r}; gateway and invoker differ in version")
            return _encode(OperationAnswer()), await operation(body)
        except SamovarError as error:
            return _encode(OperationAnswer(type(error).__name__, error.message)), b""


class _Connection:
    """The requests of one gateway that are being received or served."""

    def __init__(self, server: Server, channel: FrameChannel) -> None:
        self._channel = channel
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._uploads: dict[int, Upload] = {}
        """Events that are being sent."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls: dict[int, Invocation] = {}
        """Calls that are not answered yet."""
        self._streams: dict[int, ResponseStream] = {}
        """Of those among them whose answer may come in parts."""

    def take(self, frame: Frame) -> None:
        """A frame of this gateway arrived."""
        if frame.kind == REQUEST:
            self._serve(frame)
        elif frame.kind == CHUNK:
            self._take_part(frame)
        elif frame.kind == CANCEL:
            upload = self._uploads.pop(frame.stream, None)
            if upload is not None:
                upload.lose()
            call = self.calls.get(frame.stream)
            if call is not None and call.withdraw():
                self._forget(frame.stream)
            elif frame.stream in self._streams:
                self._streams[frame.stream].discard()
        elif frame.kind == CREDIT and frame.stream in self._streams:
            self._streams[frame.stream].taken(int.from_bytes(frame.body, "big"))

    def _take_part(self, frame: Frame) -> None:
        upload = self._uploads.get(frame.stream)
        if upload is None:
            return  # the rest of an event that nobody waits for any more
        if frame.ends_message:
            del self._uploads[frame.stream]
        try:
            upload.arrived(frame.body, frame.ends_message)
        except ValueError as error:
            log.error("request %d: %s", frame.stream, error)
            self._uploads.pop(frame.stream, None)
            upload.lose()

    def lose(self) -> None:
        """The gateway is gone, with it the rest of what it was sending, and nobody takes what is still to come."""
        for stream in self._streams.values():
            stream.discard()
        uploads, self._uploads = self._uploads, {}
        for upload in uploads.values():
            upload.lose()

    def _serve(self, frame: Frame) -> None:
        stream = frame.stream
        if not frame.head.startswith(_INVOKE):
            self._spawn(self._server.operate(self, stream, frame.head, frame.body))
            return
        try:
            head = _decode_invoke(frame.head)
            if head.size > self._server.max_request_bytes:
                raise RequestTooLarge(f"Request must be smaller than {self._server.max_request_bytes} bytes")
            event: Event = frame.body
            if not frame.ends_message:
                event = Upload(head.size, partial(self._ask, stream))
            parts = None
            if head.streaming:
                parts = self._streams[stream] = ResponseStream(self._channel, stream)
            call = self._server.invocations.prepare(head, event, partial(self._answer, stream), parts)
            self.calls[stream] = call
            call.begin()
        except RequestTooLarge as error:
            self._answer(stream, refusal(error), b"")
        except Exception:
            log.exception("request %d failed unexpectedly", stream)
            self._answer(stream, FAULT, b"")

    def _ask(self, stream: int, upload: Upload) -> None:
        self._uploads[stream] = upload
        self._channel.send(PULL, stream)

    def _answer(self, stream: int, head: AnswerHead, payload: bytes) -> None:
        parts = self._streams.get(stream)
        if parts is not None and parts.has_begun:
            parts.end(_encode(head), payload)
        elif len(payload) <= CHUNK_SIZE:
            self._channel.send(RESPONSE, stream, _encode(head), payload)
        else:
            self._spawn(self.send(stream, _encode(head), payload))
        self._forget(stream)

    async def send(self, stream: int, head: bytes, payload: bytes) -> None:
        """Send an answer of any size."""
        try:
            await self._channel.send_message(RESPONSE, stream, head, payload)
        except ConnectionResetError:
            log.debug("the gateway went away before request %d was answered", stream)

    def _forget(self, stream: int) -> None:
        self.calls.pop(stream, None)
        self._uploads.pop(stream, None)
        self._streams.pop(stream, None)
        if not self.calls:
            self._server.one_is_idle()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
