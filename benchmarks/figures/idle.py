"""CPU while nothing happens: whoever polls is found out."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.lab import Lab, Plan
from benchmarks.results import Measured
from benchmarks.wrk import CannotMeasure

SETTLE_S = 2.0


def measure(plan: Plan) -> Iterator[Measured]:
    """Of all the platform's processes and environments, with Docker's engine where it is used."""
    functions, seconds = plan.size(100, 20), plan.size(20, 5)
    with Lab.running(plan.isolation) as lab:
        for _ in range(functions):
            lab.warm("echo")
        warm = len(lab.client.environments())
        if warm < functions:
            raise CannotMeasure(f"only {warm} of {functions} environments stayed warm")
        time.sleep(SETTLE_S)
        watched = processes.platform(lab) + (processes.engine() if plan.isolation == "docker" else [])
        before, began = processes.cpu_s(watched), time.monotonic()
        time.sleep(seconds)
        after, took_s = processes.cpu_s(watched), time.monotonic() - began
        share = sum(after[pid] - before[pid] for pid in after) / took_s * 100
    note = "" if functions == 100 else f"{functions} warm environments"
    yield Measured(figure="idle.cpu", isolation=plan.isolation, values=[share], note=note)
