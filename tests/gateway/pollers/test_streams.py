"""Pollers on real Redis streams: every entry reaches the function, what fails is tried again, what dies is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from gateway.functions.store import connect
from gateway.pollers import redis_names, redis_stream, source
from gateway.pollers.batching import BatchLimits
from gateway.pollers.filters import Filters
from gateway.pollers.poller import Plan, Poller
from gateway.pollers.redis_stream import StreamRules, StreamSource
from samovar.errors import InvalidParameterValue, TooManyRequests
from tests.gateway.pollers.polling import PATIENCE_S, Function, Nobody, eventually, failing, succeed, until
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")
ARN = "arn:aws:redis:us-east-1:123456789012:stream/leaves"


@pytest.fixture
async def reader(valkey: Valkey, client: redis.asyncio.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(valkey.url, 60.0) as found:
        yield found


@asynccontextmanager
async def polling(
    reader: redis.asyncio.Redis,
    function: Function,
    limits: BatchLimits | None = None,
    filters: Sequence[str] = (),
    spent: Nobody | None = None,
    **rules: Any,
) -> AsyncIterator[tuple[Poller, list[str]]]:
    notes: list[str] = []
    stream = StreamSource(reader, redis_names.parse(ARN), "uuid", StreamRules(**rules), spent or Nobody())
    plan = Plan(limits or BatchLimits(), Filters(filters, "data"), reports=True, lanes=3, stays=True)
    poller = Poller(plan, stream, function, notes.append)
    running = asyncio.create_task(poller.run())
    try:
        yield poller, notes
    finally:
        poller.stop()
        await asyncio.wait_for(running, PATIENCE_S)


async def pending(client: Any) -> int:
    return int((await client.xpending("leaves", "samovar:uuid"))["pending"])


async def until_settled(client: Any) -> None:
    async def is_settled() -> bool:
        return await pending(client) == 0

    await eventually(is_settled)


async def add(client: Any, *numbers: int) -> None:
    for number in numbers:
        await client.xadd("leaves", {"n": number})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again after tenths of seconds; nothing is taken from a poller that is only slow."""
    monkeypatch.setattr(redis_stream, "HOLD_S", 10.0)
    monkeypatch.setattr(redis_stream, "RETRY_S", 0.2)


