"""One worker: a process inside an environment that has the handler loaded and takes events, as a rule one at a time.

The objects here are the invoker's view of it. They learn what happens from `runtime_link.py` and never touch
a socket themselves but to send.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec

from invoker.environments.mailbox import LARGEST_PACKET, Mailbox
from invoker.faults import ProcessEnd
from invoker.response_stream import ResponseStream
from invoker.upload import Event, Upload
from samovar.invocation import AnswerLimits
from samovar.link.channel import FrameChannel
from samovar.link.wire import (
    CHUNK,
    END,
    EVENT,
    FLOW,
    HEADER,
    LAID,
    OUTPUT,
    QUIET,
    READY,
    RESTED,
    RESULT,
    SHUTDOWN,
    Frame,
    encode,
)


class WorkerEnded(Exception):
    """The process ended before it answered."""

    def __init__(self, end: ProcessEnd) -> None:
        super().__init__(end.describe())
        self.end = end


class AnswerTooLarge(Exception):
    """The answer is over the limit; the rest of it was not kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class EventLost(Exception):
    """The gateway went away before it had sent the whole event; the worker has a part of it."""


class Ready(msgspec.Struct, frozen=True):
    """Head of READY: how initialisation went."""

    init_ms: float = 0.0
    error: str | None = None
    """The error's type; its JSON is the frame's body."""
    snapshot: str | None = None
    """Why there is no snapshot process although one was asked for."""
    farewell_s: float = 0.0
    """How long it wants to be given when it is to end; until then it is told nothing of it."""
    concurrency: int = 1
    """How many events it takes at once."""


class Answer(msgspec.Struct, frozen=True):
    """What the handler made of an event."""

    error: str | None
    payload: bytes
    ends: bool = False
    """It is the worker's last."""
    rests: bool = False
    """The worker's extensions have something to do yet; see `Worker.rest`."""
    is_quiet: bool = False
    """All that was printed until then had been read before."""


Farewell = Literal["SPINDOWN", "TIMEOUT", "FAILURE"]
"""Why a worker is to end, in the words of Lambda's Extensions API."""
_MOST_FAREWELL_S = 2.5
_READING_S = 0.05
"""How long it may take to read what has been sent."""
MOST_CONCURRENCY = 1600
"""Events at once in one environment; AWS's bound on `PerExecutionEnvironmentMaxConcurrency`."""

Done = Callable[[Answer | Exception], None]
"""Told what came of an event: the answer, one of the exceptions above, or `TimeoutError`. It does not raise."""


Rested = Callable[[bool], None]
"""Told whether the worker must go, because its extensions have not ended their work in time."""


class EventHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """Head of EVENT; see `docs/runtime-protocol.md`."""

    request_id: str
    deadline_ms: int
    arn: str
    client_context: str | None = None
    trace_id: str | None = None
    streaming: bool = False
    """Whether the answer may come in parts."""


class _ResultHead(msgspec.Struct, frozen=True):
    error: str | None = None
    ends: bool = False
    rests: bool = False
    streaming: bool = False
    content_type: str = ""


_PLAIN_RESULT = _ResultHead()
_LAMBDAS_LIMITS = AnswerLimits()


_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(_ResultHead).decode
_decode_ready = msgspec.json.Decoder(Ready).decode


