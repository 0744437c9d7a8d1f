"""A run as one picture: how far each figure is from its bound."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import table
from benchmarks.results import Measured, Run
from benchmarks.targets import BY_FIGURE

_COLOURS = {"pass": "#2e7d32", "missed": "#c62828"}
_FAR = 100.0
"""Bars end here: nothing is learned from how much further it goes."""


def draw(run: Run, path: Path) -> None:
    """Write a PNG. Bars to the right of the line keep their promise; the axis is logarithmic."""
    mpl.use("Agg")
    bars = [(measured, margin) for measured in table.ordered(run.measured) if (margin := headroom(measured))]
    bars.reverse()
    figure = Figure(figsize=(11, 1.6 + 0.27 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, bars)
    axes.set_title("Samovar's figures beside their targets", loc="left")
    caption = table.summary(run).replace("; load", ";\nload")
    figure.text(0.01, -0.005, caption, fontsize=7, va="top")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def headroom(measured: Measured) -> float | None:
    """How many times better than its bound a figure is; below 1 it is missed, `None` where there is no bound."""
    target = BY_FIGURE[measured.figure]
    limit = target.limit(measured.isolation)
    got = measured.value if target.of == "value" else measured.ratio
    if target.sense == "reported" or limit is None or got is None:
        return None
    if target.sense == "at least":
        return got / limit if limit else None
    if not limit:
        return None  # nothing of a kind is allowed: that is no distance
    return limit / got if got else _FAR


def _bars(axes: Axes, bars: list[tuple[Measured, float]]) -> None:
    labels, widths, colours, texts = [], [], [], []
    for measured, margin in bars:
        cells = table.cells(measured)
        labels.append(f"{BY_FIGURE[measured.figure].label.replace('`', '')} ({measured.isolation})")
        widths.append(min(max(margin, 1 / _FAR), _FAR) - 1)
        colours.append(_COLOURS["pass" if margin >= 1 else "missed"])
        texts.append(f" {cells[2]}" + (f", ratio {cells[4]}" if cells[4] else "") + f"   [{cells[5]}] ")
    places = range(len(bars))
    axes.barh(places, widths, left=1, color=colours, height=0.7)
    for place, width, text in zip(places, widths, texts, strict=True):
        side = "left" if width >= 0 else "right"
        axes.text(1 + width, place, text, va="center", ha=side, fontsize=7)
    axes.set_yticks(list(places), labels, fontsize=8)
    axes.set_xscale("log")
    ends = [1 + width for width in widths] or [1.0]
    axes.set_xlim(min(*ends, 0.5) / 12, max(*ends, 2) * 25)  # the texts beside the bars want room
    axes.xaxis.set_major_formatter(lambda place, _: f"{place:g}")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times better than the target (left of the line: missed)")
    axes.margins(y=0.01)
