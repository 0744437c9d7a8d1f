"""Many calls in the same moment: how soon all are answered, and what it does to everybody else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import uvloop

from benchmarks import calls
from benchmarks.lab import Function, Lab, Plan
from benchmarks.results import Measured
from benchmarks.statistics import percentile
from samovar.clients.platform import Client

CALLS = 50
SLEEP_MS = 100.0
STORM = 500
ENVIRONMENTS = 8
QUIET_S = 2.0
PAUSE_S = 3.0
"""Before several functions are called that have never been: time for what the platform prepares after the last ones."""
_STARTING = ("starting", "initialising")
_SAMPLE_S = 0.02


class Starts:
    """The most environments seen starting at once."""

    def __init__(self) -> None:
        self.most = 0


def measure(plan: Plan) -> Iterator[Measured]:
    """Bursts on one warm environment and on none, a storm beside a bystander, several functions cold at once."""
    with Lab.running(plan.isolation) as lab:
        lab.warm("echo")
        yield _burst(plan, lab, "burst.warm", warm=True)
        yield _burst(plan, lab, "burst.cold", warm=False)
        yield _starts(plan, lab)
        yield from _storm(plan, lab)
        yield _overlap(plan, lab)


def _burst(plan: Plan, lab: Lab, figure: str, *, warm: bool) -> Measured:
    values = []
    for _ in range(plan.size(5, 1)):
        function = lab.warm("sleep") if warm else lab.function("sleep")
        values.append(calls.at_once([function.asking(SLEEP_MS)] * CALLS).expect(200).wall_s)
        function.delete()
    return Measured(figure=figure, isolation=plan.isolation, values=values)


def _starts(plan: Plan, lab: Lab) -> Measured:
    """Looking costs the gateway time, so these bursts are not the ones that are timed."""
    burst, storm = lab.function("sleep"), lab.function("sleep", concurrency=ENVIRONMENTS)
    with _watching_starts(lab) as starts:
        calls.at_once([burst.asking(SLEEP_MS)] * CALLS).expect(200)
        calls.at_once([storm.asking(SLEEP_MS)] * STORM)
    for function in (burst, storm):
        function.delete()
    cores = float(psutil.cpu_count() or 1)
    return Measured(figure="burst.starts", isolation=plan.isolation, values=[starts.most], references=[cores])


def _storm(plan: Plan, lab: Lab) -> Iterator[Measured]:
    """The bystander is called one call after the other, before the storm and during it."""
    bystander = lab.warm("echo")
    dishonest, during, quiet, throttled = [], [], [], 0
    for _ in range(plan.size(3, 1)):
        crowded = lab.function("sleep", concurrency=ENVIRONMENTS)
        quiet.append(percentile(uvloop.run(_alone(bystander)), 0.99) * 1000)
        crowd, seconds = uvloop.run(_together(crowded, bystander))
        during.append(percentile(seconds, 0.99) * 1000)
        statuses = [reply.status for reply in crowd.replies]
        throttled += statuses.count(429)
        dishonest.append(float(len(statuses) - statuses.count(200) - statuses.count(429)))
        crowded.delete()
    detail = {"throttled": float(throttled)}
    yield Measured(figure="burst.storm", isolation=plan.isolation, values=dishonest, detail=detail)
    yield Measured(figure="burst.storm-neighbour", isolation=plan.isolation, values=during, references=quiet)


async def _alone(bystander: Function) -> list[float]:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(QUIET_S, over.set)
    return await calls.one_by_one(bystander.asking(), over)


async def _together(crowded: Function, bystander: Function) -> tuple[calls.Crowd, list[float]]:
    over = asyncio.Event()
    watching = asyncio.create_task(calls.one_by_one(bystander.asking(), over))
    try:
        crowd = await calls.crowd([crowded.asking(SLEEP_MS)] * STORM)
    finally:
        over.set()
    return crowd, await watching


def _overlap(plan: Plan, lab: Lab) -> Measured:
    """Both begin with what the platform has prepared in a pause, so that neither uses up the other's stem cells."""
    values, references = [], []
    for _ in range(plan.size(5, 1)):
        functions = [lab.function("echo") for _ in range(2 * ENVIRONMENTS)]
        time.sleep(PAUSE_S)
        references.append(sum(one.cold_call() for one in functions[:ENVIRONMENTS]) / 1000)
        time.sleep(PAUSE_S)
        at_once = [one.asking() for one in functions[ENVIRONMENTS:]]
        values.append(calls.at_once(at_once).expect(200).wall_s)
        for one in functions:
            one.delete()
    return Measured(figure="burst.overlap", isolation=plan.isolation, values=values, references=references)


@contextmanager
def _watching_starts(lab: Lab) -> Iterator[Starts]:
    """Ask every 20 ms which environments there are, for the length of a block."""
    starts, over = Starts(), threading.Event()

    def watch() -> None:
        with Client(lab.endpoint) as client:
            while not over.wait(_SAMPLE_S):
                states = [environment.state for environment in client.environments()]
                starts.most = max(starts.most, sum(state in _STARTING for state in states))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield starts
    finally:
        over.set()
        thread.join()
