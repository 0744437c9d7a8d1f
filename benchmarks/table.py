"""A run as one table: for a terminal, and as Markdown for the pages."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from benchmarks.results import Measured, Run
from benchmarks.targets import BY_FIGURE, Target

HEADINGS = ("figure", "isolation", "value", "reference", "ratio", "target", "")
_STYLES = {"pass": "green", "missed": "bold red", "failed": "bold red", "reported": "dim"}
_ORDER = {figure: number for number, figure in enumerate(BY_FIGURE)}


def ordered(measured: Sequence[Measured]) -> list[Measured]:
    """In the order of the targets, isolation by isolation below each."""
    return sorted(measured, key=lambda one: (_ORDER[one.figure], one.isolation != "sandbox", one.isolation))


def cells(measured: Measured) -> tuple[str, ...]:
    """One row, as text, under `HEADINGS`."""
    target = BY_FIGURE[measured.figure]
    if measured.value is None:
        value = measured.failure.strip().splitlines()[0][:160]
    else:
        value = f"{number(measured.value)} {target.unit}"
    if measured.note:
        value += f" ({measured.note})"
    reference = f"{number(measured.reference)} ({target.reference})" if measured.reference is not None else ""
    ratio = f"{measured.ratio:.2f}" if measured.ratio is not None else ""
    verdict = target.verdict(measured)
    return target.label, measured.isolation, value, reference, ratio, bound(target, measured.isolation), verdict


def bound(target: Target, isolation: str) -> str:
    """A target in a few characters, such as `≤ 40 ms` or `ratio ≥ 0.45`."""
    limit = target.limit(isolation)
    if target.sense == "reported" or limit is None:
        return ""
    sign = "≥" if target.sense == "at least" else "≤"
    return f"ratio {sign} {limit:g}" if target.of == "ratio" else f"{sign} {limit:g} {target.unit}"


def number(value: float) -> str:
    """Three digits that matter, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def summary(run: Run) -> str:
    """When, where, and whether it may be quoted."""
    kind = "quick run" if run.quick else "run"
    text = f"{kind} of {run.began[:16].replace('T', ' ')} UTC at commit {run.commit}, {run.took_s / 60:.1f} minutes, "
    text += f"on {run.machine}; load before {run.quiet.load_before}, CPU steal {run.quiet.steal:.1%}"
    reasons = run.quiet.reasons
    return f"{text}. Busy machine, not a claim: {'; '.join(reasons)}" if reasons else text


def for_terminal(run: Run) -> Table:
    """The table as Rich draws it."""
    table = Table(title="How fast Samovar is", caption=summary(run), caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in ("value", "reference", "ratio") else "left")
    for measured in ordered(run.measured):
        *texts, verdict = cells(measured)
        table.add_row(*texts, Text(verdict, _STYLES[verdict]))
    return table


def for_page(run: Run, headings: Sequence[str] = HEADINGS) -> str:
    """The table as Markdown."""
    lines = [_row(headings), _row(["---"] * len(headings))]
    for measured in ordered(run.measured):
        row = dict(zip(HEADINGS, cells(measured), strict=True))
        lines.append(_row([row[heading] for heading in headings]))
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"
