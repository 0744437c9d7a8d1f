"""Pollers on real Redis lists: from the head, every element once, what fails again, nothing lost with a mapping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from gateway.functions.store import connect
from gateway.pollers import redis_list, redis_names
from gateway.pollers.batching import BatchLimits
from gateway.pollers.filters import Filters
from gateway.pollers.poller import Plan, Poller
from gateway.pollers.redis_list import ListSource
from tests.gateway.pollers.polling import PATIENCE_S, Function, Nobody, eventually, failing, succeed, until
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")
ARN = "arn:aws:redis:us-east-1:123456789012:list/jobs"


@pytest.fixture
async def reader(valkey: Valkey, client: redis.asyncio.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(valkey.url, 60.0) as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again after tenths of seconds; nothing is taken from a poller that is only slow."""
    monkeypatch.setattr(redis_list, "HOLD_S", 10.0)
    monkeypatch.setattr(redis_list, "RETRY_S", 0.2)


@pytest.fixture
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody settles is handed over again soon."""
    monkeypatch.setattr(redis_list, "HOLD_S", 0.4)


def source(reader: redis.asyncio.Redis, retries: int = -1, spent: Nobody | None = None) -> ListSource:
    return ListSource(reader, redis_names.parse(ARN), "uuid", spent or Nobody(), retries)


@asynccontextmanager
async def polling(
    reader: redis.asyncio.Redis,
    function: Function,
    retries: int = -1,
    lanes: int = 3,
    spent: Nobody | None = None,
) -> AsyncIterator[list[str]]:
    notes: list[str] = []
    plan = Plan(BatchLimits(), Filters([]), reports=True, lanes=lanes, stays=True)
    poller = Poller(plan, source(reader, retries, spent), function, notes.append)
    running = asyncio.create_task(poller.run())
    try:
        yield notes
    finally:
        poller.stop()
        await asyncio.wait_for(running, PATIENCE_S)


async def until_settled(client: Any) -> None:
    async def is_settled() -> bool:
        return not (await client.llen("jobs") or await client.hlen("samovar:list:uuid:taken"))

    await eventually(is_settled)


async def test_elements_come_from_the_head_and_are_gone_when_they_are_done(client: Any, reader: Any) -> None:
    await client.rpush("jobs", *range(25))
    function = Function(succeed)
    async with polling(reader, function, lanes=1):
        await until(lambda: len(function.batches) >= 3)
        await client.rpush("jobs", "later")
        await until(lambda: "later" in function.seen_of("body"))
        await until_settled(client)
    assert function.seen_of("body") == [*map(str, range(25)), "later"]
    assert function.batches[0][0] == {
        "messageId": "1",
        "body": "0",
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "redis:list",
        "eventSourceARN": ARN,
        "awsRegion": "us-east-1",
    }
    assert await client.keys("samovar:list:*") == [b"samovar:list:uuid:counter"]


@pytest.mark.usefixtures("quick")
async def test_what_failed_is_tried_again_as_often_as_it_may_be(client: Any, reader: Any) -> None:
    async def handler(records: list[dict[str, Any]]) -> object:
        return failing(*(one["messageId"] for one in records if one["body"] == "bad"))

    await client.rpush("jobs", "good", "bad")
    function, spent = Function(handler), Nobody()
    async with polling(reader, function, retries=2, spent=spent):
        await until(lambda: function.seen_of("body").count("bad") == 3)
        await until_settled(client)
    assert [(one.record["body"], one.tries) for one in spent.told] == [("bad", 3)]
    assert sorted(function.seen_of("body")) == ["bad"] * 3 + ["good"]
    counts = [one["attributes"]["ApproximateReceiveCount"] for batch in function.batches for one in batch]
    assert sorted(counts) == ["1", "1", "2", "3"]


@pytest.mark.usefixtures("short_hold")
async def test_what_nobody_settles_is_handed_over_again(client: Any, reader: Any) -> None:
    await client.rpush("jobs", "tea")
    [(_, record)] = await source(reader).receive(10, 0)
    assert record["body"] == "tea"
    assert await source(reader).receive(10, 0) == []
    function = Function(succeed)
    async with polling(reader, function):
        await until_settled(client)
    assert function.seen_of("body") == ["tea"]


async def test_with_its_mapping_nothing_is_lost(client: Any, reader: Any) -> None:
    await client.rpush("jobs", "a", "b", "c")
    await source(reader).receive(2, 0)
    await source(reader).forget()
    assert await client.lrange("jobs", 0, -1) == [b"a", b"b", b"c"]
    assert await client.keys("samovar:list:*") == []


async def test_a_key_that_is_no_list_is_a_problem_until_it_is_one(client: Any, reader: Any) -> None:
    await client.set("jobs", "text")
    function = Function(succeed)
    async with polling(reader, function) as notes:
        await until(lambda: notes)
        assert notes[0].startswith("PROBLEM: The list jobs cannot be read: ")
        assert "WRONGTYPE" in notes[0]
        await client.delete("jobs")
        await client.rpush("jobs", "1")
        await until(lambda: function.batches)
