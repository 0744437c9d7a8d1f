"""Memory and CPU of a box without control groups: read from /proc, and enforced by looking.

The watch looks ten times a second while the box uses CPU time, more and more seldom while it does not, and not
at all after `QUIET_S` without any: an idle box costs nothing. `usage` and `reset_peak`, which surround every
invocation, wake it. Between two looks a box can exceed its limit; `RLIMIT_DATA` bounds by how much.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from invoker.isolation.contract import Usage

QUIET_S = 10.0
_SHORTEST_S, _LONGEST_S = 0.1, 1.0
_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    pid: int
    resident: int
    """Bytes, pages shared with other processes included."""
    highest: int
    """The most bytes it has been resident with since its peak was reset."""
    cpu_us: int
    """Its own CPU time and that of its reaped children."""


def processes(root: int, proc: Path = Path("/proc")) -> list[int]:
    """`root` and everything that descends from it, parents first."""
    found = [root]
    for pid in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in os.listdir(proc / str(pid) / "task"):
                found += map(int, (proc / str(pid) / "task" / task / "children").read_text().split())
    return found


def look(pid: int, proc: Path = Path("/proc")) -> Sample | None:
    """What `pid` uses; `None` when it has ended. File formats: proc(5)."""
    try:
        status = (proc / str(pid) / "status").read_bytes()
        times = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Sample(
        pid, _kilobytes(status, b"VmRSS:"), _kilobytes(status, b"VmHWM:"), sum(map(int, times[11:15])) * _TICK_US
    )


def _kilobytes(status: bytes, key: bytes) -> int:
    _, found, rest = status.partition(key)
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def _proportional(pid: int) -> int:
    """Resident bytes with shared pages divided among their users: dear to read, so asked for only near the limit."""
    try:
        return _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_bytes(), b"Pss:")
    except OSError:  # ended meanwhile, or not ours to read: then the dearer figure counts nothing against it
        return 0


class Watch:
    """Keeps one box within its memory. `root` is its first process; the first two (it and the keeper) are spared."""

    def __init__(self, root: int, limit: int, spared: int = 2) -> None:
        self._root = root
        self._limit = limit
        self._spared = spared
        self._peak = self._cpu_us = 0
        self._killed = self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._wake()

    def usage(self) -> Usage:
        """See `Box.usage`; CPU time comes in ticks of 10 ms."""
        if not self._closed:
            self._wake()
            self._sample()
        return Usage(self._peak, self._cpu_us)

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        if self._closed:
            return
        self._wake()
        self._peak = 0
        for pid in processes(self._root):
            with contextlib.suppress(OSError):  # ended meanwhile; or the kernel keeps its peak to itself
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`."""
        before, self._killed = self._killed, False
        return before

    def close(self) -> None:
        """Look a last time, and no more: later readings return that one. Idempotent."""
        if not self._closed:
            self._sample()
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        quiet, pause = 0.0, _SHORTEST_S
        while quiet < QUIET_S:
            await asyncio.sleep(pause)
            before = self._cpu_us
            samples = self._sample()
            if not samples:
                return
            if sum(sample.resident for sample in samples) > self._limit:
                self._enforce(samples)
            quiet, pause = (0.0, _SHORTEST_S) if self._cpu_us > before else (quiet + pause, min(pause * 2, _LONGEST_S))

    def _sample(self) -> list[Sample]:
        samples = [sample for pid in processes(self._root) if (sample := look(pid)) is not None]
        resident = sum(sample.resident for sample in samples)
        self._peak = max(self._peak, resident, *(sample.highest for sample in samples), 0)
        self._cpu_us = max(self._cpu_us, sum(sample.cpu_us for sample in samples))
        return samples

    def _enforce(self, samples: list[Sample]) -> None:
        """Kill all but the spared when they are over the limit with shared pages counted once."""
        if sum(_proportional(sample.pid) for sample in samples) <= self._limit:
            return
        self._killed = True
        for sample in samples[self._spared :]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(sample.pid, signal.SIGKILL)
