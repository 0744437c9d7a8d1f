"""Asynchronous events: accepted per second, drained per second, and how soon an event of an idle platform starts.

The worker is stopped by signal while events are collected for a drain, so that the drain alone is measured. Beside it
stands what Celery alone does with one task for each event, on the same store and with the same number of threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks import calls, wrk
from benchmarks.lab import Function, Lab, Plan, body_file
from benchmarks.results import Measured
from benchmarks.statistics import percentile
from benchmarks.wrk import CannotMeasure, Job
from gateway.events import keys
from gateway.tasks.celery_app import broker_url
from samovar.clients import events as event_client
from samovar.names import function_arn
from samovar.settings import Settings

EVENT: Final = b'{"name": "Ada"}'
LATER: Final = {"x-amz-invocation-type": "Event"}
_PATIENCE_S: Final = 300.0
_KEPT: Final = 10_000_000


def measure(plan: Plan) -> Iterator[Measured]:
    """Accepting, draining, starting; then synchronous calls beside a drain."""
    with Lab.running(plan.isolation, kept_events=_KEPT, kept_event_mb=4096) as lab, body_file(EVENT) as event:
        function = lab.warm("echo")
        job = Job(url=function.invoke_url, connections=32, seconds=plan.seconds, body=event, key=lab.key, headers=LATER)
        bare = Job(url=f"{plan.reference}/", connections=32, seconds=plan.seconds, body=event)
        wrk.run(job)
        until_drained(lab, function)
        rates, references, drained = [], [], []
        for _ in range(plan.repeats):
            with stopped(lab):
                references.append(wrk.run(bare).rate)
                load = wrk.run(job)
                rates.append(load.rate)
            drained.append(_drain(lab, function))
        yield Measured(figure="events.accept", isolation=plan.isolation, values=rates, references=references)
        celery = [_celery(lab, plan.size(4000, 1500)) for _ in range(plan.repeats)]
        yield Measured(figure="events.drain", isolation=plan.isolation, values=drained, references=celery)
        yield _start(lab, function, plan)
        yield _beside(lab, function, plan, job)


def _ended(lab: Lab, function: Function) -> int:
    counts = event_client.events(lab.client, function.name, limit=1).counts
    return counts.succeeded + counts.failed


def left(lab: Lab, function: Function) -> int:
    """Events that have not ended. The store is asked, so that looking costs the platform little."""
    settings = Settings()
    arn = function_arn(settings.account, settings.region, function.name)
    with lab.store() as store:
        return int(store.xlen(keys.line(arn))) + int(store.zcard(keys.delayed(arn)))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds. Raises `CannotMeasure` when it does not in five minutes."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise CannotMeasure(f"waited {_PATIENCE_S:.0f} s: {what}")
        time.sleep(0.02)


def _until_ended(lab: Lab, function: Function, event_id: str) -> None:
    until(lambda: event_client.event(lab.client, function.name, event_id).event.ended_ms > 0, "the event has ended")


def until_drained(lab: Lab, function: Function) -> None:
    """Wait until all its events have ended."""
    until(lambda: not left(lab, function), "all events have ended")


@contextmanager
def stopped(lab: Lab) -> Iterator[None]:
    """Inside it the worker does nothing."""
    pids = lab.pids("worker")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _drain(lab: Lab, function: Function) -> float:
    """Events per second from the first that ends to the last."""
    waiting = left(lab, function)
    until(lambda: left(lab, function) < waiting, "somebody drains")
    began, first = time.monotonic(), _ended(lab, function)
    until_drained(lab, function)
    return (_ended(lab, function) - first) / (time.monotonic() - began)


def _celery(lab: Lab, count: int) -> float:
    """Tasks that do nothing, per second, on a worker of the same kind."""
    environment = {**os.environ, "BROKER": broker_url(lab.store_url), "COUNT": str(count)}
    command = [sys.executable, "-m", "benchmarks.one_task_an_event"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    if done.returncode:
        raise CannotMeasure(f"the worker of one task an event: {done.stderr[-500:]}")
    return float(done.stdout.strip().splitlines()[-1])


def _start(lab: Lab, function: Function, plan: Plan) -> Measured:
    """Milliseconds from the call to the handler's beginning, one event at a time."""
    waits = []
    for _ in range(plan.size(100, 40)):
        began = time.time()
        event_id = lab.client.invoke_later(function.name, EVENT)
        _until_ended(lab, function, event_id)
        waits.append(lab.client.invocation(event_id).started_ms - began * 1000)
    return Measured(
        figure="events.start-p50",
        isolation=plan.isolation,
        values=[percentile(waits, 0.5)],
        detail={"p99_ms": percentile(waits, 0.99)},
    )


def _beside(lab: Lab, function: Function, plan: Plan, job: Job) -> Measured:
    """The p99 of synchronous calls at a modest rate while a drain is under way, and on a quiet platform."""
    other = lab.warm("echo")
    quiet, busy = [], []
    for _ in range(plan.repeats):
        quiet.append(percentile(calls.steady(other.asking(), rate=100, seconds=plan.seconds), 0.99) * 1000)
        with stopped(lab):
            wrk.run(job)
        busy.append(percentile(calls.steady(other.asking(), rate=100, seconds=plan.seconds), 0.99) * 1000)
        if not left(lab, function):
            raise CannotMeasure("the drain was over before the calls were")
        until_drained(lab, function)
    return Measured(figure="events.sync-p99", isolation=plan.isolation, values=busy, references=quiet)
