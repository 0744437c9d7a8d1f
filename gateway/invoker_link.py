"""A gateway worker's way to the invoker: one connection, many calls at once, told apart by stream numbers.

A call is never repeated behind its caller's back: once it was sent its outcome is unknown until it is answered,
so when the connection breaks the call fails with an error that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from gateway.answer_stream import AnswerStream
from gateway.exchanges import Exchanges, Reply
from samovar.channel import FrameChannel
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
from samovar.link import OperationAnswer, OperationHead, UnknownVersion
from samovar.wire import CANCEL, CHUNK_SIZE, CREDIT, REQUEST, Frame, ProtocolError

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


class Answer(NamedTuple):
    """A finished invocation: the function's result, or its error when `head.outcome` says so."""

    head: AnswerHead
    payload: bytes


class Errand(NamedTuple):
    """An invocation to be carried out."""

    version: FunctionVersion
    call: Call
    payload: bytes


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
        self._repeated: set[asyncio.Task[None]] = set()
        """Calls begun without a task that need one after all: the invoker did not know their version."""

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
        for task in (*self._tasks, *self._repeated):
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
        channel.send(REQUEST, exchange.stream, _invoke_head(errand.version, errand.call), errand.payload)
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
            task = self._loop.create_task(self._repeat(errand, deliver))
            self._repeated.add(task)
            task.add_done_callback(self._repeated.discard)
        else:
            deliver(_failure(head.failure, head.message, head.retry_after, head.reason))

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

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        """Run an invocation and wait for its end. Cancelling withdraws it, unless it has begun to run.

        Raises the platform error the invoker names; `ResourceNotFound` when the function has been deleted,
        `ServiceUnavailable` when the invoker cannot be reached, `EnvironmentFailure` when it was lost after the
        call was sent, `TooManyRequests` over the link's bound.
        """
        answer = await self._invoke_once(version, call, payload)
        if answer.head.failure == UnknownVersion.__name__:
            await self.operation("declare", _encode(version))
            answer = await self._invoke_once(version, call, payload)
            if answer.head.failure == UnknownVersion.__name__:
                # It was deleted through another gateway worker, and this one has not heard of that yet.
                raise ResourceNotFound(f"Function not found: {version.qualified_arn}")
        head = answer.head
        if head.failure is not None:
            raise _failure(head.failure, head.message, head.retry_after, head.reason)
        return answer

    @contextlib.asynccontextmanager
    async def stream(self, version: FunctionVersion, call: Call, payload: bytes) -> AsyncIterator[AnswerStream]:
        """Run an invocation and take its answer as it comes. Leaving early drops the rest; the function runs on.

        Raises as `invoke` does, and so does the stream for what the invoker names.
        """
        self._enter()
        try:
            answer = await self._open(version, call, payload)
            if await answer.failure() == UnknownVersion.__name__:
                await self.operation("declare", _encode(version))
                answer = await self._open(version, call, payload)
            try:
                yield answer
            finally:
                answer.abandon()
        finally:
            self._under_way -= 1

    async def _open(self, version: FunctionVersion, call: Call, payload: bytes) -> AnswerStream:
        channel = self._channel or await self._connection()
        answer = AnswerStream()
        deadline = self._loop.time() + version.limits.timeout_s + self._limits.grace
        exchange = self._exchanges.open_stream(answer, deadline)

        def cancel() -> None:
            self._exchanges.close(exchange)
            channel.send(CANCEL, exchange.stream)

        answer.opened(lambda size: channel.send(CREDIT, exchange.stream, b"", size.to_bytes(4, "big")), cancel)
        try:
            with contextlib.suppress(ConnectionResetError):  # the exchange has been failed with the fuller story
                await channel.send_message(REQUEST, exchange.stream, _invoke_head(version, call), payload)
            await answer.first()
        except BaseException:
            answer.abandon()
            raise
        return answer

    async def operation(self, op: str, body: bytes = b"", within: float = 10.0) -> bytes:
        """Ask for one of the operations in `samovar.link`, to be answered `within` so many seconds.

        Returns the answer's body. Raises as `invoke` does.
        """
        reply = await self._ask(_encode(OperationHead(op)), body, within)
        answer = _operation_answer(reply.head)
        if answer.failure is not None:
            raise _failure(answer.failure, answer.message)
        return reply.body

    async def _invoke_once(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        reply = await self._ask(_invoke_head(version, call), payload, version.limits.timeout_s + self._limits.grace)
        return Answer(_answer_head(reply.head), reply.body)

    async def _ask(self, head: bytes, body: bytes, within: float) -> Reply:
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

    async def _exchange(self, channel: FrameChannel, head: bytes, body: bytes, within: float) -> Reply:
        future: asyncio.Future[Reply] = self._loop.create_future()
        exchange = self._exchanges.open(partial(_resolve, future), self._loop.time() + within)
        try:
            with contextlib.suppress(ConnectionResetError):  # the exchange has been failed with the fuller story
                await channel.send_message(REQUEST, exchange.stream, head, body)
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
                self._exchanges.take(frame)
        except ProtocolError as error:
            _log.error("closing the connection to the invoker: %s", error)
            channel.abort()

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


def _invoke_head(version: FunctionVersion, call: Call) -> bytes:
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
            call.qualifier,
            call.streaming,
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
