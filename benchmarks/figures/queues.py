"""SQS's API: messages a second that are sent to it, one and ten by the request, and what a process does without HTTP.

A request is signed once and sent again and again by wrk, which is faster than any SDK.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from benchmarks import wrk
from benchmarks.lab import Lab, Plan, body_file
from benchmarks.results import Measured
from benchmarks.wrk import Job
from gateway.functions.store import connect
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from samovar.clock import SystemClock
from samovar.settings import Settings

_REGION, _ACCOUNT = Settings().region, Settings().account
_BODY: Final = '{"order": "o-1", "lines": [{"sku": "tea", "quantity": 2}]}'
_TEN: Final = 10
_AT_ONCE: Final = 8
"""Batches under way in the process without HTTP."""


def measure(plan: Plan) -> Iterator[Measured]:
    """Each figure on a queue of its own."""
    with Lab.running(plan.isolation) as lab:
        entries = [{"Id": str(number), "MessageBody": _BODY} for number in range(_TEN)]
        for figure, operation, asked in (
            ("send", "SendMessage", {"MessageBody": _BODY}),
            ("send-batch", "SendMessageBatch", {"Entries": entries}),
        ):
            rates, references = _sent(lab, plan, operation, asked, len(entries) if "Entries" in asked else 1)
            yield Measured(figure=f"queues.{figure}", isolation=plan.isolation, values=rates, references=references)
        values = [asyncio.run(_through(lab, f"through-{repeat}", plan)) for repeat in range(plan.repeats)]
        yield Measured(figure="queues.through", isolation=plan.isolation, values=values)


def _sent(
    lab: Lab, plan: Plan, operation: str, asked: Mapping[str, object], each: int
) -> tuple[list[float], list[float]]:
    """Messages a second at 32 connections, and the requests a bare server takes in turn with them."""
    name = operation.lower()
    asyncio.run(_made(lab, name))
    content = msgspec.json.encode({"QueueUrl": f"{lab.endpoint}/{_ACCOUNT}/{name}", **asked})
    headers = {"x-amz-target": f"AmazonSQS.{operation}"}
    with body_file(content) as body:
        url = f"{lab.endpoint}/"
        bare = Job(url=f"{plan.reference}/", connections=32, seconds=plan.seconds, body=body)
        job = Job(url=url, connections=32, seconds=plan.seconds, body=body, key=lab.key, headers=headers, service="sqs")
        wrk.run(job)
        rates, references = [], []
        for _ in range(plan.repeats):
            references.append(wrk.run(bare).rate)
            rates.append(wrk.run(job).rate * each)
    return rates, references


async def _made(lab: Lab, name: str) -> str:
    async with connect(lab.store_url) as client, Queues(client, SystemClock(), _ACCOUNT) as queues:
        return (await queues.create(QueueArn(_REGION, _ACCOUNT, name))).arn


async def _through(lab: Lab, name: str, plan: Plan) -> float:
    """Messages a second that one process sends, receives and deletes, ten at a time, some batches at once."""
    batches = plan.size(2000, 400)
    async with connect(lab.store_url) as client, Queues(client, SystemClock(), _ACCOUNT) as queues:
        arn = (await queues.create(QueueArn(_REGION, _ACCOUNT, name))).arn

        async def work() -> None:
            for _ in range(batches // _AT_ONCE):
                await queues.send_batch(arn, [Outgoing(body=_BODY)] * _TEN)
                received = await queues.receive(arn, Wanted(_TEN))
                await queues.delete_batch(arn, [one.handle for one in received])

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        return batches * _TEN / (time.monotonic() - began)
