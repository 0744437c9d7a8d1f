"""What does not grow with what is deployed and stored, with cores, or with the size of a payload."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator

import msgspec
import psutil
import redis

from benchmarks import calls, processes, wrk
from benchmarks.calls import Call
from benchmarks.lab import Function, Lab, Plan, body_file, interleaved
from benchmarks.results import Measured, failed
from benchmarks.wrk import CannotMeasure, Job
from samovar import usage
from samovar.invocation import Outcome, Reading
from samovar.names import function_arn

PAYLOAD = b'"' + b"x" * (6 * 1024 * 1024 - 2) + b'"'
"""A JSON string of 6 MB, the largest event of a synchronous call."""
AT_ONCE = 32
_BATCH = 5000
_REWRITE_TAKES_S = 120.0


def measure(plan: Plan) -> Iterator[Measured]:
    """Each beside a platform that has one function and nothing else."""
    with Lab.running(plan.isolation) as small:
        alone = small.warm("echo")
        for figure, part in (
            ("functions", _deployed),
            ("versions", _published),
            ("readings", _stored),
            ("workers", _workers),
        ):
            try:
                yield part(plan, alone)
            except CannotMeasure as error:  # the others have platforms of their own
                yield from failed([f"scale.{figure}"], plan.isolation, str(error))
        yield from _payload(plan, small, alone)


def _beside(plan: Plan, figure: str, ours: Function, alone: Function, connections: int, note: str = "") -> Measured:
    """Requests per second of two functions in turn."""
    jobs = [Job(url=one.url, connections=connections, seconds=plan.seconds) for one in (ours, alone)]
    for job in jobs:
        wrk.run(job)
    values, references = interleaved(plan.repeats, *((lambda job=job: wrk.run(job).rate) for job in jobs))
    return Measured(figure=figure, isolation=plan.isolation, values=values, references=references, note=note)


def _deployed(plan: Plan, alone: Function) -> Measured:
    total, warm = plan.size(1000, 100), plan.size(100, 10)
    with Lab.running(plan.isolation) as lab:
        functions = [lab.function("echo") for _ in range(total)]
        for function in functions[:warm]:
            function.call()
        note = "" if total == 1000 else f"{total} functions, {warm} warm"
        return _beside(plan, "scale.functions", functions[0], alone, 32, note)


def _published(plan: Plan, alone: Function) -> Measured:
    """The oldest version of a function that has many."""
    total, warm = plan.size(100, 10), plan.size(10, 2)
    with Lab.running(plan.isolation) as lab:
        function = lab.function("echo")
        versions = [function.published(number) for number in range(total)]
        for version in versions[:warm]:
            version.call()
        note = "" if total == 100 else f"{total} versions, {warm} warm"
        return _beside(plan, "scale.versions", versions[0], alone, 32, note)


def _stored(plan: Plan, alone: Function) -> Measured:
    total = plan.size(1_000_000, 100_000)
    with Lab.running(plan.isolation) as lab:
        function = lab.warm("echo")
        with lab.store() as store:
            store_readings(store, total)
        note = "" if total == 1_000_000 else f"{total:,} readings"
        return _beside(plan, "scale.readings", function, alone, 32, note)


def _workers(plan: Plan, alone: Function) -> Measured:
    with Lab.running(plan.isolation, gateway_workers=2) as lab:
        return _beside(plan, "scale.workers", lab.warm("echo"), alone, 64)


def _payload(plan: Plan, lab: Lab, function: Function) -> Iterator[Measured]:
    with body_file(PAYLOAD) as body:
        jobs = [
            Job(url=url, connections=1, seconds=plan.seconds, body=body, key=lab.key)
            for url in (function.invoke_url, f"{plan.reference}/")
        ]
        values, references = interleaved(plan.repeats, *((lambda job=job: wrk.run(job).rate) for job in jobs))
    yield Measured(figure="scale.payload", isolation=plan.isolation, values=values, references=references)
    parts = [psutil.Process(pid) for pid in lab.pids("gateway", "invoker")]
    at_once = [Call(function.invoke_url, PAYLOAD, lab.key)] * AT_ONCE
    peaks = []
    for _ in range(plan.repeats):
        with processes.watching(parts) as peak:
            calls.at_once(at_once).expect(200)
        peaks.append(peak.mib)
    yield Measured(figure="scale.payload-memory", isolation=plan.isolation, values=peaks)


def store_readings(store: redis.Redis, total: int) -> None:
    """Put so many readings of the last two days, of a hundred functions, where an invoker would have put them."""
    arns = [function_arn("123456789012", "us-east-1", f"past-{number}") for number in range(100)]
    now_ms = int(time.time() * 1000)
    spans: Counter[str] = Counter()
    for start in range(0, total, _BATCH):
        pipe = store.pipeline(transaction=False)
        for number in range(start, min(start + _BATCH, total)):
            arn, started_ms = arns[number % len(arns)], now_ms - number * 172_800_000 // total
            reading = _reading(arn, started_ms)
            pipe.set(usage.reading_key(reading.request_id), msgspec.json.encode(reading), ex=604_800)
            pipe.zadd(usage.readings_key(arn), {reading.request_id: started_ms})
            for resolution in usage.SECONDS:
                spans[usage.rollup_key(arn, resolution, usage.span_start(started_ms / 1000, resolution))] += 1
        pipe.execute()
    counters = usage.Rollup.of([_reading(arns[0], now_ms)]).counters  # they differ in nothing that is summed up
    pipe = store.pipeline(transaction=False)
    for key, readings in spans.items():
        pipe.hset(key, mapping={name: str(count * readings) for name, count in counters.items()})
    pipe.execute()
    _wait_for_rewrite(store)


def _reading(arn: str, started_ms: int) -> Reading:
    return Reading(
        request_id=str(uuid.uuid4()),
        arn=arn,
        version="$LATEST",
        trigger="http",
        started_ms=started_ms,
        outcome=Outcome.OK,
        queue_ms=0.02,
        duration_ms=1.234,
        billed_ms=2,
        memory_mb=128,
        peak_mb=17,
        cpu_ms=0.8,
        environment="0123456789abcdef",
        isolation="sandbox",
    )


def _wait_for_rewrite(store: redis.Redis) -> None:
    """The store compacts its file behind so many writes; that is not what is measured."""
    deadline = time.monotonic() + _REWRITE_TAKES_S
    while time.monotonic() < deadline:
        state = store.info("persistence")
        assert isinstance(state, dict)
        if not state["aof_rewrite_in_progress"] and not state["rdb_bgsave_in_progress"]:
            return
        time.sleep(0.2)
    raise CannotMeasure(f"the store has been rewriting its file for {_REWRITE_TAKES_S:.0f} s")
