"""What a container has used, read from the host's files: the engine's statistics cost a second each."""

from __future__ import annotations

import os
from pathlib import Path

from invoker.isolation.cgroup import Gauge, Places, places_of
from invoker.isolation.contract import Usage

_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


def container_places(container: str, pid: int | None, root: Path = Path("/sys/fs/cgroup")) -> Places | None:
    """The cgroup folders of a container, or `None` where the host does not show them to us."""
    if pid is not None:
        places = places_of(pid)
        if places.folders and all(container in f.name and f.is_dir() for f in places.folders.values()):
            return places
    # In a cgroup namespace of our own, /proc shows paths that lead nowhere: look where engines put containers.
    for folder in (root / "docker" / container, root / "system.slice" / f"docker-{container}.scope"):
        if (folder / "cgroup.controllers").is_file():
            return Places(2, dict.fromkeys(_CONTROLLERS, folder))
    return None


class ContainerMeter:
    """Peak memory, CPU time and kills of one container."""

    def __init__(self, container: str, pid: int | None) -> None:
        self.places = places = container_places(container, pid)
        """The container's cgroup folders, where the host shows them."""
        self._gauge = Gauge(places or Places(1, {}))
        self._pid = pid if places is None or not self._gauge.measures_memory else None
        self._has_cpu = places is not None
        self._last = Usage(0, 0)
        self._uncounted_us = 0
        self._kills_told = 0
        self._closed = False
        self.source = _source(places, self._pid)
        """Where the readings come from, in words."""

    def usage(self) -> Usage:
        """Never decreasing CPU time, and the highest memory seen since the last reset."""
        if self._closed:
            return self._last
        reading = self._gauge.usage()
        if self._pid is not None:
            processes = tree_usage(self._pid)
            peak = max(self._last.peak_memory_bytes, processes.peak_memory_bytes)
            cpu = reading.cpu_us if self._has_cpu else max(self._last.cpu_us + self._uncounted_us, processes.cpu_us)
            reading = Usage(peak, cpu)
        if self._uncounted_us:
            reading = Usage(reading.peak_memory_bytes, reading.cpu_us - self._uncounted_us)
        self._last = reading
        return reading

    def start_over(self) -> None:
        """Count CPU time and memory from here on: what was used before was nobody's."""
        self._uncounted_us += self.usage().cpu_us
        self.reset_peak()

    def reset_peak(self) -> None:
        """Start a new peak where the cgroup can; a process's own peak cannot be reset by us."""
        self._gauge.reset_peak()

    def new_memory_kills(self) -> bool:
        """Whether the kernel has killed for memory in this container since the last call."""
        kills = self._gauge.out_of_memory_kills()
        new, self._kills_told = kills > self._kills_told, kills
        return new

    def read_last(self) -> None:
        """Read everything once more, so that it is known after the cgroup is gone."""
        self.usage()
        self._gauge.out_of_memory_kills()

    def close(self) -> None:
        """Read a last time and let go of the files. Idempotent."""
        self.read_last()
        self._gauge.close()
        self._closed = True


def _source(places: Places | None, pid: int | None) -> str:
    if pid is None:
        return f"cgroup v{places.version}" if places else "none: neither cgroups nor processes are visible"
    return "/proc (peaks of single processes added up)"


def tree_usage(pid: int, proc: Path = Path("/proc")) -> Usage:
    """Of a process and its descendants: the sum of their memory peaks, and their CPU time.

    An upper bound for memory, since pages the processes share are counted for each.
    """
    peak = cpu = 0
    waiting = [str(pid)]
    while waiting:
        folder = proc / waiting.pop()
        try:
            peak += _peak_bytes(folder)
            cpu += _cpu_us(folder)
            for task in (folder / "task").iterdir():
                waiting += (task / "children").read_text().split()
        except OSError:  # it ended while we looked
            continue
    return Usage(peak, cpu)


def _peak_bytes(folder: Path) -> int:
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_us(folder: Path) -> int:
    """User and system time of a process and of the children it has waited for; see proc(5), `/proc/pid/stat`."""
    after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) * _TICK_US
