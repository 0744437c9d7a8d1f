"""`python -m benchmarks.keepalive`: the trace's statistics, one table of policies, and the same as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.keepalive.simulation import Result, Rule, Simulation
from benchmarks.keepalive.trace import DAY_S, Function, Shape, Statistic, generate, statistics
from invoker.pool.keepalive import KeepAlive
from samovar.settings import Settings

RESULTS = Path(__file__).parent / "results.json"
TTLS_S = (60.0, 120.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 4 * 3600.0)
WORTHS_S = (300.0, 600.0, 1200.0, 2400.0)
"""What a cold start counts as in the adaptive policy: `idle_ttl_s`."""
SCARCE_MB = 6144
"""What the box has when it is short of memory, for a trace of the usual size."""


def keep(ttl_s: float, *, adaptive: bool) -> KeepAlive:
    """A keep-alive with the platform's defaults for its bounds."""
    usual = Settings()
    return KeepAlive(adaptive=adaptive, ttl_s=ttl_s, min_s=usual.keep_alive_min_s, max_s=usual.keep_alive_max_s)


def rules(memory_mb: int) -> tuple[list[Rule], list[Rule]]:
    """The policies with memory to spare, and those with `memory_mb`."""
    usual = keep(Settings().idle_ttl_s, adaptive=True)
    ample = [Rule(f"TTL {ttl_s:g} s", keep(ttl_s, adaptive=False)) for ttl_s in TTLS_S]
    ample += [Rule(f"adaptive, {ttl_s:g} s", keep(ttl_s, adaptive=True)) for ttl_s in WORTHS_S]
    short = [
        Rule("TTL 600 s, longest idle goes", keep(600.0, adaptive=False), False, memory_mb),
        Rule("TTL 600 s, greedy-dual", keep(600.0, adaptive=False), True, memory_mb),
        Rule("adaptive, longest idle goes", usual, False, memory_mb),
        Rule("adaptive, greedy-dual", usual, True, memory_mb),
    ]
    return ample, short


def on_the_curve(curve: Sequence[Result], idle_gb_s: float) -> float:
    """The cold share of a plain TTL that wastes as much memory, on the line between the two nearest.

    The curve sags below that line, so this flatters the other policy a little: the closer the TTLs, the less.
    """
    points = sorted((one.idle_gb_s, one.cold_share) for one in curve)
    for (left, high), (right, low) in pairwise(points):
        if idle_gb_s <= right:
            return high + (low - high) * (max(idle_gb_s, left) - left) / (right - left) if right > left else low
    return points[-1][1]


def compare(functions: Sequence[Function], shape: Shape, memory_mb: int) -> tuple[list[Result], list[Result]]:
    """What each policy comes to, with memory to spare and without."""
    ample, short = rules(memory_mb)
    results = [
        Simulation(functions, rule).run(shape.days * DAY_S)
        for rule in track([*ample, *short], "simulating", console=Console(stderr=True), transient=True)
    ]
    return results[: len(ample)], results[len(ample) :]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keepalive", description=__doc__)
    parser.add_argument("--functions", type=int, default=Shape().functions)
    parser.add_argument("--days", type=float, default=Shape().days)
    parser.add_argument("--seed", type=int, default=Shape().seed)
    parser.add_argument("--memory-mb", type=int, default=SCARCE_MB, help="of the box that is short of memory")
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"where the figures go (default {RESULTS.name})")
    given = parser.parse_args()
    shape = Shape(given.functions, given.days, given.seed)
    functions = generate(shape)
    shown = statistics(functions, shape)
    ample, short = compare(functions, shape, given.memory_mb)
    console = Console(width=120)
    console.print(_statistics_table(shown, shape))
    console.print(_results_table("Memory to spare", ample))
    console.print(_verdict(ample))
    console.print(_results_table(f"{given.memory_mb} MB for all environments", short))
    given.json.write_bytes(msgspec.json.format(msgspec.json.encode(document(shape, shown, ample, short))) + b"\n")


def document(
    shape: Shape, shown: Sequence[Statistic], ample: Sequence[Result], short: Sequence[Result]
) -> dict[str, Any]:
    """The figures as JSON has them."""
    return {
        "trace": shape._asdict(),
        "statistics": [one._asdict() for one in shown],
        "memory_to_spare": [_figures(one) for one in ample],
        "short_of_memory": [_figures(one) for one in short],
    }


def _figures(result: Result) -> dict[str, Any]:
    figures = result._asdict()
    del figures["cold_of_functions"]
    return figures | {"cold_share": result.cold_share, "third_quartile": result.third_quartile}


def _statistics_table(shown: Sequence[Statistic], shape: Shape) -> Table:
    table = Table(title=f"{shape.functions} functions over {shape.days:g} days, seed {shape.seed}")
    table.add_column("share of functions")
    table.add_column("published", justify="right")
    table.add_column("this trace", justify="right")
    for one in shown:
        table.add_row(one.name, f"{one.published:.0%}", f"{one.generated:.0%}")
    return table


def _results_table(title: str, results: Sequence[Result]) -> Table:
    table = Table(title=title)
    table.add_column("policy")
    for heading in ("calls", "cold", "cold at the 3rd quartile", "waited s", "idle GB·h", "evicted", "refused"):
        table.add_column(heading, justify="right")
    for one in results:
        table.add_row(
            one.rule, f"{one.calls:,}", f"{one.cold_share:.2%}", f"{one.third_quartile:.1%}", f"{one.cold_s:,.0f}",
            f"{one.idle_gb_s / 3600:,.0f}", f"{one.evicted:,}", f"{one.refused:,}",
        )  # fmt: skip
    return table


def _verdict(ample: Sequence[Result]) -> str:
    plain, adaptive = ample[: len(TTLS_S)], ample[len(TTLS_S) :]
    lines = [
        f"{one.rule}: {one.cold_share:.2%} cold; a plain TTL that wastes as much memory: "
        f"{on_the_curve(plain, one.idle_gb_s):.2%}"
        for one in adaptive
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
