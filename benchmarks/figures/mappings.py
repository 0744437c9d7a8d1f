"""Queues worked off by a mapping with batches of ten, and how soon a message that is sent to a quiet one starts it.

The queue is filled while the mapping is switched off, so that its working off alone is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

import redis.asyncio

from benchmarks.lab import Function, Lab, Plan
from benchmarks.results import Measured
from benchmarks.statistics import percentile
from benchmarks.wrk import CannotMeasure
from gateway.functions.store import connect
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from samovar.clock import SystemClock
from samovar.settings import Settings

BATCH: Final = 10
_NAME: Final = QueueArn(Settings().region, Settings().account, "benchmark")
_BODY: Final = '{"order": "o-1", "lines": [{"sku": "tea", "quantity": 2}]}'
_SENT_AT_ONCE: Final = 100
_PATIENCE_S: Final = 300.0


def measure(plan: Plan) -> Iterator[Measured]:
    """Working off a queue, then single messages."""
    with Lab.running(plan.isolation) as lab:
        function = lab.warm("nothing")
        asyncio.run(_made(lab))
        mapping = lab.client.create_mapping(
            {"FunctionName": function.name, "EventSourceArn": str(_NAME), "BatchSize": BATCH, "Enabled": False}
        )
        rates = [asyncio.run(_worked_off(lab, mapping.uuid, plan)) for _ in range(plan.repeats)]
        yield Measured(figure="mappings.drain", isolation=plan.isolation, values=rates)
        lab.client.update_mapping(mapping.uuid, {"Enabled": True})
        yield _start(lab, function, plan)


async def _made(lab: Lab) -> None:
    async with connect(lab.store_url) as client, _queues(client) as queues:
        await queues.create(_NAME)


async def _worked_off(lab: Lab, uuid: str, plan: Plan) -> float:
    """Messages per second, from the first that is gone to the last."""
    async with connect(lab.store_url) as client, _queues(client) as queues:
        count = plan.size(100_000, 20_000)
        for _ in range(0, count, _SENT_AT_ONCE):
            await queues.send_batch(str(_NAME), [Outgoing(body=_BODY)] * _SENT_AT_ONCE)
        await asyncio.to_thread(lab.client.update_mapping, uuid, {"Enabled": True})
        left = await _until(queues, lambda left: left < count)
        began = time.monotonic()
        await _until(queues, lambda left: left == 0)
        took = time.monotonic() - began
        await asyncio.to_thread(_switch_off, lab, uuid)
        return left / took


async def _until(queues: Queues, holds: Callable[[int], bool]) -> int:
    """How many messages are left, once that is what was waited for."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        counts = await queues.counts(str(_NAME))
        left = counts.visible + counts.in_flight
        if holds(left):
            return left
        if time.monotonic() > deadline:
            raise CannotMeasure(f"{left} messages are left after {_PATIENCE_S:.0f} s")
        await asyncio.sleep(0.02)


def _switch_off(lab: Lab, uuid: str) -> None:
    lab.client.update_mapping(uuid, {"Enabled": False})
    deadline = time.monotonic() + _PATIENCE_S
    while next(one for one in lab.client.list_mappings() if one.uuid == uuid).state != "Disabled":
        if time.monotonic() > deadline:
            raise CannotMeasure("the mapping cannot be switched off")
        time.sleep(0.05)


def _start(lab: Lab, function: Function, plan: Plan) -> Measured:
    """Milliseconds from the sending of a message to the handler's beginning, one at a time."""
    waits = asyncio.run(_waits(lab, function, plan.size(100, 30)))
    detail = {"p99_ms": percentile(waits, 0.99)}
    return Measured(
        figure="mappings.start-p50", isolation=plan.isolation, values=[percentile(waits, 0.5)], detail=detail
    )


async def _waits(lab: Lab, function: Function, count: int) -> list[float]:
    waits = []
    async with connect(lab.store_url) as client, _queues(client) as queues:
        for _ in range(count):
            began = time.time() * 1000
            await queues.send(str(_NAME), Outgoing(body=_BODY))
            await _until(queues, lambda left: left == 0)
            [reading] = await asyncio.to_thread(lambda: lab.client.invocations(function.name, limit=1))
            waits.append(reading.started_ms - began)
    return waits


def _queues(client: redis.asyncio.Redis) -> Queues:
    return Queues(client, SystemClock(), _NAME.account)