class Worker:
    """One worker, from its SPAWN to its end."""

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.channel: FrameChannel | None = None
        self.mailbox: Mailbox | None = None
        """Where it finds its events, if it has one."""
        self.is_given_up = False
        """It is to be killed, whatever it answers."""
        self.has_hung_up = False
        """Its connection has been read to the end."""
        self.ready: asyncio.Future[tuple[Ready, bytes]] = loop.create_future()
        self.obituary: ProcessEnd | None = None
        """How it ended, as the keeper told; it counts once nothing more can come from the worker itself."""
        self.ended: asyncio.Future[ProcessEnd] = loop.create_future()
        self.on_output: Callable[[str, bytes], None] | None = None
        """Told lines that one of several events under way has printed, with its request id; empty for none of them."""
        self.limits = _LAMBDAS_LIMITS
        """How large its answers may be; set before it is asked."""
        self._farewell_s = 0.0
        self._loop = loop
        self._exchanges: dict[int, _Exchange] = {}
        """Events under way, by number. All of them have the same time, so the first is the first to be due."""
        self.concurrency = 1
        """How many it takes at once; known once it is ready."""
        self._events = 0
        self._laid: deque[int] = deque()
        """Numbers of events that lie ready, or have been taken, behind the one under way."""
        self.together = 1
        """How many answers have come with the one that is being taken, itself and those behind it."""
        self._timer: asyncio.TimerHandle | None = None
        """Rings when the event that was under way when it was set may have run out of time."""
        self._rest: tuple[Rested, asyncio.TimerHandle] | None = None
        """Who waits for its extensions, and for how long."""

    def ask(
        self, head: EventHead, event: Event, timeout_s: float, done: Done, stream: ResponseStream | None = None
    ) -> None:
        """Give it one event. `done` is called once, later, with what came of it; answers in parts go to `stream`."""
        if self.channel is None or self.ended.done():
            end = self.ended.result() if self.ended.done() else ProcessEnd()
            self._loop.call_soon(done, WorkerEnded(end))
            return
        self._events += 1
        deadline = self._loop.time() + timeout_s
        self._exchanges[self._events] = _Exchange(head.request_id, done, deadline, stream)
        if stream is not None:
            stream.attach(self.channel if self.concurrency == 1 else _Valve(self.channel, self._events))
        self._give(self.channel, self._events, head, event)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look_at_the_time)

    def _give(self, channel: FrameChannel, number: int, head: EventHead, event: Event) -> None:
        told = _encode(head)
        if self.mailbox is None:
            is_given = True
        elif isinstance(event, bytes) and _fits(told, event):
            if not self.mailbox.put(encode(EVENT, number, told, event)):
                self._loop.call_soon(self._lose_event, number)
            return
        else:
            is_given = self.mailbox.announce(number)
        if not is_given:
            self._loop.call_soon(self._lose_event, number)
        elif isinstance(event, bytes):
            channel.send_at_once(EVENT, number, told, event)
        else:
            channel.send(EVENT, number, told, flags=0)
            event.pull(partial(self._pass_on, event, number), partial(self._lose_event, number))

    def lay(self, head: EventHead, event: bytes) -> int:
        """Have an event lie ready behind the one under way: its number, or 0 if it cannot.

        The head's deadline is a span of time, which begins when the worker takes it.
        """
        told = _encode(head)
        if self.mailbox is None or self.ended.done() or not _fits(told, event):
            return 0
        number = self._events + 1
        if not self.mailbox.put(encode(EVENT, number, told, event, END | LAID)):
            return 0
        self._events = number
        self._laid.append(number)
        return number

    def take_back(self) -> list[int]:
        """Numbers of the events that lie ready and have not begun; they never will."""
        if self.mailbox is None or not self._laid:
            return []
        is_given_up = self.is_given_up or self.ended.done()
        numbers = self.mailbox.take_back(self._laid, is_given_up=is_given_up)
        for number in numbers:
            self._laid.remove(number)
        return numbers

    def go_on(self, number: int, request_id: str, timeout_s: float, done: Done) -> None:
        """The event of that number, which lay ready, has begun, or would have: as `ask`."""
        self._laid.remove(number)
        if self.ended.done() or self.is_given_up:
            end = self.ended.result() if self.ended.done() else ProcessEnd(signal=9)
            self._loop.call_soon(done, WorkerEnded(end))
            return
        deadline = self._loop.time() + timeout_s
        self._exchanges[number] = _Exchange(request_id, done, deadline, None)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look_at_the_time)

    def _pass_on(self, event: Upload, number: int, part: bytes, is_last: bool) -> None:
        if self.channel is not None and self._is_at(number):
            self.channel.send(CHUNK, number, b"", part, END if is_last else 0)
            self.channel.when_writable(partial(event.dealt_with, len(part)))

    def _lose_event(self, number: int) -> None:
        if self._is_at(number):
            self._finish(number, EventLost())

    def _is_at(self, number: int) -> bool:
        return number in self._exchanges

    def _look_at_the_time(self) -> None:
        """One timer serves event after event: setting and cancelling one for each costs as much as the rest of one."""
        self._timer = None
        while self._exchanges:
            number, exchange = next(iter(self._exchanges.items()))
            # Whoever lays events ready takes them back when one runs for long. The worker has taken those that are
            # still there: then its answer has come, in time, and only has to be read.
            due = exchange.deadline if not self._laid else exchange.deadline + _READING_S
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self._look_at_the_time)
                return
            self._finish(number, TimeoutError())

    def _finish(self, number: int, outcome: Answer | Exception) -> None:
        exchange = self._exchanges.pop(number)
        if exchange.stream is not None:
            exchange.stream.detach()
        exchange.done(outcome)

    def take(self, frame: Frame) -> None:
        """A frame of this worker arrived. Raises `ValueError` on one that has no place here."""
        if frame.kind in (RESULT, CHUNK):
            exchange = self._exchanges.get(frame.stream)
            if exchange is not None:
                outcome = exchange.completed_by(frame, self.limits)
                if outcome is not None:
                    self._finish(frame.stream, outcome)
                    self.together = max(1, self.together - 1)
        elif frame.kind == OUTPUT:
            self._take_output(frame)
        elif frame.kind == RESTED:
            self._has_rested(worker_lost=False)
        elif frame.kind == READY and not self.ready.done():
            ready = _decode_ready(frame.head or b"{}")
            self._farewell_s = min(ready.farewell_s, _MOST_FAREWELL_S)
            self.concurrency = max(1, min(ready.concurrency, MOST_CONCURRENCY))
            self.ready.set_result((ready, frame.body))
        else:
            raise ValueError(f"unexpected frame of kind {frame.kind} from a worker")

    def expect(self, frames: list[Frame]) -> None:
        """These frames of this worker have arrived together, and are to be taken in turn."""
        self.together = max(1, sum(frame.kind == RESULT and frame.ends_message for frame in frames))

    def _take_output(self, frame: Frame) -> None:
        """Lines of one of several events, or of none."""
        exchange = self._exchanges.get(frame.stream)
        if self.on_output is not None:
            for line in frame.body.split(b"\n"):
                self.on_output("" if exchange is None else exchange.request_id, line)

    def rest(self, timeout_s: float, done: Rested) -> None:
        """After an answer that `rests`: have `done` called once when its extensions are ready, or it is given up."""
        if self.ended.done():
            self._loop.call_soon(done, True)
            return
        self._rest = done, self._loop.call_later(max(0.0, timeout_s), lambda: self._has_rested(worker_lost=True))

    def _has_rested(self, *, worker_lost: bool) -> None:
        if self._rest is not None:
            (done, timer), self._rest = self._rest, None
            timer.cancel()
            done(worker_lost)

    async def say_farewell(self, reason: Farewell) -> None:
        """Let it end by itself, where it has asked for that: wait as long as it may take, and no longer."""
        if self.channel is None or not self._farewell_s or self.ended.done():
            return
        self.channel.send(SHUTDOWN, self.number, _encode({"reason": reason}))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._farewell_s):
                await asyncio.shield(self.ended)

    def end(self, end: ProcessEnd) -> None:
        """The process is gone; whoever waits for it is told. Only the first call counts."""
        if self.ended.done():
            return
        self.ended.set_result(end)
        if not self.ready.done():
            self.ready.set_exception(WorkerEnded(end))
            self.ready.exception()  # nobody may be waiting any more
        for number in list(self._exchanges):
            self._finish(number, WorkerEnded(end))
        self._has_rested(worker_lost=True)

    def disconnect(self) -> None:
        """Hang up on it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.channel is not None:
            channel, self.channel = self.channel, None
            channel.abort()
        self.close_mailbox()

    def close_mailbox(self) -> None:
        """Nothing is given to it any more."""
        if self.mailbox is not None:
            self.mailbox.close()


def _fits(head: bytes, event: bytes) -> bool:
    """Whether an event goes into a mailbox whole."""
    return HEADER.size + len(head) + len(event) <= LARGEST_PACKET


class _Valve:
    """Holds up one streamed answer of a worker that has others under way: it is asked to, by frames."""

    def __init__(self, channel: FrameChannel, number: int) -> None:
        self._channel = channel
        self._number = number

    def pause_reading(self) -> None:
        """See `response_stream.Source`."""
        self._channel.send(FLOW, self._number, _encode({"paused": True}))

    def resume_reading(self) -> None:
        """See `response_stream.Source`."""
        self._channel.send(FLOW, self._number, _encode({"paused": False}))


class _Exchange:
    """One event and the answer being put together."""

    __slots__ = ("_head", "_parts", "_size", "deadline", "done", "request_id", "stream")

    def __init__(self, request_id: str, done: Done, deadline: float, stream: ResponseStream | None) -> None:
        self.request_id = request_id
        self.done = done
        self.deadline = deadline
        """On the event loop's clock."""
        self.stream = stream
        self._head = b""
        self._parts: list[bytes] = []
        self._size = 0

    def completed_by(self, frame: Frame, limits: AnswerLimits) -> Answer | AnswerTooLarge | None:
        """The answer, once this frame of it makes it whole or too large."""
        if self.stream is not None and (self.stream.has_begun or self._begins(frame, self.stream)):
            return self._streamed(frame, self.stream, limits.streamed)
        if frame.kind == RESULT:
            self._head = frame.head
        self._size += len(frame.body)
        if self._size > limits.whole:
            return AnswerTooLarge(limits.whole)
        if not frame.ends_message:
            self._parts.append(frame.body)
            return None
        head = _decode_result(self._head) if self._head else _PLAIN_RESULT
        payload = b"".join((*self._parts, frame.body)) if self._parts else frame.body
        return Answer(head.error, payload, head.ends, head.rests, bool(frame.flags & QUIET))

    def _begins(self, frame: Frame, stream: ResponseStream) -> bool:
        """Whether the answer comes in parts, of which this is the first."""
        if frame.kind != RESULT or frame.ends_message or not frame.head:
            return False
        head = _decode_result(frame.head)
        if head.streaming:
            stream.begin(head.content_type)
        return head.streaming

    def _streamed(self, frame: Frame, stream: ResponseStream, limit: int) -> Answer | AnswerTooLarge | None:
        """As `completed_by`. A chunk with a head is, with those behind it, the error that the answer ends with."""
        if self._head or (frame.kind == CHUNK and frame.head):
            self._head = self._head or frame.head
            self._parts.append(frame.body)
            if not frame.ends_message:
                return None
            head = _decode_result(self._head)
            return Answer(head.error, b"".join(self._parts), head.ends, head.rests)
        self._size += len(frame.body)
        if self._size > limit:
            return AnswerTooLarge(limit)
        stream.write(frame.body)
        return Answer(None, b"") if frame.ends_message else None
