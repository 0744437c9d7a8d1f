"""The invoker's socket: requests of gateways in, answers out."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec

from invoker.invoke import Invocations, refusal
from samovar.channel import FrameChannel
from samovar.errors import RequestTooLarge, SamovarError, ServiceFailure
from samovar.invocation import InvokeHead
from samovar.link import OperationAnswer, OperationHead
from samovar.wire import CANCEL, CHUNK, REQUEST, RESPONSE, Frame

log = logging.getLogger("samovar.invoker")

Operation = Callable[[bytes], Awaitable[bytes]]

_encode = msgspec.json.Encoder().encode
_decode_invoke = msgspec.json.Decoder(InvokeHead).decode
_decode_operation = msgspec.json.Decoder(OperationHead).decode
_INVOKE = b'["invoke"'


class Server:
    """Accepts gateways. One task per request in flight; answers leave in the order they become ready."""

    def __init__(self, invocations: Invocations, operations: dict[str, Operation], max_request_bytes: int) -> None:
        self._invocations = invocations
        self._operations = operations
        self.max_request_bytes = max_request_bytes
        self._connections: dict[FrameChannel, _Connection] = {}
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

    def close(self) -> None:
        """Hang up, after what is waiting has been sent."""
        for channel in list(self._connections):
            channel.close()

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        connection = self._connections.get(channel)
        if connection is None:
            connection = self._connections[channel] = _Connection(self, channel)
        for frame in frames:
            connection.take(frame)

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`: what it asked for runs to its end; the answers are dropped."""
        self._connections.pop(channel, None)

    async def answer(self, connection: _Connection, stream: int, head: bytes, body: bytes) -> None:
        """Serve one request."""
        try:
            if head.startswith(_INVOKE):
                began = partial(connection.began, stream)
                answer, payload = await self._invocations.invoke(_decode_invoke(head), body, began)
                answer_head = _encode(answer)
            else:
                answer_head, payload = await self._operate(_decode_operation(head).op, body)
        except Exception:
            log.exception("request %d failed unexpectedly", stream)
            answer_head, payload = _encode(refusal(ServiceFailure("unexpected fault in the invoker; see its log"))), b""
        try:
            await connection.channel.send_message(RESPONSE, stream, answer_head, payload)
        except ConnectionResetError:
            log.debug("the gateway went away before request %d was answered", stream)

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
        self.channel = channel
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._partial: dict[int, tuple[bytes, bytearray]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_begun: dict[int, asyncio.Task[None]] = {}
        """Calls that can still be cancelled: nothing of theirs has run yet."""

    def take(self, frame: Frame) -> None:
        """A frame of this gateway arrived."""
        if frame.kind == REQUEST:
            if frame.ends_message:
                self._serve(frame.stream, frame.head, frame.body)
            else:
                self._partial[frame.stream] = (frame.head, bytearray(frame.body))
        elif frame.kind == CHUNK:
            self._take_chunk(frame)
        elif frame.kind == CANCEL:
            self._partial.pop(frame.stream, None)
            task = self._not_begun.pop(frame.stream, None)
            if task is not None:
                task.cancel()

    def began(self, stream: int) -> None:
        """A call has an environment now and runs to its end, as Lambda's do when a caller goes away."""
        self._not_begun.pop(stream, None)

    def _take_chunk(self, frame: Frame) -> None:
        partial_request = self._partial.get(frame.stream)
        if partial_request is None:
            return  # the rest of a request that was refused or cancelled
        head, body = partial_request
        body += frame.body
        if len(body) > self._server.max_request_bytes:
            del self._partial[frame.stream]
            error = refusal(RequestTooLarge(f"Request must be smaller than {self._server.max_request_bytes} bytes"))
            self.channel.send(RESPONSE, frame.stream, _encode(error))
        elif frame.ends_message:
            del self._partial[frame.stream]
            self._serve(frame.stream, head, bytes(body))

    def _serve(self, stream: int, head: bytes, body: bytes) -> None:
        task = self._loop.create_task(self._server.answer(self, stream, head, body))
        self._not_begun[stream] = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, stream))

    def _ended(self, stream: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._not_begun.pop(stream, None)
