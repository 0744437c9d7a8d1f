"""Tasks that move messages out of dead-letter queues, where their process ends and where queues vanish."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.queues.message import Outgoing
from gateway.queues.moves import Moves
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from samovar.clock import ManualClock
from tests.gateway.queues.queueing import ACCOUNT, REGION

SOON_S = 60.0


@pytest.fixture
async def dead(queues: Queues, orders: str) -> str:
    """The ARN of the dead-letter queue of `orders`."""
    arn = (await queues.create(QueueArn(REGION, ACCOUNT, "dead"))).arn
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 1}
    await queues.set_attributes(orders, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    return arn


async def fill(queues: Queues, arn: str, count: int) -> None:
    await queues.send_batch(arn, [Outgoing(body=str(number)) for number in range(count)])


async def ended(moves: Moves, source: str) -> tuple[str, str]:
    """Status and reason of the last task, once it has come to its end."""
    async with asyncio.timeout(SOON_S):
        while True:
            [move] = await moves.latest(source, 1)
            if move.status not in ("RUNNING", "CANCELLING"):
                return move.status, move.reason
            await asyncio.sleep(0.01)


async def test_a_move_is_finished_by_whoever_starts_next(
    queues: Queues, orders: str, dead: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.queues.move_store.LEASE_S", 0.3)
    monkeypatch.setattr("gateway.queues.moves.LEASE_S", 0.3)
    await fill(queues, dead, 40)
    async with Moves(queues, queues.client, clock) as first:
        move = await first.start(dead, orders, 1)
        async with asyncio.timeout(SOON_S):
            while (await queues.counts(orders)).visible == 0:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    assert (await first.latest(dead, 1))[0].status == "RUNNING", "its process has ended"
    monkeypatch.setattr("gateway.queues.moves._pause", lambda moved, rate: 0.0)
    async with Moves(queues, queues.client, clock) as second:
        assert await ended(second, dead) == ("COMPLETED", "")
        assert (await second.latest(dead, 1))[0].id == move.id
    assert ((await queues.counts(dead)).visible, (await queues.counts(orders)).visible) == (0, 40)


async def test_a_move_fails_where_there_is_nowhere_to_move_to(
    queues: Queues, orders: str, dead: str, clock: ManualClock
) -> None:
    await fill(queues, dead, 3)
    async with Moves(queues, queues.client, clock) as moves:
        await moves.start(dead, None, None)
        assert await ended(moves, dead) == ("FAILED", "CouldNotDetermineMessageSource"), "they were sent there"
        await queues.create(QueueArn(REGION, ACCOUNT, "gone"))
        started = asyncio.create_task(moves.start(dead, str(QueueArn(REGION, ACCOUNT, "gone")), 1))
        await started
        await queues.delete_queue(str(QueueArn(REGION, ACCOUNT, "gone")))
        assert await ended(moves, dead) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    left = (await queues.counts(dead)).visible
    assert left >= 1, "what was not moved is kept"
