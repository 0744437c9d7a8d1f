"""When a snapshot process goes although its box stays: its version is idle, and could soon have another."""

from __future__ import annotations

import asyncio

import pytest

from invoker.environments.snapshots import CHEAP_CPU_US, rests_in
from invoker.isolation.mounts import unavailable
from tests.invoker.building import take
from tests.invoker.seated import house, sandbox, until


@pytest.mark.parametrize(
    ("idle_s", "init_cpu_us", "expected"),
    [
        (None, 0, 10.0),
        (0.0, 0, 10.0),
        (4.0, CHEAP_CPU_US, 6.0),
        (10.0, 0, 0.0),
        (11.0, 0, 0.0),
        (11.0, CHEAP_CPU_US + 1, None),
        (None, CHEAP_CPU_US + 1, None),
    ],
)
def test_it_may_go_when_its_version_was_idle_for_long_enough_and_loads_fast(
    idle_s: float | None, init_cpu_us: int, expected: float | None
) -> None:
    assert rests_in(idle_s, init_cpu_us, 10.0) == expected


@pytest.mark.component("bubblewrap")
@pytest.mark.skipif(unavailable() is not None, reason=f"seats: {unavailable()}")
async def test_it_goes_when_nobody_needs_it_and_another_comes_with_the_next_environment() -> None:
    async with house(sandbox, rest_s=0.05) as home:
        version = home.version()
        first = await home.first(version)
        first.environment.init_cpu_us = 0
        snapshot = home.snapshot(version)
        await asyncio.sleep(0.2)
        assert home.snapshots.of(version) is snapshot, "the version was not idle"
        one = await take(home.pool, version)
        home.pool.release(first, worker_lost=False)
        await asyncio.sleep(0.2)
        assert home.snapshots.of(version) is snapshot, "environments forked from it were there"
        await home.run(one.environment, "result = 1")
        home.pool.release(one, worker_lost=True)  # what was forked ends with its worker
        await until(lambda: home.snapshots.of(version) is None)

        first = await take(home.pool, version)
        assert await home.run(first.environment, "result = 1") == 1
        second = await take(home.pool, version)
        assert not second.environment.is_forked
        await until(lambda: home.snapshots.of(version) is not None)
        assert await home.run(second.environment, "result = 2") == 2
        for lease in (first, second):
            home.pool.release(lease, worker_lost=False)
