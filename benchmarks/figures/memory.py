"""Memory: what the platform takes idle, and what each further environment adds. PSS, so that sums are true."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import calls, processes
from benchmarks.lab import Lab, Plan
from benchmarks.results import Measured
from benchmarks.wrk import CannotMeasure
from invoker.environments.snapshots import REST_S
from invoker.isolation.stem_stock import RUN_KEPT_S

IDLE_S = max(RUN_KEPT_S, REST_S) + 5.0
"""After so long nothing is left of what was prepared for more calls like the last ones."""


def measure(plan: Plan) -> Iterator[Measured]:
    """Everything counts that is there: supervisor, gateway, invoker, store, environments, containers' shims.

    So is the worker, which would go to rest in a few minutes.
    """
    further = plan.size(20, 8)
    with Lab.running(plan.isolation, worker_rest_s=0) as lab:
        function = lab.warm("sleep")
        one = _idle(lab)
        yield Measured(figure="memory.platform", isolation=plan.isolation, values=[one])
        before = len(lab.client.environments())
        calls.at_once([function.asking(1500)] * (further + 1)).expect(200)
        added = len(lab.client.environments()) - before
        if added < 1:
            raise CannotMeasure("no further environment of the same version was started")
        many = _idle(lab)
        yield Measured(
            figure="memory.same",
            isolation=plan.isolation,
            values=[(many - one) / added],
            detail={"environments": float(added)},
        )
        for _ in range(further):
            lab.warm("echo")
        others = _idle(lab)
        yield Measured(
            figure="memory.other",
            isolation=plan.isolation,
            values=[(others - many) / further],
            detail={"environments": float(further)},
        )


def _idle(lab: Lab) -> float:
    time.sleep(IDLE_S)
    return processes.settled_pss_mib(lab)