@pytest.fixture
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody keeps is taken by others after a second."""
    monkeypatch.setattr(redis_stream, "HOLD_S", 1.0)
    monkeypatch.setattr(redis_stream, "RETRY_S", 0.2)


async def test_what_was_there_and_what_comes_reaches_the_function_once(client: Any, reader: Any) -> None:
    await add(client, *range(25))
    function = Function(succeed)
    async with polling(reader, function) as (_, notes):
        await until(lambda: len(function.seen) == 25)
        await add(client, 25)
        await until(lambda: len(function.seen) == 26)
        await until_settled(client)
    assert sorted(map(int, function.seen)) == list(range(26))
    assert all(len(batch) <= 10 for batch in function.batches)
    assert notes == ["OK"]


async def test_a_record_says_where_it_comes_from(client: Any, reader: Any) -> None:
    await client.xadd("leaves", {"n": "1", b"\xff": b"\xfe"}, id="1700000000123-0")
    function = Function(succeed)
    async with polling(reader, function):
        await until(lambda: function.batches)
    assert function.batches[0] == [
        {
            "eventID": "1700000000123-0",
            "eventSource": "redis:stream",
            "eventSourceARN": ARN,
            "awsRegion": "us-east-1",
            "approximateArrivalTimestamp": 1700000000.123,
            "data": {"n": "1", "\xff": "\xfe"},
        }
    ]


async def test_the_end_of_a_stream_is_a_place_to_begin(client: Any, reader: Any) -> None:
    await add(client, 1)
    function = Function(succeed)
    async with polling(reader, function, start="$"):
        await eventually(lambda: client.xinfo_groups("leaves"))
        await add(client, 2)
        await until(lambda: function.seen)
    assert function.seen == ["2"]


async def test_what_no_filter_wants_is_settled_without_the_function(client: Any, reader: Any) -> None:
    await add(client, 1, 2, 3)
    function = Function(succeed)
    async with polling(reader, function, filters=['{"data": {"n": ["2"]}}']):
        await until(lambda: function.seen)
        await until_settled(client)
    assert function.seen == ["2"]


@pytest.mark.usefixtures("quick")
async def test_what_failed_is_tried_again_and_the_others_are_not(client: Any, reader: Any) -> None:
    failed_once: set[str] = set()

    async def handler(records: list[dict[str, Any]]) -> object:
        bad = [one["eventID"] for one in records if one["data"]["n"] == "2" and one["eventID"] not in failed_once]
        failed_once.update(bad)
        return failing(*bad)

    await add(client, 1, 2, 3)
    function = Function(handler)
    async with polling(reader, function) as (_, notes):
        await until(lambda: len(function.seen) == 4)
        await until_settled(client)
    assert sorted(function.seen) == ["1", "2", "2", "3"]
    assert notes == ["PROBLEM: Function call failed", "OK"]


@pytest.mark.usefixtures("quick")
async def test_an_entry_is_given_up_after_its_retries(client: Any, reader: Any) -> None:
    async def handler(records: list[dict[str, Any]]) -> object:
        raise ZeroDivisionError

    await add(client, 1)
    function, spent = Function(handler), Nobody()
    async with polling(reader, function, spent=spent, retries=2):
        await until(lambda: len(function.seen) == 3)
        await until_settled(client)
    assert function.seen == ["1"] * 3
    [told] = spent.told
    assert (told.tries, told.condition, told.record["data"]) == (3, "RetryAttemptsExhausted", {"n": "1"})


@pytest.mark.usefixtures("quick")
async def test_an_entry_is_not_given_up_while_nobody_can_be_told(client: Any, reader: Any) -> None:
    async def handler(records: list[dict[str, Any]]) -> object:
        raise ZeroDivisionError

    await add(client, 1)
    spent = Nobody()
    spent.away = True
    async with polling(reader, Function(handler), spent=spent, retries=0):
        await until(lambda: spent.asked > 1)
        assert await pending(client) == 1
        spent.away = False
        await until_settled(client)
    assert len(spent.told) == 1


@pytest.mark.usefixtures("short_hold")
async def test_what_a_dead_poller_had_is_taken_by_the_next(client: Any, reader: Any) -> None:
    async def hang(records: list[dict[str, Any]]) -> object:
        await asyncio.sleep(3600)
        return None

    await add(client, 1, 2)
    stuck = Function(hang)
    stream = StreamSource(reader, redis_names.parse(ARN), "uuid", StreamRules(), Nobody())
    poller = Poller(Plan(BatchLimits(), Filters([]), True, 1, True), stream, stuck, lambda _: None)
    dead = asyncio.create_task(poller.run())
    await until(lambda: len(stuck.seen) == 2)
    poller.cancel()
    await dead
    function = Function(succeed)
    async with polling(reader, function):
        await until(lambda: len(function.seen) == 2)
        await until_settled(client)


@pytest.mark.usefixtures("short_hold")
async def test_what_is_worked_on_is_kept_from_others(client: Any, reader: Any) -> None:
    go_on = asyncio.Event()

    async def wait(records: list[dict[str, Any]]) -> object:
        await go_on.wait()
        return None

    await add(client, 1)
    slow, other = Function(wait), Function(succeed)
    async with polling(reader, slow) as (poller, _):
        await until(lambda: slow.seen)
        async with polling(reader, other):
            for _ in range(15):
                await poller.keep()
                await asyncio.sleep(0.1)
            assert other.seen == []
        go_on.set()
        await until_settled(client)


async def test_a_throttled_function_gets_its_batch_later(client: Any, reader: Any) -> None:
    refusals = iter([TooManyRequests("Rate Exceeded."), TooManyRequests("Rate Exceeded.")])

    async def handler(records: list[dict[str, Any]]) -> object:
        for refusal in refusals:
            raise refusal
        return None

    await add(client, 1)
    function = Function(handler)
    async with polling(reader, function) as (_, notes):
        await until(lambda: function.batches)
        await until_settled(client)
    assert function.seen == ["1"] * 3
    assert notes == ["PROBLEM: Rate Exceeded.", "OK"]


async def test_nothing_is_taken_for_a_function_that_cannot_be_called(client: Any, reader: Any) -> None:
    await add(client, 1)
    function = Function(succeed)
    function.blocked = "The function's reserved concurrency is 0"
    async with polling(reader, function) as (_, notes):
        await until(lambda: notes)
        assert notes == ["PROBLEM: The function's reserved concurrency is 0"]
        assert await client.xinfo_groups("leaves") == []
        function.blocked = None
        await until(lambda: function.seen)


async def test_a_key_that_is_no_stream_is_a_problem_until_it_is_one(client: Any, reader: Any) -> None:
    await client.set("leaves", "text")
    function = Function(succeed)
    async with polling(reader, function) as (_, notes):
        await until(lambda: notes)
        assert notes[0].startswith("PROBLEM: The stream leaves cannot be read: WRONGTYPE")
        await client.delete("leaves")
        await add(client, 1)
        await until(lambda: function.seen)


async def test_a_window_collects_a_batch(client: Any, reader: Any) -> None:
    function = Function(succeed)
    async with polling(reader, function, BatchLimits(records=20, window_s=30.0)):
        await add(client, *range(20))
        await until(lambda: function.batches)
    assert len(function.batches[0]) == 20


async def test_stopping_waits_for_what_runs_and_gives_the_rest_back(client: Any, reader: Any) -> None:
    go_on = asyncio.Event()

    async def wait(records: list[dict[str, Any]]) -> object:
        await go_on.wait()
        return None

    await add(client, 1)
    function = Function(wait)
    async with polling(reader, function) as (poller, _):
        await until(lambda: function.seen)
        assert not poller.is_idle
        poller.stop()
        go_on.set()
    assert await pending(client) == 0


async def test_a_quiet_poller_ends_at_once(reader: Any) -> None:
    async with polling(reader, Function(succeed)) as (poller, _):
        await asyncio.sleep(0.1)
        assert poller.is_idle


async def test_a_deleted_mapping_leaves_no_group(client: Any, reader: Any) -> None:
    function = Function(succeed)
    stream = StreamSource(reader, redis_names.parse(ARN), "uuid", StreamRules(), Nobody())
    await add(client, 1)
    async with polling(reader, function):
        await until(lambda: function.seen)
    await stream.forget()
    assert await client.xinfo_groups("leaves") == []
    await client.delete("leaves")
    await stream.forget()


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:redis:us-east-1:123456789012:set/leaves",
        "arn:aws:redis:us-east-1:123456789012:stream/",
        "arn:aws:redis:us-east-1:123456789012:stream/samovar:events:line:x",
        "arn:aws:redis:us-east-1:123456789012:list/celery",
    ],
)
def test_what_names_no_key_of_a_user_is_refused(arn: str) -> None:
    with pytest.raises(InvalidParameterValue):
        redis_names.parse(arn)


def test_the_time_records_are_held_is_longer_than_what_passes_between_two_renewals() -> None:
    from gateway.pollers.leases import LEASE_S, RENEWAL_S

    assert source.HOLD_S > 2 * RENEWAL_S
    assert LEASE_S > 2 * RENEWAL_S
