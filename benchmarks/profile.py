"""`python -m benchmarks.profile`: where the time of a warm call goes, by process, by stage and by function.

CPU microseconds per call are counted by the kernel while wrk loads the platform with 32 connections; they are exact.
The share of each function comes from py-spy, which looks 400 times a second at the thread of the event loop, and costs
some throughput itself. Wants root, as reading another process does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import processes, wrk
from benchmarks.lab import Lab, end_in_order
from benchmarks.stages import STAGES, stage_of
from benchmarks.wrk import Job

SECONDS = 6
SHOWN = 30
_SAMPLES_PER_S = 400
_THREADS = "_bootstrap ("
"""What the stack of any thread but the main one begins with."""


class Shares(NamedTuple):
    """How often each function was on the stack, and at its top; and how often a process was in each stage of a call."""

    total: int
    inclusive: Counter[str]
    own: Counter[str]
    stages: Counter[str]


def main() -> int:
    """Print a table of CPU time per call, then one of functions for gateway and invoker."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--isolation", default="sandbox", choices=("sandbox", "docker"))
    isolation = parser.parse_args().isolation
    end_in_order()
    console = Console(width=None if sys.stdout.isatty() else 140)
    with Lab.running(isolation) as lab:
        job = Job(url=lab.warm("echo").url, connections=32, seconds=SECONDS)
        wrk.run(job)
        rate, used = _cpu_used(lab, job)
        found = {part: _profiled(part, lab.pids(part)[0], job) for part in STAGES}
        environments = len(lab.client.environments())
    # Nothing is left running by now: whoever reads this may have enough before its end.
    console.print(_stage_table(rate, used, found))
    console.print(f"{environments} environments")
    for part, shares_of_part in found.items():
        console.print(_function_table(part, shares_of_part))
    return 0


def _cpu_used(lab: Lab, job: Job) -> tuple[float, Counter[str]]:
    """Calls a second, and microseconds of CPU a call by process."""
    named = {pid: part for part in ("gateway", "invoker", "store") for pid in lab.pids(part)}
    watched = processes.platform(lab)
    before = processes.cpu_s(watched)
    load = wrk.run(job)
    after = processes.cpu_s(watched)
    used: Counter[str] = Counter()
    for pid in after:
        used[named.get(pid, _other(lab, pid))] += round((after[pid] - before[pid]) / load.requests * 1e6)
    return load.rate, used


def _stage_table(rate: float, used: Counter[str], found: dict[str, Shares]) -> Table:
    table = Table(title=f"CPU per warm call at 32 connections, {rate:,.0f} requests/s", title_justify="left")
    for heading in ("process", "stage"):
        table.add_column(heading)
    table.add_column("µs per call", justify="right")
    for part, microseconds in used.most_common():
        table.add_row(part, "", str(microseconds))
        stages = found[part].stages if part in found else Counter[str]()
        for stage, count in stages.most_common():
            table.add_row("", stage, f"{microseconds * count / stages.total():.0f}")
    table.add_row("together", "", str(used.total()))
    return table


def _other(lab: Lab, pid: int) -> str:
    """Supervisor and background worker do nothing for a call; all else are environments."""
    idle = {lab.pid, *(process.pid for one in lab.pids("worker") for process in processes.tree(one))}
    return "supervisor and background worker" if pid in idle else "environments"


def _profiled(part: str, pid: int, job: Job) -> Shares:
    """What a process does while it is loaded. Raises `subprocess.CalledProcessError` when py-spy may not look."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        command = [str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(pid), "--output", file.name]
        command += ["--duration", str(SECONDS - 1), "--rate", str(_SAMPLES_PER_S), "--format", "raw"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
            wrk.run(job)
        if spy.returncode:
            raise subprocess.CalledProcessError(spy.returncode, command)
        return shares(part, Path(file.name).read_text().splitlines())


def shares(part: str, lines: Iterable[str]) -> Shares:
    """Add up py-spy's raw lines, `outermost;…;innermost count`, of the main thread."""
    found = Shares(0, Counter(), Counter(), Counter())
    total = 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] + ")" for frame in stack.split(";")]
        if _THREADS in frames[0] or _THREADS in frames[min(1, len(frames) - 1)]:
            continue
        total += int(count)
        found.own[frames[-1]] += int(count)
        found.stages[stage_of(part, frames)] += int(count)
        for frame in set(frames):
            found.inclusive[frame] += int(count)
    return found._replace(total=total)


def _function_table(part: str, found: Shares) -> Table:
    table = Table(title=f"{part}: share of its event loop's time", title_justify="left")
    for heading in ("with what it calls", "alone"):
        table.add_column(heading, justify="right")
    table.add_column("function")
    for function, count in found.inclusive.most_common(SHOWN):
        table.add_row(f"{count / found.total:.1%}", f"{found.own[function] / found.total:.1%}", function)
    return table


if __name__ == "__main__":
    sys.exit(main())
