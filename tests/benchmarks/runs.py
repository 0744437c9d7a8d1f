"""Runs of the benchmark that nobody has made."""

from __future__ import annotations

from benchmarks.machine import Machine, Quiet
from benchmarks.results import Measured, Run

MACHINE = Machine(cores=2, cpu="A CPU", memory_mb=8192, kernel="6.1", python="3.11.2")
QUIET = Quiet(load_before=0.1, load_after=1.5, foreign_cpu=[0.01, 0.02], steal=0.001)
BUSY = Quiet(load_before=2.0, load_after=2.5, foreign_cpu=[0.4, 0.5], steal=0.1)


def run_of(*measured: Measured, quiet: Quiet = QUIET, quick: bool = False) -> Run:
    """A run with these figures."""
    return Run(
        began="2026-01-02T03:04:05+00:00",
        took_s=120,
        quick=quick,
        commit="abc1234",
        machine=MACHINE,
        quiet=quiet,
        measured=list(measured),
    )


def figure(key: str, value: float, reference: float | None = None, isolation: str = "sandbox") -> Measured:
    """A figure of one repeat."""
    references = [] if reference is None else [reference]
    return Measured(figure=key, isolation=isolation, values=[value], references=references)
