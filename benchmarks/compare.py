"""`python -m benchmarks.compare BEFORE AFTER`: two working copies of this repository, loaded in turn.

Both platforms run at the same time, and each round loads one after the other, so that what else the machine does falls
on both. What a call costs each process in CPU time is told beside requests per second: it is less easily disturbed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import calls, processes, wrk
from benchmarks.lab import Lab
from benchmarks.statistics import median, percentile
from benchmarks.wrk import Job

PARTS: Final = ("gateway", "invoker", "store")
_SECONDS: Final = 3
_STOPS_WITHIN_S: Final = 60.0


class Order(msgspec.Struct, frozen=True):
    """How a platform is to be loaded."""

    isolation: str
    connections: int
    rate: float
    """Calls a second of an open loop whose tail is measured besides; 0 for none."""


def main() -> int:
    """Compare, and print a table."""
    order, trees, rounds = _asked()
    with ExitStack() as running:
        loaded = {tree: running.enter_context(_platform(tree, order)) for tree in trees}
        found: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
        for _ in range(rounds):
            for tree, process in loaded.items():
                found[tree].append(_once(process))
    Console(width=None if sys.stdout.isatty() else 140).print(_table(found))
    return 0


def _asked() -> tuple[Order, list[Path], int]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path, metavar="WORKING_COPY", help="as `git worktree add` makes them")
    parser.add_argument("--isolation", default="sandbox", choices=("sandbox", "docker"))
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second, to see the tail at a steady load, too")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    trees = [tree.resolve() for tree in given.trees]
    return Order(given.isolation, given.connections, given.rate), trees, given.rounds


@contextmanager
def _platform(tree: Path, order: Order) -> Iterator[subprocess.Popen[str]]:
    """This file, run with the code of another working copy, which starts its platform and waits to be told.

    A working copy with an installation of its own is run by that one's Python: two builds of it can be compared, too.
    """
    own = tree / ".venv" / "bin" / "python"
    command = [str(own) if own.exists() else sys.executable, "-P", __file__, msgspec.json.encode(order).decode()]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # it has ended by itself
                    stream.close()
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _once(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # then there is no answer
        process.stdin.write("again\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"a platform could not be measured; see above ({process.args!r})")
    return msgspec.json.decode(answer, type=dict[str, float])


def _table(found: dict[Path, list[dict[str, float]]]) -> Table:
    table = Table(title=f"medians of {len(next(iter(found.values())))} rounds in turn", title_justify="left")
    table.add_column("")
    for tree in found:
        table.add_column(tree.name, justify="right")
    table.add_column("last / first", justify="right")
    for name in next(iter(found.values()))[0]:
        values = [median([one[name] for one in rounds]) for rounds in found.values()]
        ratio = f"{values[-1] / values[0]:.2f}" if values[0] else ""
        table.add_row(name, *(f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in values), ratio)
    return table


def _serve(order: Order) -> None:
    """Load the platform of the working copy this runs with, once for each line that comes."""
    with Lab.running(order.isolation) as lab:
        function = lab.warm("echo")
        job = Job(url=function.url, connections=order.connections, seconds=_SECONDS)
        wrk.run(job)
        for _ in sys.stdin:
            figures = _loaded(lab, job)
            if order.rate:
                seconds = calls.steady(function.asking(), rate=order.rate, seconds=_SECONDS)
                figures["p50 (ms) at the given rate"] = percentile(seconds, 0.50) * 1000
                figures["p99 (ms) at the given rate"] = percentile(seconds, 0.99) * 1000
            print(msgspec.json.encode(figures).decode(), flush=True)


def _loaded(lab: Lab, job: Job) -> dict[str, float]:
    """What one round shows. It leans on what older working copies have, too, which is less than `profile.py` offers."""
    named = {pid: part for part in PARTS for pid in lab.pids(part)}
    before, cores_before = processes.cpu_s(processes.platform(lab)), psutil.cpu_times()
    load = wrk.run(job)
    after, cores_after = processes.cpu_s(processes.platform(lab)), psutil.cpu_times()
    used = dict.fromkeys((*PARTS, "everything else"), 0.0)
    for pid, seconds in after.items():
        used[named.get(pid, "everything else")] += (seconds - before.get(pid, 0.0)) / load.requests * 1e6
    costs = {f"CPU (µs per call): {part}": cost for part, cost in used.items()}
    together = sum(used.values())
    return {
        "requests/s": load.rate,
        "p50 (ms)": load.p50_ms,
        "p99 (ms)": load.p99_ms,
        **costs,
        "CPU (µs per call)": together,
        "cores idle (%)": 100 * (cores_after.idle - cores_before.idle) / (sum(cores_after) - sum(cores_before)),
    }


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        _serve(msgspec.json.decode(sys.argv[1], type=Order))
    else:
        sys.exit(main())
