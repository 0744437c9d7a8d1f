"""What a run has measured, as records that become JSON, a table, a picture and pages. No I/O but one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import statistics
from benchmarks.machine import Machine, Quiet


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One figure under one isolation."""

    figure: str
    """The key of its target (`benchmarks.targets`)."""
    isolation: str
    values: list[float]
    """One for each repeat."""
    references: list[float] = []
    """What the value is compared with, one for each repeat, measured in turn with it; empty without."""
    detail: dict[str, float] = {}
    note: str = ""
    """What a reader has to know, such as a size that `--quick` has made smaller."""
    failure: str = ""
    """Why there is no figure; then `values` is empty."""

    @property
    def value(self) -> float | None:
        """The median of the repeats."""
        return statistics.median(self.values) if self.values else None

    @property
    def reference(self) -> float | None:
        """The median of the references."""
        return statistics.median(self.references) if self.references else None

    @property
    def ratio(self) -> float | None:
        """The median of value to reference, repeat by repeat."""
        return statistics.paired_ratio(self.values, self.references) if self.values else None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the benchmark."""

    began: str
    """ISO 8601, UTC."""
    took_s: float
    quick: bool
    commit: str
    machine: Machine
    quiet: Quiet
    measured: list[Measured]

    @property
    def is_claim(self) -> bool:
        """Whether anybody may quote this run: whole, and on a machine that did nothing else."""
        return not self.quick and not self.quiet.reasons


def failed(figures: Sequence[str], isolation: str, why: str) -> list[Measured]:
    """Figures that could not be measured."""
    return [Measured(figure=figure, isolation=isolation, values=[], failure=why) for figure in figures]


def save(run: Run, path: Path) -> None:
    """Write a run as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")


def load(path: Path) -> Run:
    """Read a run. Raises `OSError` and `msgspec.DecodeError`."""
    return msgspec.json.decode(path.read_bytes(), type=Run)
