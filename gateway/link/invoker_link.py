"""A gateway worker's way to the invoker: one connection, many calls at once, told apart by stream numbers.

A call is never repeated behind its caller's back: once it was sent its outcome is unknown until it is answered,
so when the connection breaks the call fails with an error that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from gateway.link.answer_stream import AnswerStream
from gateway.link.exchanges import Exchange, Exchanges, Outgoing, Reply, nothing
from samovar.errors import (
    EnvironmentFailure,
    ResourceNotFound,
    SamovarError,
    ServiceUnavailable,
    TooManyRequests,
    by_class_name,
)
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead, InvokeHead, Trigger
from samovar.link.channel import FrameChannel
from samovar.link.operations import OperationAnswer, OperationHead, UnknownVersion
from samovar.link.wire import CANCEL, CHUNK, CHUNK_SIZE, CREDIT, PULL, REQUEST, Frame, ProtocolError

RETRY_AFTER_S: Final = 1.0
_PAUSE_S: Final = 0.02

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_answer_head = msgspec.json.Decoder(AnswerHead).decode
_operation_answer = msgspec.json.Decoder(OperationAnswer).decode


class Call(msgspec.Struct, frozen=True):
    """What the gateway says about one invocation, beside which version is meant."""

    request_id: str
    trigger: Trigger = "invoke"
    tail: bool = False
    client_context: str | None = None
    """Base64 as the caller sent it."""
    trace_id: str | None = None
    qualifier: str | None = None
    """The version or alias the caller named."""
    streaming: bool = False
    """Whether the answer may come in parts."""
    attempt: int = 1
    """Which run of an event it is."""


class Answer(msgspec.Struct, frozen=True):
    """A finished invocation: the function's result, or its error when `head.outcome` says so."""

    head: AnswerHead
    payload: bytes


class Errand(NamedTuple):
    """An invocation to be carried out."""

    version: FunctionVersion
    call: Call
    payload: bytes
    sent: Callable[[], None]
    """Told when the payload is not needed any more, if it was too large for one frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """Bounds and deadlines of a link. Times are seconds."""

    calls: int = 4096
    """Calls under way at once; one more is throttled."""
    patience: float = 5.0
    """How long a call waits for a connection: an invoker that restarts in this time goes unnoticed."""
    grace: float = 60.0
    """What an invocation may take beyond the function's own timeout: queueing, a cold start, metering."""
    tick: float = 1.0
    """How often deadlines are looked at."""


