"""Cold starts: the first byte of a new environment, and of one more of a version that has some."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator

from benchmarks import calls
from benchmarks.lab import FUNCTIONS, Function, Lab, Plan, interleaved
from benchmarks.results import Measured, failed
from benchmarks.wrk import CannotMeasure
from tests.platform import BASE_IMAGE

PAUSE_S = 1.0
"""Between cold starts that are not in a crowd: time to prepare for the next one. A quarter of it with `--quick`."""
START_TAKES_MS = 400.0
TABLE_START_TAKES_MS = 1800.0
"""What a start may take so that every environment beside it is still busy when the last one is started."""


def measure(plan: Plan) -> Iterator[Measured]:
    """A new function each time; then a running version, small and with heavy imports."""
    with Lab.running(plan.isolation) as lab:
        lab.warm("echo")  # the runtime's image is there, and whatever the platform prepares
        yield _first(plan, lab)
        if plan.isolation == "docker":
            yield _crowd(plan, lab)
            yield _runsc(plan, lab)
        yield _scale_out(plan, "cold.scale-out", lab.warm("sleep"), START_TAKES_MS)
        yield from _table(plan, lab)


def _first(plan: Plan, lab: Lab) -> Measured:
    functions = [lab.function("echo") for _ in range(plan.size(15, 5))]
    values = []
    for function in functions:
        time.sleep(PAUSE_S / plan.size(1, 4))
        values.append(function.cold_call())
    return Measured(figure="cold.first", isolation=plan.isolation, values=values)


def _crowd(plan: Plan, lab: Lab) -> Measured:
    """The first ones use up whatever was prepared, and do not count."""
    functions = [lab.function("echo") for _ in range(plan.size(24, 9))]
    unprepared = functions[-2 * plan.repeats :]
    for function in functions[: -len(unprepared)]:
        function.cold_call()
    cold = (function.cold_call() for function in unprepared)
    values, references = interleaved(len(unprepared), lambda: next(cold), lambda: docker_run("runc"))
    return Measured(figure="cold.crowd", isolation=plan.isolation, values=values, references=references)


def _runsc(plan: Plan, lab: Lab) -> Measured:
    functions = (lab.function("echo", oci_runtime="runsc") for _ in range(plan.repeats))
    try:
        values, references = interleaved(plan.repeats, lambda: next(functions).cold_call(), lambda: docker_run("runsc"))
    except CannotMeasure as error:
        return failed(["cold.runsc"], plan.isolation, str(error))[0]
    return Measured(figure="cold.runsc", isolation=plan.isolation, values=values, references=references)


def _scale_out(plan: Plan, figure: str, function: Function, start_takes_ms: float) -> Measured:
    """One call after the other while all environments that are there sleep in a call each."""
    repeats = plan.size(8, 3)
    values: list[float] = []
    holders: list[threading.Thread] = []
    for _ in range(repeats):
        holder = threading.Thread(target=function.call, args=(repeats * (start_takes_ms + 200),))
        holder.start()
        holders.append(holder)
        time.sleep(0.1)
        reply = calls.one(function.asking(0))
        values.append(reply.first_byte_s * 1000)
        function.must_have_been_cold(reply)
        time.sleep(0.1)
    for holder in holders:
        holder.join()
    return Measured(figure=figure, isolation=plan.isolation, values=values)


def _table(plan: Plan, lab: Lab) -> Iterator[Measured]:
    """numpy and pandas are installed by the CLI's own `deploy`."""
    lab.platform.cli("deploy", FUNCTIONS / "table")
    function = lab.named("table")
    yield Measured(figure="cold.table", isolation=plan.isolation, values=[function.cold_call()])
    yield _scale_out(plan, "cold.table-scale-out", function, TABLE_START_TAKES_MS)


def docker_run(runtime: str) -> float:
    """Milliseconds from `docker run` of the same image's Python to its first byte."""
    command = ["docker", "run", "--rm", "--network", "none", "--runtime", runtime, BASE_IMAGE]
    began = time.perf_counter()
    with subprocess.Popen([*command, "python3", "-c", "print(1)"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read(1)
        took = time.perf_counter() - began
    if said != b"1":
        raise CannotMeasure(f"`{' '.join(command)}` ended with {process.returncode}")
    return took * 1000
