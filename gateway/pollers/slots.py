"""The slots a process polls: taken and given up by leases, polled as their mappings say, changed when those change.

Celery decides which process gets a slot: whoever takes the task asks here. Slot 0 of a mapping goes round, so that a
worker that has joined gets its share; another slot is asked for when all lanes of those there are have been at work
for a while, and given up when it has nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import redis.asyncio
from redis.exceptions import RedisError

from gateway.mappings.mapping import Mapping
from gateway.mappings.mapping_store import CHANGED, MappingStore
from gateway.pollers.leases import RENEWAL_S, Leases, Slot, SlotTaken, stamp
from gateway.pollers.plans import Planner
from gateway.pollers.poller import LANES, Poller
from gateway.pollers.settling import is_polled, settled
from gateway.pollers.source import Source, SourceProblem
from samovar.errors import SamovarError

TURN_S: Final = 60.0
"""After this a slot with nothing to do is offered to the other workers."""
_TICK_S: Final = 2.0
_LISTENS_S: Final = 60.0
_log = logging.getLogger("samovar.pollers")

Offer = Callable[[Slot], None]
"""Asks for some worker to take a slot. Neither waits nor raises."""


class Ends(NamedTuple):
    """When a process stops, and how long what it works on may take then."""

    stopping: asyncio.Event
    within_s: float


@dataclass(slots=True, eq=False)
class _Running:
    """A slot this process has."""

    mapping: Mapping
    source: Source
    poller: Poller
    task: asyncio.Task[None]
    since: float
    renewed: float
    is_ending: bool = False


class Slots:
    """Owner of what this process polls. It does something while it has slots, and then in the task that brought one."""

    def __init__(self, name: str, client: redis.asyncio.Redis, planner: Planner, offer: Offer, ends: Ends) -> None:
        """`name` tells this process from all others."""
        self._name = name
        self._redis: Any = client
        self._store = MappingStore(client)
        self._leases = Leases(client)
        self._planner = planner
        self._offer = offer
        self._ends = ends
        self._running: dict[Slot, _Running] = {}
        self._finishing: set[_Running] = set()
        """Those that another one has followed, with what they still have to settle."""
        self._taking: set[Slot] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._attended = False

    async def attend(self, slot: Slot) -> None:
        """Take a slot if it is free. The first to come stays until there are no slots any more."""
        if not await self.take(slot) or self._attended:
            return
        self._attended = True
        listening = asyncio.create_task(self._listen(), name="changes of mappings")
        try:
            await self._attend()
        finally:
            self._attended = False
            listening.cancel()
            await asyncio.wait([listening])

    async def _attend(self) -> None:
        stopping = self._ends.stopping
        while self._running or self._taking or self._finishing or self._jobs:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await stopping.wait()
            if stopping.is_set():
                await self._close()
                return
            for slot, running in list(self._running.items()):
                self._spawn(self._tick(slot, running))
            for running in self._finishing:
                self._spawn(running.poller.keep())

    async def _close(self) -> None:
        """Finish, within a limit, and give the slots to whoever is there."""
        for slot in list(self._running):
            self._end(slot)
        pollers = {*self._running.values(), *self._finishing}
        deadline = time.monotonic() + self._ends.within_s
        while waiting := [one.task for one in pollers if not one.task.done()]:
            left = deadline - time.monotonic()
            await asyncio.wait(waiting, timeout=max(0.0, min(left, RENEWAL_S)))
            for one in pollers:
                if left <= 0:
                    one.poller.cancel()
                elif not one.task.done():
                    self._spawn(one.poller.keep())
        while self._jobs:
            await asyncio.wait(self._jobs)

    async def take(self, slot: Slot) -> bool:
        """Poll a slot from now on, if it is free and its mapping wants to be polled."""
        if self._ends.stopping.is_set() or slot in self._running or slot in self._taking:
            return False
        self._taking.add(slot)
        try:
            return await self._take(slot)
        finally:
            self._taking.discard(slot)

    async def _take(self, slot: Slot) -> bool:
        try:
            mapping = await self._leases.hold(slot, self._name)
        except SlotTaken:
            return False
        if mapping is None or not is_polled(mapping) or slot.number * LANES >= self._planner.lanes_of(mapping):
            await self._leases.release(slot, self._name)
            if mapping is not None:
                await settled(self._store, self._leases, mapping)
            return False
        await self._start(slot, mapping)
        return True

    async def _start(self, slot: Slot, mapping: Mapping) -> None:
        await self._leases.hold(slot, self._name, stamp(mapping))
        plan, source, call = self._planner.plan(slot, mapping)
        poller = Poller(plan, source, call, lambda result: self._spawn(self._note(mapping.uuid, result)))
        now = time.monotonic()
        task = asyncio.create_task(poller.run(), name=f"poller-{mapping.uuid}-{slot.number}")
        running = self._running[slot] = _Running(mapping, source, poller, task, now, now)
        task.add_done_callback(lambda _: self._spawn(self._ended(slot, running)))
        await settled(self._store, self._leases, mapping)

    def _end(self, slot: Slot) -> None:
        running = self._running[slot]
        running.is_ending = True
        running.poller.stop()

    async def _ended(self, slot: Slot, running: _Running) -> None:
        """A poller has come to its end: the slot is free."""
        self._finishing.discard(running)
        if self._running.get(slot) is not running:
            return  # another one has taken its place
        del self._running[slot]
        mapping = await self._store.get(slot.mapping)
        if mapping is not None and mapping.state == "Deleting":
            with contextlib.suppress(SourceProblem):
                await running.source.forget()
        await self._leases.release(slot, self._name)
        if mapping is not None:
            await settled(self._store, self._leases, mapping)
            if slot.number == 0 and is_polled(mapping):
                self._offer(slot)

    # What happens by itself.

    async def _tick(self, slot: Slot, running: _Running) -> None:
        now = time.monotonic()
        if now - running.renewed >= RENEWAL_S:
            running.renewed = now
            await running.poller.keep()
            await self._renew(slot, running)
        if running.is_ending:
            return
        following = Slot(slot.mapping, slot.number + 1)
        if running.poller.is_saturated and following.number * LANES < self._planner.lanes_of(running.mapping):
            if following.number not in {one.slot for one in await self._leases.holders(slot.mapping)}:
                self._offer(following)
        elif running.poller.is_idle and now - running.since >= TURN_S:
            self._end(slot)

    async def _renew(self, slot: Slot, running: _Running) -> None:
        try:
            mapping = await self._leases.hold(slot, self._name, stamp(running.mapping))
        except SlotTaken:
            _log.warning("slot %d of mapping %s was taken by another worker; leaving it", slot.number, slot.mapping)
            running.poller.cancel()
            return
        if self._running.get(slot) is not running or running.is_ending:
            return
        if mapping is None or not is_polled(mapping):
            self._end(slot)
        elif stamp(mapping) != stamp(running.mapping):
            running.poller.stop()  # it finishes what it has; the next one begins at once
            self._finishing.add(running)
            await self._start(slot, mapping)

    async def _listen(self) -> None:
        """Hear of changes at once. What is missed is found when leases are renewed."""
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANGED)
                    while True:
                        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=_LISTENS_S)
                        if message is not None:
                            self._heard(message["data"].decode())
            except (RedisError, OSError) as error:
                _log.info("changes of mappings are not heard at once: %s", error)
                await asyncio.sleep(RENEWAL_S)

    def _heard(self, uuid: str) -> None:
        for slot, running in list(self._running.items()):
            if slot.mapping == uuid:
                self._spawn(self._renew(slot, running))

    async def _note(self, uuid: str, result: str) -> None:
        await self._store.note_result(uuid, result)

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


async def _logged(job: Coroutine[Any, Any, None]) -> None:
    """Of what nobody waits for, the store's being away is no more than a line: the next tick does it again."""
    try:
        await job
    except SamovarError as error:
        _log.warning("%s", error)
