"""How much may wait for the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.queues import sending
from gateway.queues.errors import QueueDoesNotExist, RequestThrottled
from gateway.queues.message import Outgoing
from gateway.queues.sending import Outcome, Posting, Sending

ARN = "arn:aws:sqs:us-east-1:123456789012:jobs"


async def test_what_is_too_much_for_a_store_that_is_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MOST_WAITING", 10)
    answers = asyncio.Event()

    async def store(arn: str, postings: Sequence[Posting]) -> list[Outcome]:
        await answers.wait()
        return [QueueDoesNotExist("gone") for _ in postings]

    queue = Sending(store)
    messages = [(Outgoing(body="12345"), "sender")]
    waiting = [asyncio.create_task(queue.send(ARN, messages)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RequestThrottled):
        await queue.send(ARN, messages)
    answers.set()
    assert [len(outcomes) for outcomes in await asyncio.gather(*waiting)] == [1, 1]
    assert len(await queue.send(ARN, messages)) == 1, "there is room again"
