"""A turn at a line of events: claim, run many at once, settle in batches, leave when there is nothing more."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, Protocol, TypeVar

from redis.exceptions import RedisError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_exponential

from gateway.events.intake import Ring
from gateway.events.lines import BEYOND_MS, Claimed, Lines, Settlement
from gateway.events.rules import End, Ended
from gateway.events.window import Window
from samovar.clock import Clock

BLOCK_MS: Final = 2000
"""How long one command waits for news. Below the client's own deadline for an answer."""
LINGER_S: Final = 5.0
"""How long somebody stays at a line in which nothing happens: the next event finds them there."""
LOOK_AROUND_S: Final = 5.0
"""How often what dead workers hold is looked for."""
AHEAD_BYTES: Final = 4 * 1024 * 1024
"""Payloads that are claimed before they can be run."""
_AHEAD: Final = 128
_LOW: Final = 4
"""With one of so many claimed events left, more are claimed: there is something to run until they are there."""
_GATHERS_S: Final = 0.02
"""While there is more to run, results are gathered for so long before they are settled together."""
_TOGETHER: Final = 500
"""Events settled by one script, so that it does not keep others from the store for long."""
_GIVE_UP_S: Final = 120.0
"""After so long without the store, what was claimed is left to whoever finds it."""
_FAR_MS: Final = 2**53
"""Stands for no time at all."""
_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Does(Protocol):
    """What is done with an event; `gateway.events.work.Work` is one."""

    def begin(self, line: str, claimed: Claimed, done: Callable[[Settlement, Ended | None], None]) -> bool:
        """Do it without a task and tell of its end; false, with nothing done, when that cannot be. Does not raise."""
        ...

    async def do(self, line: str, claimed: Claimed) -> tuple[Settlement, Ended | None]:
        """Do it, and tell what became of it, and how it ended if it was run. Does not raise."""
        ...


