"""Limits of single processes (getrlimit(2)): what control groups do not count, and what stands in for them."""

from __future__ import annotations

import resource

from samovar.function import Limits

_MEGABYTE = 1024 * 1024
_DATA_HEADROOM = 1024 * _MEGABYTE
"""Numerical libraries reserve far more than they use, so the address space itself is not limited."""


def apply(pid: int, limits: Limits, *, memory: bool, pids: bool) -> None:
    """Limit `pid` and all it will start: open files and core dumps always, memory and processes where asked.

    Raises `OSError`. `RLIMIT_DATA` only bounds what a memory watch may find too late; `RLIMIT_NPROC` counts per
    user, or per user namespace since Linux 5.14.
    """
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: limits.open_files}
    if memory:
        size = limits.memory_mb * _MEGABYTE
        wanted[resource.RLIMIT_DATA] = max(2 * size, size + _DATA_HEADROOM)
    if pids:
        wanted[resource.RLIMIT_NPROC] = limits.pids
    for kind, value in wanted.items():
        _, hard = resource.prlimit(pid, kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.prlimit(pid, kind, (value, value))
