"""`python -m benchmarks`: measure everything, print one table, keep it as JSON and as a picture."""

from __future__ import annotations

import argparse
import compileall
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import chart, machine, pages, reference, results, table, wrk
from benchmarks.figures import MODULES, ONCE, PEERS, QUICK, Measure
from benchmarks.lab import Plan, end_in_order
from benchmarks.results import Measured, Run, failed
from benchmarks.targets import BY_FIGURE, figures_of
from benchmarks.wrk import CannotMeasure

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
PACKAGES = ("samovar", "gateway", "invoker", "runtimes")
EXIT_MISSED, EXIT_CANNOT = 1, 2
_progress = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or with `--strict` 1 when a target was missed or the machine was busy; 2 when nothing can be measured."""
    options = _parser().parse_args(arguments)
    options.isolation = options.isolation or (["sandbox"] if options.quick else ["sandbox", "docker"])
    if options.write_docs:
        pages.publish(options.write_docs if isinstance(options.write_docs, Path) else _newest())
        return 0
    try:
        wrk.ensure()
    except CannotMeasure as error:
        _progress.print(f"[red]{error}[/red]")
        return EXIT_CANNOT
    compile_sources()
    end_in_order()
    run = measure(options)
    path = RESULTS / f"{run.began[:19].replace(':', '')}{'-quick' if run.quick else ''}.json"
    results.save(run, path)
    chart.draw(run, path.with_suffix(".png"))
    Console(width=None if sys.stdout.isatty() else 180).print(table.for_terminal(run))
    for reason in run.quiet.reasons:
        _progress.print(f"busy machine, not a claim: {reason}")
    _progress.print(f"{path.relative_to(ROOT)} and its picture are written")
    missed = any(BY_FIGURE[one.figure].verdict(one) in ("missed", "failed") for one in run.measured)
    return EXIT_MISSED if options.strict and (missed or run.quiet.reasons) else 0


def compile_sources() -> None:
    """Bring the sources' bytecode up to date, as an installation has it: what is edited here may be older or have none.

    Where it is missing, every process and every environment in a sandbox compiles at its start, and keeps the memory.
    """
    for package in PACKAGES:
        compileall.compile_dir(ROOT / package, quiet=1)


def measure(options: argparse.Namespace) -> Run:
    """Everything that was asked for. What fails is in the result with its reason."""
    began, started = datetime.now(UTC), time.monotonic()
    watch = machine.Watch()
    watch.sample()
    measured: list[Measured] = []
    with reference.serving() as url:
        for isolation in options.isolation:
            plan = Plan(isolation=isolation, quick=options.quick, reference=url)
            for module, figures in MODULES.items():
                wanted = module in (options.only or (QUICK if options.quick else MODULES))
                if wanted and (module not in ONCE or isolation == options.isolation[0]):
                    watch.sample()
                    measured += _collect(module, figures, plan)
        if options.peers or "peers" in (options.only or ()):
            watch.sample()
            measured += _collect("peers", PEERS, Plan(isolation="peer", quick=options.quick, reference=url))
    return Run(
        began=began.isoformat(),
        took_s=round(time.monotonic() - started, 1),
        quick=options.quick,
        commit=_commit(),
        machine=machine.describe(),
        quiet=watch.result(),
        measured=measured,
    )


def _collect(module: str, figures: Measure, plan: Plan) -> list[Measured]:
    """What a module measures, and the reason for what it could not."""
    measured: list[Measured] = []
    began = time.monotonic()
    try:
        with _progress.status(f"{plan.isolation}: {module}"):
            for one in figures(plan):
                measured.append(one)  # one by one, so that a failure keeps what came before it
    except Exception as error:  # noqa: BLE001 - one figure that breaks must not lose the others; it is told as failed
        missing = [one for one in figures_of(module, plan.isolation) if one not in {done.figure for done in measured}]
        measured += failed(missing[:1], plan.isolation, f"{type(error).__name__}: {error}")
        measured += failed(missing[1:], plan.isolation, "not reached, because the one before failed")
        _progress.print(f"{plan.isolation}: {module}: {type(error).__name__}: {error}", markup=False)
    _progress.print(f"{plan.isolation}: {module} took {time.monotonic() - began:.1f} s")
    return measured


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _newest() -> Path:
    whole = sorted(path for path in RESULTS.glob("*.json") if not path.stem.endswith("-quick"))
    if not whole:
        raise SystemExit("there is no result of a whole run yet: run `python -m benchmarks`")
    return whole[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything, sandbox only, without scale, in under 90 s: no claim"
    )
    names = (*MODULES, "peers")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument(
        "--isolation",
        type=lambda text: text.split(","),
        help="sandbox, docker, or both with a comma; by default both, and sandbox with --quick",
    )
    parser.add_argument("--peers", action="store_true", help="also measure other systems, installed for the purpose")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target was missed")
    parser.add_argument(
        "--write-docs", nargs="?", const=True, type=Path, metavar="JSON", help="bring the pages up to a result"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