class Turn:
    """One worker's turn at one line. It is over when nothing happens any more, or `stop` is called."""

    def __init__(self, lines: Lines, work: Does, ring: Ring, clock: Clock, window: Window) -> None:
        self._lines = lines
        self._work = work
        self._ring = ring
        self._clock = clock
        self._window = window
        self._line = ""
        self._worker = ""
        self._linger_s = 0.0
        self._claimed: deque[Claimed] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        """Of those that run, the ones that need a task."""
        self._is_over = False
        self._ended: list[Settlement] = []
        self._settling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        self._next_due_ms = 0
        self._looked = self._quiet_since = 0.0
        self._average = 1024.0
        self.done = 0
        """Events that were run, whatever came of it."""

    def __repr__(self) -> str:
        return f"<Turn at {self._line} [{self._running} run, {len(self._claimed)} claimed, {self.done} done]>"

    def stop(self) -> None:
        """Claim nothing more; what runs, runs to its end."""
        self._stopping = True
        self._changed.set()

    async def at(self, line: str, worker: str, linger_s: float = LINGER_S) -> int | None:
        """Drain a line; when its next event is due, if there is one. Raises what redis-py raises.

        Whoever calls has taken the line (`Lines.take`), or helps somebody who has. Cancelled, it leaves what it had
        claimed to whoever finds it.
        """
        self._line, self._worker, self._linger_s = line, worker, linger_s
        try:
            self._claimed.extend(await self._lines.reclaim(line, worker, own=True))
            self._looked = self._quiet_since = self._clock.monotonic()
            while not self._stopping:
                has_news = await _patiently(self._step)
                now = self._clock.monotonic()
                if has_news or self._is_busy():
                    self._quiet_since = now
                elif now - self._quiet_since >= linger_s and await self._lines.leave(line, worker):
                    return self._next_due
            await self._finish()
            return self._next_due
        finally:
            self._is_over = True
            for task in self._tasks:
                task.cancel()

    def _is_busy(self) -> bool:
        return bool(self._running or self._claimed or self._settling)

    @property
    def _next_due(self) -> int | None:
        return None if self._next_due_ms == _FAR_MS else self._next_due_ms

    async def _step(self) -> bool:
        await self._look_around()
        return await self._news()

    async def _look_around(self) -> None:
        """Put back what is due, take over what the dead left, and begin what there is room for."""
        now_ms = self._now_ms()
        if self._next_due_ms <= now_ms or now_ms + BEYOND_MS < self._next_due_ms != _FAR_MS:
            due = await self._lines.wake(self._line, now_ms)
            self._next_due_ms = _FAR_MS if due is None else due
        now = self._clock.monotonic()
        if now - self._looked > LOOK_AROUND_S:
            self._claimed.extend(await self._lines.reclaim(self._line, self._worker, own=False))
            self._looked = now
        self._begin()

    async def _news(self) -> bool:
        """Wait until there is something to do: events to claim, room for claimed ones, or a time that has come."""
        if len(self._claimed) > self._ahead // _LOW or self._window.held_for(self._clock.monotonic()):
            self._changed.clear()
            held_s = self._window.held_for(self._clock.monotonic())
            await _set_within(self._changed, held_s or BLOCK_MS / 1000)
            return True
        until_due_ms = self._next_due_ms - self._now_ms()
        stays_ms = int((self._linger_s - self._clock.monotonic() + self._quiet_since) * 1000)
        block_ms = min(BLOCK_MS, until_due_ms, BLOCK_MS if self._is_busy() else stays_ms)
        found = await self._lines.claim(self._line, self._worker, self._ahead, max(1, block_ms))
        for one in found:
            self._average += (len(one.payload) - self._average) / 16
        self._claimed.extend(found)
        self._begin()
        return bool(found)

    @property
    def _ahead(self) -> int:
        """How many events are claimed at once."""
        return max(1, min(_AHEAD, int(AHEAD_BYTES / self._average)))

    def _begin(self) -> None:
        """Run as many of the claimed events as there is room for."""
        if self._window.held_for(self._clock.monotonic()):
            return
        while self._claimed and self._running < self._window.size:
            claimed = self._claimed.popleft()
            self._running += 1
            if not self._work.begin(self._line, claimed, self._ran):
                task = asyncio.get_running_loop().create_task(self._do(claimed))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _do(self, claimed: Claimed) -> None:
        self._ran(*await self._work.do(self._line, claimed))

    def _ran(self, settlement: Settlement, ended: Ended | None) -> None:
        if self._is_over:
            return  # it was left to whoever finds it
        self._running -= 1
        self.done += 1
        if ended is not None and ended.end is End.NOT_NOW:
            self._window.refused(self._clock.monotonic())
        else:
            self._window.ran()
        if settlement.due_ms:
            self._next_due_ms = min(self._next_due_ms, settlement.due_ms)
        self._ended.append(settlement)
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._settle())
        self._begin()
        if len(self._claimed) <= self._ahead // _LOW:
            self._changed.set()  # else there is nothing to be looked for yet

    async def _settle(self) -> None:
        """Bring what has ended to the store: what comes meanwhile is the next batch."""
        try:
            while self._ended:
                if self._claimed:
                    await asyncio.sleep(_GATHERS_S)
                batch, self._ended = self._ended[:_TOGETHER], self._ended[_TOGETHER:]
                asked = await _patiently(self._lines.settle, self._line, batch, self._now_ms())
                if asked:
                    self._ring(asked)
        except RedisError as error:
            # It was run, and will be run again: nothing else can be known to whoever takes it over.
            _log.error("what came of %d events could not be stored: %s", len(batch), error)
        finally:
            self._settling = None
            self._changed.set()

    def _now_ms(self) -> int:
        return int(self._clock.epoch() * 1000)

    async def _finish(self) -> None:
        """Wait for what runs; what was claimed and not begun is left to the next turn."""
        while self._running or self._settling is not None:
            self._changed.clear()
            await _set_within(self._changed, 1.0)
        await self._lines.leave(self._line, self._worker, anyhow=True)


async def _patiently(step: Callable[P, Awaitable[T]], *given: P.args, **named: P.kwargs) -> T:
    """What a step answers; while the store is away it is tried again. Raises what redis-py raises in the end."""
    try:
        return await step(*given, **named)
    except (RedisError, OSError):
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((RedisError, OSError)),
            wait=wait_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(_GIVE_UP_S),
            before_sleep=_say_store_is_away,
            reraise=True,
        )
        return await retrying(step, *given, **named)


def _say_store_is_away(state: RetryCallState) -> None:
    """Without what was to be done: there are events in it."""
    assert state.outcome is not None, "it has just failed"
    _log.warning("the store is away, trying again: %s", state.outcome.exception())


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
