"""Warm calls: requests per second and latency, by every door, beside the bare server."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import bare_path, calls, wrk
from benchmarks.lab import Function, Lab, Plan, body_file
from benchmarks.results import Measured
from benchmarks.statistics import median, percentile
from benchmarks.wrk import Job, Load

EVENT = b'{"name": "Ada"}'


def measure(plan: Plan) -> Iterator[Measured]:
    """Throughput at 32 connections and at 1, then the tail at half of the throughput."""
    with Lab.running(plan.isolation) as lab, body_file(EVENT) as event, bare_path.running() as bare:
        function = lab.warm("echo")
        host = function.host()
        jobs = {
            "reference": Job(url=f"{plan.reference}/", connections=32, seconds=plan.seconds),
            "c32": Job(url=function.url, connections=32, seconds=plan.seconds),
            "c32-url": Job(url=f"{lab.endpoint}/", host=host, connections=32, seconds=plan.seconds),
            "c32-invoke": Job(url=function.invoke_url, connections=32, seconds=plan.seconds, body=event, key=lab.key),
            "reference-c1": Job(url=f"{plan.reference}/", connections=1, seconds=plan.seconds),
            "c1": Job(url=function.url, connections=1, seconds=plan.seconds),
        }
        if not plan.quick:  # what the design could reach is no figure of the platform's
            jobs["bare"] = Job(url=f"{bare}/", connections=32, seconds=plan.seconds)
            jobs["bare-c1"] = Job(url=f"{bare}/", connections=1, seconds=plan.seconds)
        wrk.run(jobs["c32"])  # as many environments as 32 callers keep busy are there before anything counts
        loads: dict[str, list[Load]] = {name: [] for name in jobs}
        for _ in range(plan.repeats):
            for name, job in jobs.items():
                loads[name].append(wrk.run(job))
        yield _rate(plan, "c32", loads["c32"], loads["reference"])
        yield _rate(plan, "c32-url", loads["c32-url"], loads["reference"])
        yield _rate(plan, "c32-invoke", loads["c32-invoke"], loads["reference"])
        yield _rate(plan, "c1", loads["c1"], loads["reference-c1"])
        if not plan.quick:
            yield _rate(plan, "bare", loads["bare"], loads["reference"])
            yield _rate(plan, "bare-c1", loads["bare-c1"], loads["reference-c1"])
        yield _latency(
            plan, "c1-p50", [one.p50_ms for one in loads["c1"]], [one.p50_ms for one in loads["reference-c1"]]
        )
        yield _latency(
            plan, "c1-p99", [one.p99_ms for one in loads["c1"]], [one.p99_ms for one in loads["reference-c1"]]
        )
        yield _latency(
            plan, "c32-p99", [one.p99_ms for one in loads["c32"]], [one.p99_ms for one in loads["reference"]]
        )
        yield _half_load(plan, function, median([load.rate for load in loads["c32"]]) / 2)


def _rate(plan: Plan, name: str, loads: list[Load], references: list[Load]) -> Measured:
    return Measured(
        figure=f"warm.{name}",
        isolation=plan.isolation,
        values=[load.rate for load in loads],
        references=[load.rate for load in references],
        detail={"p50_ms": median([load.p50_ms for load in loads]), "p99_ms": median([load.p99_ms for load in loads])},
    )


def _latency(plan: Plan, name: str, values: list[float], references: list[float]) -> Measured:
    return Measured(figure=f"warm.{name}", isolation=plan.isolation, values=values, references=references)


def _half_load(plan: Plan, function: Function, rate: float) -> Measured:
    """An open loop: what the calls have to wait while the next ones come regardless."""
    p50s, p99s = [], []
    for _ in range(plan.repeats):
        seconds = calls.steady(function.asking(), rate=rate, seconds=plan.seconds)
        p50s.append(percentile(seconds, 0.50) * 1000)
        p99s.append(percentile(seconds, 0.99) * 1000)
    return Measured(
        figure="warm.half-p99",
        isolation=plan.isolation,
        values=p99s,
        references=[4 * p50 + 3 for p50 in p50s],
        detail={"rate": rate, "p50_ms": median(p50s)},
    )
