"""Queues on a real store, with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from samovar.clock import ManualClock
from tests.gateway.queues.queueing import ACCOUNT, REGION


@pytest.fixture
async def queues(client: redis.asyncio.Redis, clock: ManualClock) -> AsyncIterator[Queues]:
    """No queues."""
    async with Queues(client, clock, ACCOUNT) as found:
        yield found


@pytest.fixture
async def orders(queues: Queues) -> str:
    """The ARN of a standard queue."""
    return (await queues.create(QueueArn(REGION, ACCOUNT, "orders"))).arn


@pytest.fixture
async def ledger(queues: Queues) -> str:
    """The ARN of a FIFO queue that tells messages apart by their content."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    return (await queues.create(QueueArn(REGION, ACCOUNT, "ledger.fifo"), attributes)).arn
