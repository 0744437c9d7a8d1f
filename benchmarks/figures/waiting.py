"""A million events that wait: whether others are accepted as fast as before, and what grows beside the store.

They are put where the intake puts them, through a pipeline, while the worker is stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import psutil
import redis

from benchmarks import processes, wrk
from benchmarks.figures.events import EVENT, LATER, left, stopped, until, until_drained
from benchmarks.lab import Function, Lab, Plan, body_file
from benchmarks.results import Measured
from benchmarks.wrk import Job
from gateway.events import keys
from gateway.events.event import NewEvent, encode_head, head_of
from samovar.names import function_arn, new_request_id
from samovar.settings import Settings

PARTS: Final = ("gateway", "invoker", "worker")
_BATCH: Final = 2000
_DRAINS_S: Final = 5.0


def measure(plan: Plan) -> Iterator[Measured]:
    """Accepting before and after, then what the parts of the platform weigh while some of them are run."""
    count = plan.size(1_000_000, 100_000)
    note = "" if count == 1_000_000 else f"{count:,} events"
    with Lab.running(plan.isolation) as lab, body_file(EVENT) as event:
        function = lab.warm("nothing")
        job = Job(url=function.invoke_url, connections=32, seconds=plan.seconds, body=event, key=lab.key, headers=LATER)
        with stopped(lab):
            wrk.run(job)
        until_drained(lab, function)  # which loads into the worker what events take
        before_mib = processes.pss_mib(_parts(lab))
        with stopped(lab):
            before = [wrk.run(job).rate for _ in range(plan.repeats)]
            with lab.store() as store:
                store_events(store, function, count)
            after = [wrk.run(job).rate for _ in range(plan.repeats)]
        yield Measured(figure="waiting.accept", isolation=plan.isolation, values=after, references=before, note=note)
        waiting = left(lab, function)
        until(lambda: left(lab, function) < waiting, "somebody drains")
        time.sleep(_DRAINS_S)
        grown = processes.pss_mib(_parts(lab)) - before_mib
        yield Measured(figure="waiting.memory", isolation=plan.isolation, values=[grown], note=note)


def store_events(store: redis.Redis, function: Function, count: int) -> None:
    """Put so many events on a function's line, as the intake would."""
    settings = Settings()
    arn = function_arn(settings.account, settings.region, function.name)
    for start in range(0, count, _BATCH):
        pipe = store.pipeline(transaction=False)
        for _ in range(start, min(start + _BATCH, count)):
            head = head_of(NewEvent(arn=arn, payload=EVENT, request_id=new_request_id()))
            pipe.xadd(keys.line(arn), {"h": encode_head(head), "p": EVENT})
        pipe.execute()


def _parts(lab: Lab) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in (lab.pid, *lab.pids(*PARTS))]
