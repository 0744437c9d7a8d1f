"""Write what a run found into the pages, between markers, so that no number on them is typed by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from benchmarks import chart, results, table
from benchmarks.results import Measured, Run
from benchmarks.targets import TARGETS, Target

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "docs" / "benchmark.json"
"""The run the pages show; it is kept with them, so that a test can hold them to it."""
PICTURE = ROOT / "docs" / "benchmark.png"
BEGIN, END = "<!-- benchmark -->", "<!-- end of benchmark -->"
_SHORT = ("figure", "isolation", "value", "ratio", "target", "")


def publish(path: Path) -> None:
    """Make a run the one that the pages show. Raises `ValueError` when a page has lost its markers."""
    if path.resolve() != PUBLISHED:
        shutil.copy(path, PUBLISHED)
    run = results.load(PUBLISHED)
    chart.draw(run, PICTURE)
    for page, part in parts(run).items():
        page.write_text(between(page.read_text(), part))


def parts(run: Run) -> dict[Path, str]:
    """What stands between the markers of each page."""
    promised = msgspec.structs.replace(run, measured=[one for one in run.measured if _is_promised(one)])
    told = f"A {table.summary(run)}."
    return {
        ROOT / "README.md": f"{table.for_page(promised, _SHORT)}\n\n{told}",
        ROOT / "docs" / "performance.md": f"{table.for_page(run)}\n\n{told}",
        ROOT / "docs" / "promises.md": f"{_promises(run)}\n\n{told}",
    }


def between(text: str, part: str) -> str:
    """A page with its marked part replaced. Raises `ValueError` without markers."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"a page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


_PROMISED = {target.figure for target in TARGETS if target.sense != "reported"}


def _is_promised(measured: Measured) -> bool:
    return measured.figure in _PROMISED


def _promises(run: Run) -> str:
    rows = ["| promise | bound | measured by | last figure |", "|---|---|---|---|"]
    for target in TARGETS:
        if target.figure in _PROMISED:
            rows.append(_promise(target, [one for one in run.measured if one.figure == target.figure]))
    return "\n".join(rows)


def _promise(target: Target, measured: list[Measured]) -> str:
    """One row; a promise that was not measured says so."""
    figures = []
    bounds: list[str] = []
    for one in measured:
        cells = dict(zip(table.HEADINGS, table.cells(one), strict=True))
        got = f"ratio {cells['ratio']}" if target.of == "ratio" and cells["ratio"] else cells["value"]
        figures.append(f"{one.isolation} {got}: {cells['']}")
        bounds.append(cells["target"])
    bound = " and ".join(dict.fromkeys(bounds)) or table.bound(target, "any")
    last = ", ".join(figures) or "not measured"
    return f"| {target.label} | {bound} | `python -m benchmarks --only {target.module}` | {last} |"
