"""Readings reach a real Valkey exactly once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
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
from samovar.errors import ServiceUnavailable
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


async def counted(redis: Redis) -> int:
    day = await redis.hgetall(usage.rollup_key(ARN, "d", usage.span_start(1_700_000_000, "d")))
    return int(day.get("invocations", 0))


async def test_a_reading_is_in_redis_once_flushed(redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.start()
    meter.record(reading(1, outcome=Outcome.TIMEOUT))
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
        killed.record(reading(number))
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
    meter.record(reading(1))
    await meter.flush(5)
    valkey.stop()
    for number in range(2, 50):
        meter.record(reading(number))
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
    meter.record(reading(1))
    meter.start()
    await meter.flush(5)
    assert await counted(redis) == 1
    await meter.close(1)


async def test_a_full_disk_sends_readings_straight_to_redis(redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    await meter.record_without_disk(reading(7))
    assert await counted(redis) == 1
    assert await redis.exists(usage.reading_key("request-7"))


async def test_a_full_disk_and_no_redis_is_said(valkey: Valkey, redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    valkey.stop()
    with pytest.raises(ServiceUnavailable, match="neither disk nor Redis"):
        await meter.record_without_disk(reading(7))


async def test_concurrent_flushes_all_return(redis: Redis, tmp_path: Path) -> None:
    meter = Meter(Journal(tmp_path, "j"), redis, 3600)
    meter.start()
    for number in range(20):
        meter.record(reading(number))
    await asyncio.gather(*(meter.flush(5) for _ in range(10)))
    assert await counted(redis) == 20
    await meter.close(1)
