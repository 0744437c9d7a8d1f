"""Who polls what: two workers share mappings by leases, one follows the other, and changes take effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis.asyncio

from gateway.functions.record import FunctionRecord
from gateway.link.invoker_link import Answer, Call
from gateway.mappings.mapping import Config, Event, Mapping, fired, with_defaults
from gateway.mappings.mapping_store import MappingStore
from gateway.pollers import leases as leasing
from gateway.pollers import slots as slotting
from gateway.pollers.leases import Leases, Slot, SlotTaken
from gateway.pollers.plans import Planner
from gateway.pollers.queue_source import QueueSource
from gateway.pollers.settling import settled
from gateway.pollers.slots import Ends, Slots
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from samovar.clock import SystemClock
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead
from samovar.names import new_request_id
from tests.gateway.builders import record
from tests.gateway.pollers.polling import PATIENCE_S, eventually, until

pytestmark = pytest.mark.component("valkey")
ACCOUNT, REGION = "123456789012", "us-east-1"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders"


class OneFunction:
    """Finds the same function always, and runs it by noting what it was given."""

    def __init__(self) -> None:
        self.records = 0
        self.calls = 0
        self.under_way = 0
        self.most_under_way = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        return record("orders")

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        assert call.trigger == "queue"
        self.records += len(msgspec.json.decode(payload)["Records"])
        self.calls += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.go_on.wait()
        self.under_way -= 1
        return Answer(AnswerHead(), b"null")


class Worker:
    """A process with slots. What it offers is noted, and given to whoever the test decides."""

    def __init__(self, name: str, client: redis.asyncio.Redis, queues: Queues, function: OneFunction) -> None:
        self.offers: list[Slot] = []
        self.stopping = asyncio.Event()

        def opened(mapping: Mapping) -> QueueSource:
            return QueueSource(queues, mapping.config.event_source_arn or "")

        planner = Planner(function, function, opened, 100, lambda: 0.0)
        self.slots = Slots(name, client, planner, self.offers.append, Ends(self.stopping, 5.0))
        self._tasks: set[asyncio.Task[None]] = set()

    def give(self, mapping: Mapping, number: int = 0) -> None:
        """Have it try to take a slot."""
        self._tasks.add(asyncio.create_task(self.slots.attend(Slot(mapping.uuid, number))))

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self.stopping.set()
        await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), PATIENCE_S)

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing is told to anybody, so it may not notice that its pollers end."""
        self.slots._running.clear()
        for task in asyncio.all_tasks():
            if task in self._tasks or task.get_name().startswith(("poller-", "lane-", "changes of")):
                task.cancel()
        await asyncio.wait(self._tasks)
        self._tasks.clear()


class House:
    """Everything around the workers of a test."""

    def __init__(self, client: redis.asyncio.Redis, queues: Queues) -> None:
        self.client = client
        self.queues = queues
        self.store = MappingStore(client)
        self.leases = Leases(client)
        self.function = OneFunction()
        self.queue = ""
        self.workers: list[Worker] = []

    def worker(self) -> Worker:
        self.workers.append(Worker(f"worker-{len(self.workers)}", self.client, self.queues, self.function))
        return self.workers[-1]

    async def mapping(self, **config: Any) -> Mapping:
        made = Mapping(
            uuid=new_request_id(),
            revision_id=new_request_id(),
            account=ACCOUNT,
            region=REGION,
            function_arn=ARN,
            state="Creating",
            enabled=True,
            modified=1.0,
            config=with_defaults(Config(event_source_arn=self.queue, **config)),
        )
        await self.store.put(None, made)
        return made

    async def change(self, uuid: str, event: Event, **members: Any) -> Mapping:
        current = await self.current(uuid)
        assert current is not None
        changed = msgspec.structs.replace(
            current,
            revision_id=new_request_id(),
            state=fired(current.state, event),
            modified=current.modified + 1,
            **members,
        )
        await self.store.put(current, changed)
        return changed

    async def current(self, uuid: str) -> Mapping | None:
        found = await self.store.get(uuid)
        return None if found is None else await settled(self.store, self.leases, found)

    async def state(self, uuid: str) -> str | None:
        found = await self.current(uuid)
        return None if found is None else found.state

    async def holder(self, uuid: str, slot: int = 0) -> str | None:
        return {one.slot: one.name for one in await self.leases.holders(uuid)}.get(slot)

    async def until_state(self, uuid: str, state: str | None) -> None:
        async def is_there() -> bool:
            return await self.state(uuid) == state

        await eventually(is_there)

    async def until_held(self, uuid: str, name: str | None, slot: int = 0) -> None:
        async def is_held() -> bool:
            return await self.holder(uuid, slot) == name

        await eventually(is_held)

    async def send(self, count: int) -> None:
        for start in range(0, count, 10):
            await self.queues.send_batch(self.queue, [Outgoing(body=str(start + one)) for one in range(10)])