class InvokerLink:
    """An async context manager: inside it the link keeps itself connected."""

    def __init__(self, socket: Path, limits: LinkLimits | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.on_connect: Callable[[], None] | None = None
        """Told of each new connection: the invoker behind it may have been started anew."""
        self._socket = socket
        self._limits = limits or LinkLimits()
        self._channel: FrameChannel | None = None
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._exchanges = Exchanges()
        self._under_way = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._jobs: set[asyncio.Task[None]] = set()
        """Calls begun without a task that need one after all."""

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<InvokerLink {self._socket} [{state}, {self._under_way} under way]>"

    @property
    def is_connected(self) -> bool:
        """Whether the invoker can be reached right now."""
        return self._channel is not None

    async def __aenter__(self) -> Self:
        """Begin to connect. Does not wait for it: a gateway starts while the invoker is away."""
        self._tasks = [asyncio.create_task(self._keep_connected()), asyncio.create_task(self._keep_deadlines())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; calls under way fail."""
        for task in (*self._tasks, *self._jobs):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._channel is not None:
            self._lost.clear()
            self._channel.abort()
            await self._lost.wait()

    def begin(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> bool:
        """Run an invocation and be told of its end, which costs no task; it cannot be cancelled.

        False, with nothing done, when it cannot be sent at once: `invoke` knows how to wait. `deliver` is called once,
        with what `invoke` would return or raise, and must not raise. Raises `TooManyRequests` over the link's bound.
        """
        channel = self._channel
        if channel is None or len(errand.payload) > CHUNK_SIZE:
            return False
        self._enter()
        within = errand.version.limits.timeout_s + self._limits.grace
        exchange = self._exchanges.open(partial(self._arrived, errand, deliver), self._loop.time() + within)
        head = _invoke_head(errand.version, errand.call, len(errand.payload))
        channel.send(REQUEST, exchange.stream, head, errand.payload)
        return True

    def _arrived(
        self, errand: Errand, deliver: Callable[[Answer | SamovarError], None], reply: Reply | EnvironmentFailure
    ) -> None:
        self._under_way -= 1
        if not isinstance(reply, Reply):
            deliver(reply)
            return
        head = _answer_head(reply.head)
        if head.failure is None:
            deliver(Answer(head, reply.body))
        elif head.failure == UnknownVersion.__name__:
            self._spawn(self._repeat(errand, deliver))  # it did not know the version
        else:
            deliver(_failure(head.failure, head.message, head.retry_after, head.reason))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _repeat(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> None:
        outcome: Answer | SamovarError
        try:
            outcome = await self.invoke(*errand)
        except SamovarError as error:
            outcome = error
        except asyncio.CancelledError:
            deliver(EnvironmentFailure("The gateway is shutting down; whether the function ran is not known."))
            raise
        deliver(outcome)

    async def invoke(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None] = nothing
    ) -> Answer:
        """Run an invocation and wait for its end. Cancelling withdraws it, unless it has begun to run.

        Raises the platform error the invoker names; `ResourceNotFound` when the function has been deleted,
        `ServiceUnavailable` when the invoker cannot be reached, `EnvironmentFailure` when it was lost after the
        call was sent, `TooManyRequests` over the link's bound.
        """
        body = Outgoing(payload, sent)
        del payload  # that `body` alone has it, and can let go of it
        answer = await self._invoke_once(version, call, body)
        if answer.head.failure == UnknownVersion.__name__:
            await self.operation("declare", _encode(version))
            answer = await self._invoke_once(version, call, body)
            if answer.head.failure == UnknownVersion.__name__:
                # It was deleted through another gateway worker, and this one has not heard of that yet.
                raise ResourceNotFound(f"Function not found: {version.qualified_arn}")
        head = answer.head
        if head.failure is not None:
            raise _failure(head.failure, head.message, head.retry_after, head.reason)
        return answer

    @contextlib.asynccontextmanager
    async def stream(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None] = nothing
    ) -> AsyncIterator[AnswerStream]:
        """Run an invocation and take its answer as it comes. Leaving early drops the rest; the function runs on.

        Raises as `invoke` does, and so does the stream for what the invoker names.
        """
        body = Outgoing(payload, sent)
        del payload  # as `invoke` does
        self._enter()
        try:
            answer = await self._open(version, call, body)
            if await answer.failure() == UnknownVersion.__name__:
                await self.operation("declare", _encode(version))
                answer = await self._open(version, call, body)
            try:
                yield answer
            finally:
                answer.abandon()
        finally:
            self._under_way -= 1

    async def _open(self, version: FunctionVersion, call: Call, body: Outgoing) -> AnswerStream:
        channel = self._channel or await self._connection()
        answer = AnswerStream()
        deadline = self._loop.time() + version.limits.timeout_s + self._limits.grace
        exchange = self._exchanges.open_stream(answer, deadline)

        def cancel() -> None:
            self._exchanges.close(exchange)
            channel.send(CANCEL, exchange.stream)

        answer.opened(lambda size: channel.send(CREDIT, exchange.stream, b"", size.to_bytes(4, "big")), cancel)
        try:
            _send_request(channel, exchange, _invoke_head(version, call, len(body.body)), body)
            await answer.first()
        except BaseException:
            answer.abandon()
            raise
        return answer

    async def operation(self, op: str, body: bytes = b"", within: float = 10.0) -> bytes:
        """Ask for one of the operations in `samovar.link.operations`, to be answered `within` so many seconds.

        `body` has to fit one frame. Returns the answer's body. Raises as `invoke` does.
        """
        reply = await self._ask(_encode(OperationHead(op)), Outgoing(body), within)
        answer = _operation_answer(reply.head)
        if answer.failure is not None:
            raise _failure(answer.failure, answer.message)
        return reply.body

    async def _invoke_once(self, version: FunctionVersion, call: Call, body: Outgoing) -> Answer:
        head = _invoke_head(version, call, len(body.body))
        reply = await self._ask(head, body, version.limits.timeout_s + self._limits.grace)
        return Answer(_answer_head(reply.head), reply.body)

    async def _ask(self, head: bytes, body: Outgoing, within: float) -> Reply:
        self._enter()
        try:
            channel = self._channel or await self._connection()
            return await self._exchange(channel, head, body, within)
        finally:
            self._under_way -= 1

    def _enter(self) -> None:
        """Count one more call under way. Raises `TooManyRequests`."""
        if self._under_way >= self._limits.calls:
            raise TooManyRequests(
                "Rate Exceeded.", retry_after=RETRY_AFTER_S, reason="ConcurrentInvocationLimitExceeded"
            )
        self._under_way += 1

    async def _exchange(self, channel: FrameChannel, head: bytes, body: Outgoing, within: float) -> Reply:
        future: asyncio.Future[Reply] = self._loop.create_future()
        exchange = self._exchanges.open(partial(_resolve, future), self._loop.time() + within)
        try:
            _send_request(channel, exchange, head, body)
            return await future
        except asyncio.CancelledError:
            channel.send(CANCEL, exchange.stream)
            raise
        finally:
            self._exchanges.close(exchange)

    # The connection.

    async def _connection(self) -> FrameChannel:
        try:
            async with asyncio.timeout(self._limits.patience):
                while self._channel is None:
                    await self._connected.wait()
        except TimeoutError as error:
            raise ServiceUnavailable(
                f"The invoker has not been reachable at {self._socket} for {self._limits.patience:g} s. "
                "It is restarted when it ends; if this lasts, look at its log.",
                retry_after=RETRY_AFTER_S,
            ) from error
        return self._channel

    async def _keep_connected(self) -> None:
        while True:
            self._lost.clear()
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(OSError), wait=wait_exponential(multiplier=_PAUSE_S, max=0.5)
            ):
                with attempt:
                    _, channel = await self._loop.create_unix_connection(lambda: FrameChannel(self), str(self._socket))
            if not self._lost.is_set():
                self._channel = channel
                self._connected.set()
                if self.on_connect is not None:
                    self.on_connect()
                _log.debug("connected to the invoker at %s", self._socket)
                await self._lost.wait()
            await asyncio.sleep(_PAUSE_S)  # a peer that accepts and hangs up must not be called in a tight loop

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """The invoker hung up or ended: every exchange fails, the next calls wait for a new connection."""
        self._channel = None
        self._connected.clear()
        self._lost.set()
        if self._exchanges:
            _log.warning("lost the invoker with %d calls under way: %s", len(self._exchanges), error or "it hung up")
        self._exchanges.fail_all(
            "The invoker was lost while it had this call; whether the function ran to its end is not known. "
            "Call again if running twice does no harm."
        )

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """Answers, whole or in parts. Those of cancelled calls find no exchange any more."""
        try:
            for frame in frames:
                if frame.kind == PULL:
                    self._send_part(channel, frame.stream)
                else:
                    self._exchanges.take(frame)
        except ProtocolError as error:
            _log.error("closing the connection to the invoker: %s", error)
            channel.abort()

    def _send_part(self, channel: FrameChannel, stream: int) -> None:
        pulled = self._exchanges.pulled(stream)
        if pulled is not None:
            part, flags = pulled
            channel.send(CHUNK, stream, b"", part, flags)

    async def _keep_deadlines(self) -> None:
        """One timer for all calls: a timer for each would cost more than the frame it guards."""
        while True:
            await asyncio.sleep(self._limits.tick)
            for exchange in self._exchanges.overdue(self._loop.time()):
                self._exchanges.fail(
                    exchange, "The invoker did not answer this call in the time it may take; it may be stuck."
                )
                if self._channel is not None:
                    self._channel.send(CANCEL, exchange.stream)


def _send_request(channel: FrameChannel, exchange: Exchange, head: bytes, body: Outgoing) -> None:
    if len(body.body) <= CHUNK_SIZE:
        channel.send(REQUEST, exchange.stream, head, body.body)
    else:
        exchange.outgoing = body
        channel.send(REQUEST, exchange.stream, head, flags=0)


def _invoke_head(version: FunctionVersion, call: Call, size: int) -> bytes:
    return _encode(
        InvokeHead(
            "invoke",
            version.arn,
            version.version,
            version.serial,
            call.request_id,
            call.trigger,
            call.tail,
            call.client_context,
            call.trace_id,
            size,
            call.qualifier,
            call.streaming,
            call.attempt,
        )
    )


def _resolve(future: asyncio.Future[Reply], reply: Reply | EnvironmentFailure) -> None:
    if future.done():
        return
    if isinstance(reply, Reply):
        future.set_result(reply)
    else:
        future.set_exception(reply)


def _failure(name: str, message: str, retry_after: float | None = None, reason: str | None = None) -> SamovarError:
    return by_class_name(name)(message, retry_after=retry_after, reason=reason)
