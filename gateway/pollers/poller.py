"""One slot of a mapping: takes records from its source, calls its function with batches of them, settles each record.

A poller has *lanes*. Each collects a batch, waits for the function and settles it, one batch after the other; so lanes
are the batches under way at once. There is one while the source is quiet, and another whenever a batch came back full,
up to the slot's share.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from gateway.pollers.batching import RECEIVED_AT_ONCE, Batcher, BatchLimits
from gateway.pollers.filters import Filters
from gateway.pollers.outcome import Item, failures
from gateway.pollers.source import Source, SourceProblem, Taken, event_of
from samovar.errors import PlatformError, SamovarError, TooManyRequests

LANES: Final = 5
"""Batches under way at once in one slot: a mapping begins with so many (lambda-facts §7)."""
OK: Final = "OK"
_PAUSES: Final = wait_exponential_jitter(multiplier=0.5, max=30.0)
_FIRST_RETRY_S: Final = 0.1
_RETRIES: Final = wait_exponential_jitter(multiplier=_FIRST_RETRY_S * 2, max=10.0)
_SATURATED_S: Final = 1.0
_AHEAD: Final = 5
_AT_ONCE_S: Final = 0.1
"""A function that takes longer does not gain from what was taken ahead, which others could have instead."""
_STOP_PAUSE_S: Final = 0.5
_log = logging.getLogger("samovar.pollers")


class Called(NamedTuple):
    """What came of calling a function."""

    is_error: bool
    payload: bytes


class Call(Protocol):
    """The function of a mapping."""

    async def __call__(self, event: bytes, traces: Sequence[str]) -> Called:
        """Call it once with an event of records that came with these traces.

        Raises platform errors, `TooManyRequests` and `ResourceNotFound` among them.
        """
        ...

    async def obstacle(self) -> str | None:
        """Why it cannot be called at all, if it cannot: nothing is taken from the source then."""
        ...


class Plan(NamedTuple):
    """How a mapping is polled."""

    limits: BatchLimits
    filters: Filters
    reports: bool
    """Whether the function reports failures of single records."""
    lanes: int
    """The most batches under way at once in this slot."""
    stays: bool
    """Whether it goes on when there is nothing to do."""
    ahead: bool = False
    """Whether records may be taken ahead of the lanes that will work on them: not where they have an order."""


class Poller:
    """See the module. `note` is told what came of the last batch whenever that is something else than before."""

    def __init__(self, plan: Plan, source: Source, call: Call, note: Callable[[str], None]) -> None:
        self._plan = plan
        self._source = source
        self._call = call
        self._note = note
        self._noted = ""
        self._held: dict[int, Sequence[Taken]] = {}
        """What each lane has in its hands."""
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._receiving: set[int] = set()
        self._ahead: list[Taken] = []
        """Taken for lanes that will come for more in a moment."""
        self._is_flood = False
        """Whether the source gives all it is asked for, and the function is done with it at once."""
        self._settling: set[asyncio.Task[None]] = set()
        """What is told to the source while its lanes go on already."""
        self._busy_since: float | None = None
        self._stopping = asyncio.Event()
        self._dropped = False
        self._over = asyncio.Event()
        """Set when it is to stop, or has nothing to do any more."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing in its hands."""
        return not self._ahead and not self._settling and not any(self._held.values())

    @property
    def is_saturated(self) -> bool:
        """Whether all its lanes have been at work for a while: then there is work for another slot."""
        return self._busy_since is not None and time.monotonic() - self._busy_since >= _SATURATED_S

    async def run(self) -> None:
        """Poll until stopped, or until there is nothing to do and the plan does not say to stay."""
        self._open_lane()
        await self._over.wait()
        while self._lanes:
            for number, lane in self._lanes.items():
                if self._dropped or number in self._receiving:
                    lane.cancel()
            # redis-py loses a cancellation that arrives while it connects, hence the repetition.
            await asyncio.wait(list(self._lanes.values()), timeout=_STOP_PAUSE_S)
        if self._dropped:
            for task in self._settling:
                task.cancel()
        if self._settling:
            await asyncio.wait(self._settling)
        if not self._dropped:
            await self._let_go(self._ahead)
        self._ahead = []
        await self._source.close()

    def stop(self) -> None:
        """Take no more; `run` returns when everything that was taken is settled."""
        self._stopping.set()
        self._over.set()

    def cancel(self) -> None:
        """Drop everything; what was taken comes back when it is not kept any more."""
        self._dropped = True
        self.stop()

    async def keep(self) -> None:
        """Hold on to what is being worked on. To be called several times in each `HOLD_S`."""
        held = [record for records in [self._ahead, *self._held.values()] for record in records]
        if held:
            try:
                await self._source.keep(held)
            except (SamovarError, SourceProblem) as error:
                _log.warning("records could not be held on to, and may be processed twice: %s", error)

    # Lanes.

    def _open_lane(self) -> None:
        number = next(number for number in range(len(self._lanes) + 1) if number not in self._lanes)
        task = asyncio.create_task(self._lane(number), name=f"lane-{number}")
        self._lanes[number] = task
        task.add_done_callback(lambda done: self._closed(number, done))

    def _closed(self, number: int, done: asyncio.Task[None]) -> None:
        del self._lanes[number]
        self._held.pop(number, None)
        self._look_at_load()
        if not done.cancelled() and done.exception() is not None:
            _log.error("a poller's lane failed", exc_info=done.exception())
        if not self._lanes:
            self._over.set()

    def _look_at_load(self) -> None:
        is_busy = len(self._lanes) >= self._plan.lanes and not self._receiving
        if not is_busy:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = time.monotonic()

    async def _lane(self, number: int) -> None:
        batcher: Batcher[Taken] = Batcher(self._plan.limits)
        problems = 0
        while not self._stopping.is_set():
            try:
                if not await self._collect(number, batcher):
                    break
                batch = batcher.take(time.monotonic())
                if batcher.room() == 0 or len(batch) >= self._plan.limits.records:
                    self._grow()
                await self._process(number, batch, batcher)
                problems = 0
            except (SamovarError, SourceProblem) as error:
                problems += 1
                self._tell(f"PROBLEM: {error}")
                await self._pause(problems)
        await self._let_go(batcher.clear())

    def _grow(self) -> None:
        if len(self._lanes) < self._plan.lanes and not self._receiving and not self._stopping.is_set():
            self._open_lane()

    async def _collect(self, number: int, batcher: Batcher[Taken]) -> bool:
        """Receive until a batch is due; false when this lane is not needed any more."""
        while not batcher.is_due(time.monotonic()):
            obstacle = await self._call.obstacle()
            if obstacle is not None:
                raise SourceProblem(obstacle)
            most, wait = min(RECEIVED_AT_ONCE, batcher.room()), batcher.patience(time.monotonic())
            records, self._ahead = self._ahead[:most], self._ahead[most:]
            if not records:
                records = await self._receive(number, most, wait)
            for record in records:
                batcher.add(record, time.monotonic())
            self._held[number] = batcher.waiting
            if self._stopping.is_set():
                return False
            if not records and not len(batcher) and self._is_surplus():
                return False
        return True

    async def _receive(self, number: int, most: int, wait_s: float) -> list[Taken]:
        """Those of the records received that pass the filters; the others are settled."""
        if self._stopping.is_set():
            return []
        self._receiving.add(number)
        self._look_at_load()
        asked = most * _AHEAD if self._plan.ahead and self._is_flood else most
        try:
            received = await self._source.receive(asked, wait_s)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._stopping.is_set() or self._dropped or task is None:
                raise
            task.uncancel()
            return []
        finally:
            self._receiving.discard(number)
            self._look_at_load()
        passed = [record for record, seen in received if self._plan.filters.passes(seen)]
        if len(passed) < len(received):
            wanted = {id(record) for record in passed}
            await self._source.done([record for record, _ in received if id(record) not in wanted])
        self._is_flood = self._is_flood and len(received) == asked
        self._ahead += passed[most:]
        return passed[:most]

    def _is_surplus(self) -> bool:
        return len(self._lanes) > 1 or not self._plan.stays

    async def _process(self, number: int, batch: Sequence[Taken], left: Batcher[Taken]) -> None:
        """Call the function with a batch and settle each of its records."""
        self._held[number] = [*batch, *left.waiting]
        began = time.monotonic()
        try:
            called = await self._call_until(batch)
        except SamovarError:
            await self._let_go([*batch, *left.clear()])
            raise
        self._is_flood = time.monotonic() - began < _AT_ONCE_S and len(batch) == self._plan.limits.records
        places = failures(
            [Item(record.id, record.group) for record in batch],
            called.payload,
            is_error=called.is_error,
            reports=self._plan.reports,
        )
        failed = [record for place, record in enumerate(batch) if place in places]
        groups = {record.group for record in failed if record.group is not None}
        if groups:  # what was received behind them must not overtake them
            failed += left.clear()
        done = [record for place, record in enumerate(batch) if place not in places]
        if done:
            await self._settle(done)
        if failed:
            await self._source.failed(failed)
        self._held[number] = left.waiting
        self._tell(OK if not failed else "PROBLEM: Function call failed")

    async def _settle(self, done: Sequence[Taken]) -> None:
        """Tell the source that records are done; in a flood the lane goes on meanwhile, and many are told together."""
        if not self._plan.ahead or not self._is_flood or len(self._settling) >= LANES:
            await self._source.done(done)
            return
        task = asyncio.create_task(self._settle_beside(done), name="settling")
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle_beside(self, done: Sequence[Taken]) -> None:
        try:
            await self._source.done(done)
        except (SamovarError, SourceProblem) as error:
            _log.warning(
                "%d records are done but could not be settled, and will be processed again: %s", len(done), error
            )
            self._tell(f"PROBLEM: {error}")

    async def _call_until(self, batch: Sequence[Taken]) -> Called:
        """Call, and again while the function is throttled or the platform is at fault, as long as records may wait."""
        event = event_of(batch)
        traces = [record.trace for record in batch if record.trace is not None]
        try:
            return await self._call(event, traces)  # nearly always; what repeats calls costs as much as one
        except (TooManyRequests, PlatformError) as error:
            self._tell(f"PROBLEM: {error}")
        return await self._call_again(event, traces, min(map(self._source.deadline, batch)))

    async def _call_again(self, event: bytes, traces: Sequence[str], deadline: float) -> Called:
        def is_over(state: RetryCallState) -> bool:
            return self._stopping.is_set() or time.monotonic() + state.upcoming_sleep >= deadline

        await self._sleep(_FIRST_RETRY_S)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((TooManyRequests, PlatformError)),
            wait=_RETRIES,
            stop=is_over,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                return await self._call(event, traces)
        raise AssertionError("it ends with an answer or an error")

    async def _let_go(self, records: Sequence[Taken]) -> None:
        if records:
            try:
                await self._source.give_back(records)
            except (SamovarError, SourceProblem) as error:
                _log.info("records come back later than they might: %s", error)

    async def _pause(self, problems: int) -> None:
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = problems
        await self._sleep(_PAUSES(state))

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not once it is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _tell(self, result: str) -> None:
        if result != self._noted:
            self._noted = result
            self._note(result)