@pytest.fixture
async def house(client: redis.asyncio.Redis) -> AsyncIterator[House]:
    async with Queues(client, SystemClock(), ACCOUNT) as queues:
        made = House(client, queues)
        made.queue = (await queues.create(QueueArn(REGION, ACCOUNT, "orders"))).arn
        yield made
        for worker in made.workers:
            await worker.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases and turns of tenths of seconds."""
    monkeypatch.setattr(leasing, "LEASE_S", 3.0)
    monkeypatch.setattr(slotting, "RENEWAL_S", 0.2)
    monkeypatch.setattr(slotting, "_TICK_S", 0.1)


async def test_one_worker_has_a_slot_and_another_gets_it_when_that_stops(house: House) -> None:
    mapping = await house.mapping()
    first, second = house.worker(), house.worker()
    first.give(mapping)
    await house.until_held(mapping.uuid, "worker-0")
    await house.until_state(mapping.uuid, "Enabled")
    second.give(mapping)
    await house.send(30)
    await until(lambda: house.function.records == 30)
    assert await house.holder(mapping.uuid) == "worker-0"
    await first.stop()
    assert first.offers == [Slot(mapping.uuid, 0)]
    assert await house.holder(mapping.uuid) is None
    second.give(mapping)
    await house.send(10)
    await until(lambda: house.function.records == 40)
    assert await house.holder(mapping.uuid) == "worker-1"


@pytest.mark.usefixtures("hasty")
async def test_what_a_killed_worker_had_is_free_when_its_lease_is_over(house: House) -> None:
    mapping = await house.mapping()
    first, second = house.worker(), house.worker()
    first.give(mapping)
    await house.until_held(mapping.uuid, "worker-0")
    await first.kill()
    with pytest.raises(SlotTaken):
        await house.leases.hold(Slot(mapping.uuid, 0), "worker-1")
    await house.until_held(mapping.uuid, None)
    second.give(mapping)
    await house.send(10)
    await until(lambda: house.function.records == 10)


@pytest.mark.usefixtures("hasty")
async def test_a_slot_with_nothing_to_do_goes_round(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slotting, "TURN_S", 0.5)
    mapping = await house.mapping()
    first = house.worker()
    first.give(mapping)
    await until(lambda: first.offers)
    assert await house.holder(mapping.uuid) is None


async def test_disabled_is_what_nobody_polls_any_more(house: House) -> None:
    mapping = await house.mapping()
    house.worker().give(mapping)
    house.function.go_on.clear()
    await house.send(10)
    await until(lambda: house.function.under_way)
    changed = await house.change(mapping.uuid, "disable", enabled=False)
    assert changed.state == "Disabling"
    await asyncio.sleep(0.3)
    assert await house.state(mapping.uuid) == "Disabling"
    house.function.go_on.set()
    await house.until_state(mapping.uuid, "Disabled")
    await house.send(10)
    await asyncio.sleep(0.2)
    assert house.function.records == 10
    await house.change(mapping.uuid, "enable", enabled=True)
    house.worker().give(mapping)
    await until(lambda: house.function.records == 20)
    await house.until_state(mapping.uuid, "Enabled")


async def test_a_deleted_mapping_is_gone_when_its_poller_is(house: House) -> None:
    mapping = await house.mapping()
    house.worker().give(mapping)
    await house.until_held(mapping.uuid, "worker-0")
    await house.until_state(mapping.uuid, "Enabled")
    await house.change(mapping.uuid, "delete")
    await house.until_state(mapping.uuid, None)
    await house.until_held(mapping.uuid, None)


async def test_a_change_is_in_force_when_it_is_polled_as_it_says(house: House) -> None:
    mapping = await house.mapping(batch_size=10)
    house.worker().give(mapping)
    await house.until_state(mapping.uuid, "Enabled")
    await house.change(mapping.uuid, "update", config=msgspec.structs.replace(mapping.config, batch_size=1))
    await house.until_state(mapping.uuid, "Enabled")
    await house.send(20)
    await until(lambda: house.function.records == 20)
    assert house.function.calls == 20


@pytest.mark.usefixtures("hasty")
async def test_more_slots_are_asked_for_while_all_lanes_are_at_work_up_to_the_maximum(house: House) -> None:
    mapping = await house.mapping(scaling_config={"MaximumConcurrency": 7})
    first, second = house.worker(), house.worker()
    house.function.go_on.clear()
    await house.send(200)
    first.give(mapping)
    await until(lambda: Slot(mapping.uuid, 1) in first.offers)
    assert house.function.under_way == 5
    second.give(mapping, 1)
    second.give(mapping, 2)
    await until(lambda: house.function.under_way == 7)
    await asyncio.sleep(1.5)
    assert second.offers == []
    house.function.go_on.set()
    await until(lambda: house.function.records == 200)
    assert house.function.most_under_way == 7


async def test_what_is_left_at_the_end_is_finished_first(house: House) -> None:
    mapping = await house.mapping()
    worker = house.worker()
    worker.give(mapping)
    house.function.go_on.clear()
    await house.send(10)
    await until(lambda: house.function.under_way)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.2)
    assert not stopping.done()
    house.function.go_on.set()
    await stopping
    counts = await house.queues.counts(house.queue)
    assert (counts.visible, counts.in_flight) == (0, 0)


async def test_a_slot_beyond_what_there_may_be_is_not_taken(house: House) -> None:
    mapping = await house.mapping(scaling_config={"MaximumConcurrency": 5})
    worker = house.worker()
    assert not await worker.slots.take(Slot(mapping.uuid, 1))
    assert not await worker.slots.take(Slot("no-such-mapping", 0))
    assert await house.leases.holders("no-such-mapping") == []
