"""When workers are needed, when one may go, and that somebody asks for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from gateway.events import keys as events
from gateway.mappings.mapping_store import MAPPINGS
from gateway.schedules import keys as schedules
from gateway.tasks import need, waking
from gateway.tasks.periods import LAST_RUNS, OVERDUE_S, REMEMBERED
from gateway.tasks.rest import Quiet
from gateway.tasks.waking import GROUP, Waking
from samovar.clock import ManualClock
from samovar.process import demand
from samovar.settings import Settings
from samovar.supervisor import data_dir, state
from samovar.supervisor.child import ChildSpec
from samovar.supervisor.on_demand import OnDemand
from samovar.supervisor.process import Command

NOW = 1_700_000_000.0
RECENT = dict.fromkeys(REMEMBERED, NOW - 60)


async def needed(client: redis.asyncio.Redis, now: float = NOW, *, of_worker: bool = False) -> bool:
    pipeline = client.pipeline(transaction=False)
    need.ask(pipeline, now, of_worker=of_worker)
    return need.answer(await pipeline.execute(), now)


@pytest.mark.component("valkey")
async def test_a_new_platform_needs_no_worker_until_sweeps_are_overdue(client: redis.asyncio.Redis) -> None:
    assert not await needed(client)
    assert not await needed(client, NOW + OVERDUE_S - 1)
    assert await needed(client, NOW + OVERDUE_S + 120)


@pytest.mark.component("valkey")
async def test_what_lies_in_the_store_needs_a_worker(client: redis.asyncio.Redis) -> None:
    await client.sadd(events.LINES, "line")
    assert await needed(client)
    await client.srem(events.LINES, "line")
    await client.zadd(schedules.DUE, {"arn": 1})
    assert await needed(client)
    await client.delete(schedules.DUE)
    await client.hset(MAPPINGS, "uuid", b"{}")
    assert await needed(client)
    await client.delete(MAPPINGS)
    assert not await needed(client)


@pytest.mark.component("valkey")
@pytest.mark.parametrize("queue", ["samovar", "samovar.home"])
async def test_a_task_needs_a_worker_unless_one_is_there(client: redis.asyncio.Redis, queue: str) -> None:
    await client.lpush(queue, b"task")
    assert await needed(client)
    assert not await needed(client, of_worker=True)


@pytest.mark.parametrize("name", sorted(REMEMBERED))
def test_each_sweep_is_overdue_by_itself(name: str) -> None:
    assert not need.is_overdue(RECENT, NOW)
    assert need.is_overdue(RECENT | {name: NOW - OVERDUE_S - 600}, NOW)


def test_sweeps_that_ran_in_the_future_are_overdue_but_for_clocks_that_differ() -> None:
    assert not need.is_overdue(RECENT | {"sweep_code": NOW + 30}, NOW)
    assert need.is_overdue(RECENT | {"sweep_code": NOW + 86_400}, NOW)


def test_a_worker_may_go_when_nothing_was_needed_for_long_enough() -> None:
    quiet = Quiet(60.0, 0.0)
    assert not quiet.look(needed=False, now=59.0)
    assert not quiet.look(needed=True, now=60.0)
    assert not quiet.look(needed=False, now=119.0)
    assert quiet.look(needed=False, now=120.0)


class Supervisor:
    """Takes requests as the real one does, and notes them."""

    def __init__(self) -> None:
        self.started = asyncio.Semaphore(0)

    async def start(self, spec: ChildSpec) -> None:
        assert spec.name == "worker"
        self.started.release()

    async def started_once(self) -> None:
        async with asyncio.timeout(10):
            await self.started.acquire()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=str(tmp_path))
    data_dir.prepare(settings)
    return settings


@pytest.fixture
async def supervisor(settings: Settings) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    command = Command(argv=("true",), environment=os.environ, folder=settings.data)
    groups = {GROUP: [ChildSpec(name="worker", command=command, ready=None)]}
    listener = demand.listener()
    told = state.PlatformState(
        pid=os.getpid(), birth=None, started=0.0, version="", url="", data_dir="", store="", isolation="", ready=True,
        processes=[], demand=demand.name_of(listener),
    )  # fmt: skip
    state.write(state.path_of(settings), told)
    async with OnDemand(groups, supervisor.start).listening(listener):
        yield supervisor


@pytest.mark.component("valkey")
async def test_who_rings_has_a_worker_started(
    settings: Settings, client: redis.asyncio.Redis, supervisor: Supervisor
) -> None:
    async with Waking(settings, client, ManualClock(epoch=NOW)) as waking:
        for _ in range(2):
            waking.ring()
            await supervisor.started_once()


@pytest.mark.component("valkey")
async def test_what_nobody_rang_for_is_seen(
    settings: Settings, client: redis.asyncio.Redis, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(need, "LOOK_EVERY_S", 0.01)
    async with Waking(settings, client, ManualClock(epoch=NOW)):
        await asyncio.sleep(0.05)
        assert supervisor.started.locked()  # nothing is needed yet
        await client.sadd(events.LINES, "line")
        await supervisor.started_once()


@pytest.mark.component("valkey")
async def test_what_was_left_is_seen_at_once_and_again_until_it_is_gone(
    settings: Settings, client: redis.asyncio.Redis, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(need, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(waking, "_APART_S", 0.0)
    await client.sadd(events.LINES, "line")
    async with Waking(settings, client, ManualClock(epoch=NOW)):
        for _ in range(3):
            await supervisor.started_once()


@pytest.mark.component("valkey")
@pytest.mark.parametrize("given", [{"workers": 0}, {"worker_rest_s": 0.0}])
async def test_nobody_is_asked_where_workers_never_rest_or_are_elsewhere(
    client: redis.asyncio.Redis, supervisor: Supervisor, settings: Settings, given: dict[str, float]
) -> None:
    settings = Settings(data_dir=settings.data_dir, **given)  # type: ignore[arg-type]
    await client.sadd(events.LINES, "line")
    async with Waking(settings, client, ManualClock(epoch=NOW)) as waking:
        waking.ring()
        await asyncio.sleep(0.05)
    assert supervisor.started.locked()


@pytest.mark.component("valkey")
async def test_without_a_supervisor_the_gateway_goes_on(settings: Settings, client: redis.asyncio.Redis) -> None:
    async with Waking(settings, client, ManualClock(epoch=NOW)) as waking:
        waking.ring()
        await asyncio.sleep(0.05)
        waking.ring()


@pytest.mark.component("valkey")
async def test_the_clock_of_sweeps_is_not_moved_by_those_who_look(client: redis.asyncio.Redis) -> None:
    await client.hset(LAST_RUNS, "sweep_code", NOW - 1000)
    await needed(client)
    await needed(client, NOW + 5)
    found = await client.hgetall(LAST_RUNS)
    assert (float(found[b"sweep_code"]), float(found[b"sweep_logs"])) == (NOW - 1000, NOW)
