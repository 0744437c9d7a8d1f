"""The machine a run was made on, and whether it did anything else meanwhile."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec
import psutil

from benchmarks.statistics import median

MAX_FOREIGN_CPU = 0.15
"""Share of all cores that others may use while nothing of ours runs. A median over the run's pauses."""
MAX_STEAL = 0.03
"""Share of the time in which the hypervisor gave our cores to others."""
SAMPLE_S = 0.6


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader has to know to compare figures."""

    cores: int
    cpu: str
    memory_mb: int
    kernel: str
    python: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_mb / 1024:.0f} GiB, "
            f"Linux {self.kernel}, Python {self.python}"
        )


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """How busy others kept the machine: before the run, and in the pauses between its figures."""

    load_before: float
    """The load average of the last minute."""
    load_after: float
    foreign_cpu: list[float]
    """Share of all cores in use while nothing of ours ran: one sample before each figure."""
    steal: float
    """Over the whole run."""

    @property
    def reasons(self) -> list[str]:
        """Why the figures are no claim; empty on a quiet machine."""
        found = []
        foreign = median(self.foreign_cpu) if self.foreign_cpu else 0.0
        if foreign > MAX_FOREIGN_CPU:
            found.append(f"others used {foreign:.0%} of the cores (at most {MAX_FOREIGN_CPU:.0%})")
        if self.steal > MAX_STEAL:
            found.append(f"the hypervisor took {self.steal:.1%} of the time (at most {MAX_STEAL:.0%})")
        return found


class Watch:
    """Keeps an eye on the machine during a run."""

    def __init__(self) -> None:
        self._load_before = os.getloadavg()[0]
        self._times = psutil.cpu_times()
        self._foreign: list[float] = []

    def sample(self) -> None:
        """Look for a moment at what others do. Call it while nothing of ours runs."""
        self._foreign.append(psutil.cpu_percent(interval=SAMPLE_S) / 100)

    def result(self) -> Quiet:
        """What has been seen since the beginning."""
        before, after = self._times, psutil.cpu_times()
        total = sum(after) - sum(before)
        return Quiet(
            load_before=round(self._load_before, 2),
            load_after=round(os.getloadavg()[0], 2),
            foreign_cpu=[round(share, 3) for share in self._foreign],
            steal=round((after.steal - before.steal) / total, 4) if total else 0.0,
        )


def describe() -> Machine:
    """This machine."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cores=psutil.cpu_count() or 1,
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        memory_mb=psutil.virtual_memory().total >> 20,
        kernel=platform.release(),
        python=platform.python_version(),
    )
