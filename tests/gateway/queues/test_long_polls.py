"""Waiting for messages: who is woken, by what, and when waiting ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

import pytest
import redis.asyncio

from gateway.functions.store import connect
from gateway.queues import arrivals
from gateway.queues.arrivals import Line
from gateway.queues.errors import QueueDoesNotExist, RequestThrottled
from gateway.queues.message import Outgoing, Received
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from samovar.clock import SystemClock
from tests.gateway.queues.queueing import ACCOUNT, REGION, bodies, receive, send
from tests.valkey import Valkey

SOON_S = 30.0
"""Long enough for a busy machine, much shorter than the polls."""


@pytest.fixture
async def queues(client: redis.asyncio.Redis) -> AsyncIterator[Queues]:
    """Queues whose time passes."""
    async with Queues(client, SystemClock(), ACCOUNT) as found:
        yield found


@pytest.fixture
async def orders(queues: Queues) -> str:
    """The ARN of a queue."""
    return (await queues.create(QueueArn(REGION, ACCOUNT, "orders"))).arn


def poll(queues: Queues, arn: str, most: int = 1) -> asyncio.Task[list[Received]]:
    """A long poll."""
    return asyncio.create_task(queues.receive(arn, Wanted(most, wait_s=20)))


async def soon(awaited: Awaitable[list[Received]]) -> list[str]:
    """What is received before long."""
    async with asyncio.timeout(SOON_S):
        return bodies(await awaited)


async def asleep(queues: Queues, count: int) -> None:
    """Until so many wait."""
    async with asyncio.timeout(SOON_S):
        while queues.waiting < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def test_a_send_wakes_who_waits_here_and_elsewhere(queues: Queues, orders: str) -> None:
    async with Queues(queues.client, SystemClock(), ACCOUNT) as others:
        polls = [poll(queues, orders), poll(queues, orders), poll(others, orders)]
        await asleep(queues, 2)
        await asleep(others, 1)
        await send(others, orders, "a", "b", "c")
        assert sorted([body for one in polls for body in await soon(one)]) == ["a", "b", "c"]


async def test_a_message_that_comes_back_wakes_who_waits(queues: Queues, orders: str) -> None:
    await queues.send(orders, Outgoing(body="delayed", delay_s=1))
    assert await soon(poll(queues, orders)) == ["delayed"]
    await send(queues, orders, "returned")
    [received] = await receive(queues, orders)
    waiting = poll(queues, orders)
    await asleep(queues, 1)
    await queues.change_visibility(orders, received.handle, 0)
    assert await soon(waiting) == ["returned"]


async def test_what_another_process_lets_expire_wakes_who_waits(queues: Queues, orders: str) -> None:
    async with Queues(queues.client, SystemClock(), ACCOUNT) as others:
        first, second = poll(queues, orders), poll(queues, orders)
        await asleep(queues, 2)
        await send(queues, orders, "tea")
        done, waiting = await asyncio.wait([first, second], timeout=SOON_S, return_when="FIRST_COMPLETED")
        assert len(done) == len(waiting) == 1
        [received] = done.pop().result()
        await others.change_visibility(orders, received.handle, 1)
        assert await soon(waiting.pop()) == ["tea"]


async def test_waiting_ends_in_time_with_the_process_and_with_the_queue(queues: Queues, orders: str) -> None:
    began = time.monotonic()
    assert await queues.receive(orders, Wanted(wait_s=0.2)) == []
    assert 0.2 <= time.monotonic() - began < SOON_S
    purged = poll(queues, orders)
    await asleep(queues, 1)
    await queues.purge(orders)
    await asleep(queues, 1)
    await send(queues, orders, "after the purge")
    assert await soon(purged) == ["after the purge"]
    deleted = poll(queues, orders)
    await asleep(queues, 1)
    await queues.delete_queue(orders)
    with pytest.raises(QueueDoesNotExist):
        await soon(deleted)
    other = (await queues.create(QueueArn(REGION, ACCOUNT, "other"))).arn
    ended = poll(queues, other)
    await asleep(queues, 1)
    queues.end_waiting()
    assert await soon(ended) == []
    assert await soon(poll(queues, other)) == []


async def test_who_gives_up_takes_no_message_along(queues: Queues, orders: str) -> None:
    polls = [poll(queues, orders) for _ in range(5)]
    await asleep(queues, 5)
    for given_up in polls[:4]:
        given_up.cancel()
    await send(queues, orders, "tea")
    assert await soon(polls[4]) == ["tea"]


async def test_there_are_only_so_many_waiters(queues: Queues, orders: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MAX_WAITERS", 2)
    polls = [poll(queues, orders), poll(queues, orders)]
    await asleep(queues, 2)
    with pytest.raises(RequestThrottled):
        await queues.receive(orders, Wanted(wait_s=20))
    await send(queues, orders, "a", "b")
    assert sorted([body for one in polls for body in await soon(one)]) == ["a", "b"]


async def test_waiting_outlives_a_broken_subscription(own_valkey: Valkey) -> None:
    client = connect(own_valkey.url)
    async with client, Queues(client, SystemClock(), ACCOUNT) as queues:
        arn = (await queues.create(QueueArn(REGION, ACCOUNT, "orders"))).arn
        waiting = poll(queues, arn)
        await asleep(queues, 1)
        await queues.client.client_kill_filter(_type="pubsub")
        await send(queues, arn, "tea")
        assert await soon(waiting) == ["tea"]
        again = poll(queues, arn)
        await asleep(queues, 1)
        await send(queues, arn, "more tea")
        assert await soon(again) == ["more tea"]


async def test_what_is_acknowledged_survives_the_store(own_valkey: Valkey) -> None:
    client = connect(own_valkey.url)
    async with client, Queues(client, SystemClock(), ACCOUNT) as queues:
        arn = (await queues.create(QueueArn(REGION, ACCOUNT, "orders"))).arn
        await send(queues, arn, "kept", "in flight")
        [_] = await receive(queues, arn, most=1)
        own_valkey.stop()
        own_valkey.start()
        await client.connection_pool.disconnect()
        assert (await queues.counts(arn))[:3] == (1, 1, 0)
        assert bodies(await receive(queues, arn)) == ["in flight"]


async def test_what_arrives_while_a_waiter_looks_is_not_missed() -> None:
    line = Line(SystemClock())
    heard = line.heard
    line.wake(1)  # nobody sleeps: the one waiter there is has just been told that the queue is empty
    async with asyncio.timeout(SOON_S):
        await line.sleep(60, heard)


async def test_pollers_that_come_back_miss_nothing(queues: Queues, orders: str) -> None:
    seen: list[str] = []

    async def work(at: Queues) -> None:
        while len(seen) < 200:
            for received in await at.receive(orders, Wanted(wait_s=20)):
                seen.append(received.message.body)
                await at.delete(orders, received.handle)

    async with Queues(queues.client, SystemClock(), ACCOUNT) as others, asyncio.timeout(4 * SOON_S):
        workers = [asyncio.create_task(work(at)) for at in (queues, queues, others)]
        for number in range(200):
            await send(others if number % 2 else queues, orders, str(number))
        while len(seen) < 200:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        # Not by cancelling: Python 3.11's `wait_for`, which redis-py sends commands with, may lose that.
        queues.end_waiting()
        others.end_waiting()
        await asyncio.gather(*workers)
    assert sorted(map(int, seen)) == list(range(200))
