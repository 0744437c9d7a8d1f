"""Cold starts: the first byte of a new environment, and of one more of a version that has some."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks import calls
from benchmarks.lab import FUNCTIONS, Function, Lab, Plan, interleaved
from benchmarks.results import Measured, failed
from benchmarks.wrk import CannotMeasure
from tests.platform import BASE_IMAGE

PAUSE_S = 1.0
"""Between cold starts that are not in a crowd: time to prepare for the next one. A quarter of it with `--quick`."""
LONGEST_HOLD_MS = 28_000.0
"""A little less than the timeout of the functions."""


def measure(plan: Plan) -> Iterator[Measured]:
    """A new function each time; then a running version, small and with heavy imports."""
    with Lab.running(plan.isolation) as lab:
        lab.warm("echo")  # the runtime's image is there, and whatever the platform prepares
        yield _first(plan, lab)
        if plan.isolation == "docker":
            yield _crowd(plan, lab)
            yield _runsc(plan, lab)
        yield _scale_out(plan, "cold.scale-out", lab.function("sleep"))[1]
        if not plan.quick:  # numpy and pandas have to be installed for it
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


def _scale_out(plan: Plan, figure: str, function: Function) -> tuple[float, Measured]:
    """One call after the other while all environments that are there sleep in a call each.

    Gives the first, cold call's milliseconds, too: what a start takes says how long the others have to be held.
    """
    first_ms = function.cold_call()
    repeats = plan.size(6, 3)
    held_ms = min(repeats * (3 * first_ms + 300), LONGEST_HOLD_MS)
    values: list[float] = []
    with ThreadPoolExecutor(repeats) as callers:
        for _ in range(repeats):
            holder = callers.submit(function.call, held_ms)
            time.sleep(0.1)
            reply = calls.one(function.asking(0))
            values.append(reply.first_byte_s * 1000)
            function.must_have_been_cold(reply)
            if holder.done():
                raise CannotMeasure(f"{function.name} was not held for {held_ms:.0f} ms")
    return first_ms, Measured(figure=figure, isolation=plan.isolation, values=values)


def _table(plan: Plan, lab: Lab) -> Iterator[Measured]:
    """numpy and pandas are installed by the CLI's own `deploy`."""
    lab.platform.cli("deploy", FUNCTIONS / "table")
    first_ms, scale_out = _scale_out(plan, "cold.table-scale-out", lab.named("table"))
    yield Measured(figure="cold.table", isolation=plan.isolation, values=[first_ms])
    yield scale_out


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
