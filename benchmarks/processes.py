"""What processes cost: memory as PSS, and CPU time, of a platform and all its environments."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
from docker import APIClient

from benchmarks.lab import Lab
from invoker.isolation.docker_container import INSTANCE_LABEL

_SHIM = "containerd-shim"
_ENGINE = ("dockerd", "containerd")
_SAMPLE_S = 0.05


def tree(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def platform(lab: Lab) -> list[psutil.Process]:
    """The supervisor and all below it, and its containers with their shims, which are not; stem cells, too."""
    found = tree(lab.pid)
    for pid in _container_pids(lab) if lab.platform.isolation == "docker" else ():
        shim = psutil.Process(pid).parent()
        assert shim is not None
        assert shim.name().startswith(_SHIM)
        found += tree(shim.pid)
    return list({process.pid: process for process in found}.values())


def _container_pids(lab: Lab) -> list[int]:
    """The first process of each of its containers, whether an environment's or nobody's yet."""
    label = f"{INSTANCE_LABEL}={(lab.platform.data_dir / 'instance').read_text().strip()}"
    with closing(APIClient(version="auto")) as engine:
        running = engine.containers(filters={"label": label, "status": "running"})
        return [engine.inspect_container(container["Id"])["State"]["Pid"] for container in running]


def engine() -> list[psutil.Process]:
    """The Docker engine."""
    return [process for process in psutil.process_iter() if _name(process) in _ENGINE]


def pss_mib(processes: Iterable[psutil.Process]) -> float:
    """Proportional set size: shared pages count in part with each that shares them, so that sums are true."""
    return sum(_pss_kib(process.pid) for process in processes) / 1024


def names(processes: Iterable[psutil.Process]) -> dict[int, str]:
    """Names by pid. A process that has ended is left out."""
    found = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[process.pid] = process.name()
    return found


def cpu_s(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """CPU seconds used so far, user and system, by pid. A process that has ended is left out."""
    used = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


class Peak:
    """The highest PSS that was seen."""

    def __init__(self) -> None:
        self.mib = 0.0


@contextmanager
def watching(processes: list[psutil.Process]) -> Iterator[Peak]:
    """Sample the PSS of some processes every 50 ms for the length of a block."""
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.is_set():
            peak.mib = max(peak.mib, pss_mib(processes))
            done.wait(_SAMPLE_S)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def settled_pss_mib(lab: Lab) -> float:
    """The platform's PSS once two looks half a second apart agree within 1%, or after 5 s."""
    before = pss_mib(platform(lab))
    for _ in range(10):
        time.sleep(0.5)
        now = pss_mib(platform(lab))
        if abs(now - before) <= 0.01 * before:
            return now
        before = now
    return before


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended meanwhile
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
