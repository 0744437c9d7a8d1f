"""CPU while nothing happens: whoever polls is found out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.figures.memory import IDLE_S
from benchmarks.lab import Lab, Plan
from benchmarks.results import Measured
from benchmarks.wrk import CannotMeasure

PERIOD_S = 30
"""As often, containerd's shims give memory back to the kernel: of their work, a shorter look sees too much or none."""


def measure(plan: Plan) -> Iterator[Measured]:
    """Of all the platform's processes and environments, with Docker's engine where it is used."""
    functions, seconds = plan.size(100, 20), plan.size(PERIOD_S, 5)
    with Lab.running(plan.isolation) as lab:
        for _ in range(functions):
            lab.warm("echo")
        warm = len(lab.client.environments())
        if warm < functions:
            raise CannotMeasure(f"only {warm} of {functions} environments stayed warm")
        time.sleep(IDLE_S)
        watched = processes.platform(lab) + (processes.engine() if plan.isolation == "docker" else [])
        names = processes.names(watched)
        before, began = processes.cpu_s(watched), time.monotonic()
        time.sleep(seconds)
        after, took_s = processes.cpu_s(watched), time.monotonic() - began
    shares: dict[str, float] = defaultdict(float)
    for pid in after.keys() & before.keys() & names.keys():
        shares[names[pid]] += (after[pid] - before[pid]) / took_s * 100
    note = "" if functions == 100 else f"{functions} warm environments"
    yield Measured(
        figure="idle.cpu",
        isolation=plan.isolation,
        values=[sum(shares.values())],
        detail={name: round(share, 3) for name, share in shares.items() if share},
        note=note,
    )
