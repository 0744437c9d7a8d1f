"""Queues do what a list of messages would, through sends, receives, deletes and changes in any order at any time."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.functions.store import connect
from gateway.queues.errors import InvalidParameter
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from samovar.clock import ManualClock
from tests.gateway.queues.queueing import ACCOUNT, REGION
from tests.gateway.queues.reference import RETENTION_S, VISIBILITY_S, Reference
from tests.valkey import Valkey

SECONDS = st.sampled_from([0, 1, 5, VISIBILITY_S - 1, VISIBILITY_S, VISIBILITY_S + 1])
STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from("aab"), st.sampled_from([0, 0, 0, 1, 5])),
    st.tuples(st.just("receive"), st.sampled_from([1, 2, 10]), st.one_of(st.none(), SECONDS)),
    st.tuples(st.just("delete"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("change"), st.integers(0, 5), st.one_of(st.just(0), SECONDS)),
    st.tuples(st.just("advance"), SECONDS, st.just(0)),
)

FIRST = [("send", group, 0) for group in "aaba"]
"""Without messages, nothing of interest happens."""


class Comparison:
    """A real queue and its reference, taken through the same steps."""

    def __init__(self, queues: Queues, arn: str, clock: ManualClock) -> None:
        self.queues, self.arn, self.clock = queues, arn, clock
        self.fifo = arn.endswith(".fifo")
        self.reference = Reference(self.fifo)
        self.handles: list[tuple[str, str]] = []
        self.sent = 0

    async def step(self, kind: str, first: Any, second: Any) -> None:
        """One step, and whether both have the same messages after it."""
        await getattr(self, kind)(first, second)
        assert (await self.queues.counts(self.arn))[:3] == self.reference.counts(), kind

    async def send(self, group: str, delay: int) -> None:
        self.sent += 1
        body = f"{group}{self.sent}"
        given = (group, 0) if self.fifo else (None, delay)
        await self.queues.send(
            self.arn, Outgoing(body=body, group=given[0], delay_s=given[1] if not self.fifo else None)
        )
        self.reference.send(body, *given)

    async def receive(self, most: int, visibility: int | None) -> None:
        received = await self.queues.receive(self.arn, Wanted(most, visibility, wait_s=0))
        told = [(one.message.body, one.handle, one.receives) for one in received]
        self.reference.receive(told, most, VISIBILITY_S if visibility is None else visibility)
        self.handles += [(body, handle) for body, handle, _ in told]

    async def delete(self, index: int, _: object) -> None:
        if self.handles:
            body, handle = self.handles[index % len(self.handles)]
            taken = self.reference.delete(handle) and not (self.fifo and self.reference.knows_older(handle, body))
            assert await self.is_taken(self.queues.delete(self.arn, handle)) == taken

    async def change(self, index: int, visibility: int) -> None:
        if self.handles:
            body, handle = self.handles[index % len(self.handles)]
            taken = self.reference.change(handle, body, visibility)
            assert await self.is_taken(self.queues.change_visibility(self.arn, handle, visibility)) == taken

    async def advance(self, seconds: int, _: object) -> None:
        self.clock.advance(seconds)
        self.reference.advance(seconds)

    async def is_taken(self, operation: Any) -> bool:
        """Whether an operation with a handle is not refused."""
        try:
            await operation
        except InvalidParameter:
            return False
        return True


async def compare(url: str, fifo: bool, steps: list[tuple[str, Any, Any]]) -> None:
    clock = ManualClock()
    async with connect(url) as client, Queues(client, clock, ACCOUNT) as queues:
        name = uuid4().hex + ".fifo" * fifo
        given = {"MessageRetentionPeriod": str(RETENTION_S), "VisibilityTimeout": str(VISIBILITY_S)}
        if fifo:
            given |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        arn = (await queues.create(QueueArn(REGION, ACCOUNT, name), given)).arn
        comparison = Comparison(queues, arn, clock)
        for step in [*FIRST, *steps]:
            await comparison.step(*step)
        await queues.delete_queue(arn)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@example(fifo=True, steps=[("receive", 10, None), ("change", 0, 0), ("receive", 10, None)])
@example(
    fifo=True, steps=[("receive", 2, 5), ("delete", 1, 0), ("advance", 5, 0), ("delete", 0, 0), ("receive", 10, 0)]
)
@example(
    fifo=False, steps=[("receive", 2, 1), ("advance", 1, 0), ("receive", 1, 30), ("delete", 0, 0), ("delete", 2, 0)]
)
@given(fifo=st.booleans(), steps=st.lists(STEPS, max_size=30))
def test_a_queue_is_a_list_of_messages(valkey: Valkey, fifo: bool, steps: list[tuple[str, Any, Any]]) -> None:
    asyncio.run(compare(valkey.url, fifo, steps))
