"""How many environments of a short function are in use while no core has time left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from invoker.pool import crowd
from invoker.pool.policy import PATIENCE_S, SHORT_CALL_S, is_crowded
from tests.invoker.building import Gate, pool_over, take, until, version


class Host:
    """The time of two cores, as far as a test says how much of it is idle."""

    def __init__(self, idle_share: float) -> None:
        self.idle_share = idle_share
        self._idle_s = self._total_s = 0.0

    def times(self) -> tuple[float, float]:
        """One more second of each core."""
        self._idle_s += 2 * self.idle_share
        self._total_s += 2
        return self._idle_s, self._total_s


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no reading be old enough to be used again."""
    monkeypatch.setattr(crowd, "_SPAN_S", 0.0)


@pytest.mark.parametrize(
    ("busy", "mean_duration_s", "oldest_wait_s", "expected"),
    [
        (4, 0.001, 0.0, True),
        (3, 0.001, 0.0, False),
        (4, SHORT_CALL_S, 0.0, False),
        (4, None, 0.0, False),
        (4, 0.001, PATIENCE_S, False),
    ],
    ids=["two a core", "fewer", "long calls", "nothing known", "waited for long"],
)
def test_what_a_crowd_is(busy: int, mean_duration_s: float | None, oldest_wait_s: float, expected: bool) -> None:
    crowded = is_crowded(busy=busy, cores=2, mean_duration_s=mean_duration_s, oldest_wait_s=oldest_wait_s)
    assert crowded is expected


async def test_environments_beyond_two_a_core_are_a_reserve_while_the_cores_are_busy(tmp_path: Path) -> None:
    host = Host(idle_share=1.0)
    async with pool_over(tmp_path, Gate().handle, cores=2, core_times=host.times) as (pool, _):
        for lease in [await take(pool, version()) for _ in range(6)]:
            pool.release(lease, worker_lost=False)
        host.idle_share = 0.0
        first = [await take(pool, version()) for _ in range(4)]
        waiting = asyncio.create_task(take(pool, version()))
        await until(lambda: pool.waiting == 1)
        pool.release(first[0], worker_lost=False)
        assert (await waiting).environment is first[0].environment

        others = [asyncio.create_task(take(pool, version())) for _ in range(2)]
        await until(lambda: pool.waiting == 2)
        host.idle_share = 1.0
        pool.release(first[1], worker_lost=False)
        used = {(await other).environment for other in others}
        assert len(used | {one.environment for one in first[2:]} | {first[0].environment}) == 5
        assert first[1].environment in used
        assert len(pool.environments) == 6


async def test_a_call_that_has_waited_for_long_gets_one_of_the_reserve(tmp_path: Path) -> None:
    host = Host(idle_share=1.0)
    async with pool_over(tmp_path, Gate().handle, cores=1, core_times=host.times) as (pool, _):
        for lease in [await take(pool, version()) for _ in range(3)]:
            pool.release(lease, worker_lost=False)
        host.idle_share = 0.0
        held = [await take(pool, version()) for _ in range(2)]
        late = await take(pool, version())
        assert late.queue_ms >= PATIENCE_S * 1000
        assert late.environment not in {one.environment for one in held}
