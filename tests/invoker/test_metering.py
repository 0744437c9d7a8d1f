"""Readings reach a real Valkey exactly once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from invoker.journal import Journal
from invoker.metering import Meter
from samovar import usage
from samovar.errors import SamovarError, ServiceUnavailable
from samovar.invocation import Outcome, Reading
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey.url, decode_responses=True, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    yield client
    await client.aclose()


def reading(number: int, **changes: Any) -> Reading:
    usual: dict[str, Any] = {
        "request_id": f"request-{number}", "arn": ARN, "version": "$LATEST", "trigger": "invoke",
        "started_ms": 1_700_000_000_000 + number, "outcome": Outcome.OK, "duration_ms": 1.5, "billed_ms": 2,
        "memory_mb": 128, "peak_mb": 30,
    }  # fmt: skip
    return Reading(**usual | changes)


def ignore(failure: SamovarError | None) -> None:
    """Nobody waits for the reading."""
    assert failure is None


async def recorded(meter: Meter, one: Reading) -> SamovarError | None:
    """Record a reading and wait until it is safe, or cannot be."""
    future: asyncio.Future[SamovarError | None] = asyncio.get_running_loop().create_future()
    meter.record(one, future.set_result)
    return await asyncio.wait_for(future, 5)


def lines_in(folder: Path) -> int:
    """Readings in a journal."""
    return sum(len(path.read_bytes().splitlines()) for path in folder.iterdir())


@contextmanager
def full_disk(folder: Path) -> Iterator[Journal]:
    """A journal whose file has become one that takes nothing."""
    journal = Journal(folder, "j")
    opened = Path("/proc/self/fd")
    descriptor = next(int(one.name) for one in opened.iterdir() if one.resolve().parent == folder)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)
    yield journal
    journal.close()


async def counted(redis: Redis) -> int:
    day = await redis.hgetall(usage.rollup_key(ARN, "d", usage.span_start(1_700_000_000, "d")))
    return int(day.get("invocations", 0))


async def test_a_reading_is_in_redis_once_flushed(redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.start()
    meter.record(reading(1, outcome=Outcome.TIMEOUT), ignore)
    await meter.flush(5)
    stored = await redis.get(usage.reading_key("request-1"))
    assert stored is not None
    assert msgspec.json.decode(stored, type=Reading) == reading(1, outcome=Outcome.TIMEOUT)
    assert await redis.zrange(usage.readings_key(ARN), 0, -1) == ["request-1"]
    assert 0 < await redis.ttl(usage.reading_key("request-1")) <= 3600
    for resolution in ("m", "h", "d"):
        counters = await redis.hgetall(usage.rollup_key(ARN, resolution, usage.span_start(1_700_000_000, resolution)))
        assert usage.Rollup({str(name): int(value) for name, value in counters.items()}).errors == 1
    await meter.close(1)


async def test_what_a_killed_process_left_is_shipped_by_its_successor_and_counted_once(
    redis: Redis, tmp_path: Path
) -> None:
    killed = Meter(Journal(tmp_path, "j"), redis, 3600)
    for number in range(1200):
        killed.record(reading(number), ignore)
    await asyncio.sleep(0)
    for _ in range(3):
        successor = Meter(Journal(tmp_path, "j"), redis, 3600)
        successor.start()
        await successor.flush(10)
        await successor.close(1)
    assert await counted(redis) == 1200


async def test_calls_go_on_while_redis_is_away_and_nothing_is_lost(
    valkey: Valkey, redis: Redis, tmp_path: Path
) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.start()
    meter.record(reading(1), ignore)
    await meter.flush(5)
    valkey.stop()
    for number in range(2, 50):
        meter.record(reading(number), ignore)
    with pytest.raises(ServiceUnavailable, match="48 meter readings have not reached Redis"):
        await meter.flush(0.05)
    valkey.start()
    await meter.flush(10)
    assert await counted(redis) == 49
    assert meter.pending == 0
    await meter.close(1)


async def test_an_answer_lost_after_redis_executed_it_counts_once(redis: Redis, tmp_path: Path) -> None:
    """The transaction went through, but the connection broke before its answer came."""
    real = redis.evalsha
    broken = iter([True])

    async def lose_answer(*args: Any) -> Any:
        answer = await real(*args)
        if next(broken, False):
            raise ConnectionError("the connection broke")
        return answer

    redis.evalsha = lose_answer  # type: ignore[method-assign,assignment] # the server stays real
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.record(reading(1), ignore)
    meter.start()
    await meter.flush(5)
    assert await counted(redis) == 1
    await meter.close(1)


async def test_readings_of_one_turn_are_safe_before_anybody_is_told(redis: Redis, tmp_path: Path) -> None:
    told: list[int] = []
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    for number in range(3):
        meter.record(reading(number), lambda failure: told.append(lines_in(tmp_path)))
    assert (told, lines_in(tmp_path)) == ([], 0)
    await asyncio.sleep(0)
    assert told == [3, 3, 3]


async def test_a_full_disk_sends_readings_straight_to_redis(redis: Redis, tmp_path: Path) -> None:
    with full_disk(tmp_path) as journal:
        meter = Meter(journal, redis, 3600)
        assert await recorded(meter, reading(7)) is None
        assert await counted(redis) == 1
        assert await redis.exists(usage.reading_key("request-7"))
    assert lines_in(tmp_path) == 0


async def test_a_full_disk_and_no_redis_is_said(valkey: Valkey, redis: Redis, tmp_path: Path) -> None:
    with full_disk(tmp_path) as journal:
        meter = Meter(journal, redis, 3600)
        valkey.stop()
        failure = await recorded(meter, reading(7))
        assert isinstance(failure, ServiceUnavailable)
        assert "neither disk nor Redis" in failure.message


async def test_concurrent_flushes_all_return(redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.start()
    for number in range(20):
        meter.record(reading(number), ignore)
    await asyncio.gather(*(meter.flush(5) for _ in range(10)))
    assert await counted(redis) == 20
    await meter.close(1)
