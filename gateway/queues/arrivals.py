"""Long polls: who waits for messages of a queue, and what wakes them.

One subscription a process tells what arrives in the queues somebody waits for. A waiter subscribes before it looks into
the queue, so nothing arrives unnoticed; it sleeps until it is woken, or its time is over. As many are woken as messages
arrived, and whoever got some wakes the next, so that a thousand waiters do not all run for one message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import redis.asyncio
from redis.exceptions import RedisError

from gateway.functions.store import reaching_store
from gateway.queues.ending import end
from gateway.queues.errors import RequestThrottled
from gateway.queues.places import ARRIVALS, PREFIX
from samovar.clock import Clock
from samovar.errors import ServiceUnavailable

MAX_WAITERS: Final = 10_000
LINGER_S: Final = 30.0
"""A subscription nobody uses is kept so long: who polls, mostly polls again."""
_HEARTBEAT_S: Final = 10.0
_RETRY_S: Final = 0.5
_EVERYBODY: Final = MAX_WAITERS
_log = logging.getLogger(__name__)


class Line:
    """Those who wait for messages of one queue, the first in front."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sleepers: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms = 0.0
        self.subscribed: asyncio.Future[None] = self._loop.create_future()
        self.heard = 0
        """How often there was something to wake somebody for."""
        self.users = 0
        """Waiters, asleep or looking into the queue."""
        self.closing: asyncio.TimerHandle | None = None

    @property
    def sleeping(self) -> int:
        """How many are asleep."""
        return len(self._sleepers)

    def wake(self, count: int) -> None:
        """Wake the first so many; who is looking into the queue just now looks once more."""
        self.heard += 1
        while count > 0 and self._sleepers:
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                count -= 1

    def expect(self, due_ms: float) -> None:
        """Something becomes visible at this time (epoch ms): wake somebody then."""
        if self._alarm is not None:
            if self._alarm_ms <= due_ms:
                return
            self._alarm.cancel()
        self._alarm_ms = due_ms
        self._alarm = self._loop.call_later(max(0.0, due_ms / 1000 - self._clock.epoch()), self._ring)

    async def sleep(self, seconds: float, heard: int) -> None:
        """Until somebody wakes this waiter, but no longer than `seconds`.

        `heard` is what it was before the waiter last looked into the queue: what came since may have been missed.
        """
        if heard != self.heard:
            return
        sleeper: asyncio.Future[None] = self._loop.create_future()
        self._sleepers.append(sleeper)
        try:
            async with asyncio.timeout(seconds):
                await sleeper
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if sleeper.done() and not sleeper.cancelled():
                self.wake(1)  # what it was woken for is another's now
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._sleepers.remove(sleeper)

    def close(self) -> None:
        """Nobody uses it any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        if not self.subscribed.done():
            self.subscribed.set_result(None)

    def _ring(self) -> None:
        self._alarm = None
        self.wake(1)


class Arrivals:
    """An async context manager. It connects when somebody waits for the first time."""

    def __init__(self, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._redis: Any = client
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._waiting = 0
        self._subscription: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._commands: set[asyncio.Task[None]] = set()
        self.ended = False
        """Whether nobody is to wait any more."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if self._reader is not None:
            await end(self._reader)
        for line in self._lines.values():
            if line.closing is not None:
                line.closing.cancel()
            line.close()

    @property
    def sleeping(self) -> int:
        """How many are asleep now."""
        return sum(line.sleeping for line in self._lines.values())

    def end(self) -> None:
        """Wake everybody, and have nobody wait from here on."""
        self.ended = True
        for line in self._lines.values():
            line.wake(_EVERYBODY)

    @asynccontextmanager
    async def line(self, uid: str) -> AsyncIterator[Line]:
        """The line of a queue; whatever arrives from here on wakes those who sleep in it.

        Raises `RequestThrottled` when too many wait, `ServiceUnavailable` when Redis is away.
        """
        if self._waiting >= MAX_WAITERS:
            raise RequestThrottled(f"{MAX_WAITERS} requests wait for messages already; try again later.")
        line = self._lines.get(uid) or self._open(uid)
        if line.closing is not None:
            line.closing.cancel()
            line.closing = None
        self._waiting += 1
        line.users += 1
        try:
            async with reaching_store():
                await asyncio.shield(line.subscribed)
            yield line
        finally:
            self._waiting -= 1
            line.users -= 1
            if line.users == 0:
                line.closing = asyncio.get_running_loop().call_later(LINGER_S, self._close, uid)

    def _open(self, uid: str) -> Line:
        line = self._lines[uid] = Line(self._clock)
        if self._reader is None:
            self._reader = asyncio.create_task(self._follow(), name="arrivals in queues")
        elif self._subscription is not None:
            self._tell(self._subscription.subscribe(_channel(uid)))
        return line

    def _close(self, uid: str) -> None:
        self._lines.pop(uid).close()
        if self._subscription is not None and self._reader is not None:
            self._tell(self._subscription.unsubscribe(_channel(uid)))

    def _tell(self, command: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(_sent(command))
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    async def _follow(self) -> None:
        troubled = False
        while self._lines:
            try:
                async with self._redis.pubsub() as subscription:
                    await self._subscribe(subscription)
                    troubled = False
                    await self._read(subscription)
            except (RedisError, OSError, ServiceUnavailable) as error:
                if not troubled:
                    _log.warning("waiting for messages was interrupted: %s", error)
                troubled = True
            finally:
                self._subscription = None
            for line in self._lines.values():  # what arrives until the next subscription is not told
                if line.subscribed.done():
                    line.subscribed = asyncio.get_running_loop().create_future()
            if self._lines:
                await asyncio.sleep(_RETRY_S)
        self._reader = None

    async def _subscribe(self, subscription: Any) -> None:
        known: set[str] = set()
        while self._lines.keys() - known:  # some may come while others are being subscribed
            fresh = self._lines.keys() - known
            await subscription.subscribe(*map(_channel, fresh))
            known |= fresh
        self._subscription = subscription

    async def _read(self, subscription: Any) -> None:
        asked = False
        while self._lines:
            message = await subscription.get_message(timeout=_HEARTBEAT_S)
            if message is None:
                if asked:
                    raise ServiceUnavailable("the subscription is silent")
                await subscription.ping()
            elif message["type"] in ("subscribe", "message"):
                self._heard(message)
            asked = message is None

    def _heard(self, message: dict[str, Any]) -> None:
        line = self._lines.get(message["channel"].decode()[len(PREFIX) : -len(ARRIVALS)])
        if line is None:
            return
        said = message["data"]
        if message["type"] == "subscribe":
            if not line.subscribed.done():
                line.subscribed.set_result(None)
            line.wake(_EVERYBODY)  # who slept through an interruption looks again
        elif said.startswith(b"@"):
            line.expect(float(said[1:]))
        else:
            line.wake(_EVERYBODY if said == b"gone" else int(said))


def _channel(uid: str) -> str:
    return f"{PREFIX}{uid}{ARRIVALS}"


async def _sent(command: Coroutine[Any, Any, object]) -> None:
    """A command whose answer the reader gets; when it cannot be sent, the reader finds out by itself."""
    with contextlib.suppress(RedisError, OSError):
        await command
