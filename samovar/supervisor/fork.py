"""Children forked from the supervisor, so that they share the memory of what all of them import.

The event loop, msgspec and the Redis client are most of what a child of ours loads before its own code. Loaded once,
before the first fork, they cost their memory and their time once; see `docs/decisions/0014-forked-children.md`.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final, Literal, TextIO, cast

from samovar.process import heap

SHARED: Final = (
    "click",
    "http.client",
    "logging.config",
    "psutil",
    "redis.asyncio",
    "samovar.link.operations",
    "samovar.usage",
    "tenacity",
    "uvloop",
    "zoneinfo",
)
"""What at least two kinds of children import."""

UNUSED: Final = (
    "charset_normalizer",  # requests guesses encodings with it, and takes UTF-8 without it
    "pydantic.v1",  # FastAPI looks whether a model is one of pydantic 1, of which we have none
    "watchfiles",  # uvicorn restarts by it when sources change
    "yaml",  # kombu takes messages in it; ours are JSON
)
"""What libraries load where it is installed, do without where it is not, and children have no use for: some 5 MiB."""
USED: Final[Mapping[str, tuple[str, ...]]] = {"gateway.uploads": ("watchfiles",)}
"""What of that a child has a use for after all: folders that are buckets are watched by it."""

_PR_SET_PDEATHSIG: Final = 1
_HANDLED: Final[Mapping[int, signal._HANDLER]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""Signals the supervisor has handlers for, and what a new process does instead."""

_context: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What a forked child becomes. `argv` begins with the module's name."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    output: int
    pass_fds: tuple[int, ...]


def preload() -> None:
    """Import what children share, and keep the collector from writing to it. Call it before the first fork."""
    for name in SHARED:
        import_module(name)
    heap.settle()


def start(child: Child) -> tuple[int, Callable[[], int]]:
    """Fork. Returns the child's pid and what collects its exit status once it has ended."""
    process = _context.Process(target=_become, args=(child, os.getpid()), name=child.argv[0])
    # Until the child has handlers of its own, a signal to it would be told to the supervisor's event loop.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def reap() -> int:
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    assert process.pid is not None
    return process.pid, reap


def _become(child: Child, parent: int) -> None:
    """In the fork: leave everything of the supervisor's behind but its memory, then run the module."""
    os.setsid()  # Ctrl-C of the terminal reaches the supervisor alone
    _die_with(parent)
    signal.set_wakeup_fd(-1)
    for number, handler in _HANDLED.items():
        signal.signal(number, handler)
    _use_descriptors(child)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    os.environ.clear()
    os.environ.update(child.environment)
    os.chdir(child.folder)
    Path("/proc/self/comm").write_text(f"samovar:{child.argv[0].rpartition('.')[2]}")  # for ps and top
    _do_without(set(UNUSED).difference(USED.get(child.argv[0], ())))
    sys.argv = list(child.argv)
    runpy.run_module(child.argv[0], run_name="__main__", alter_sys=True)


def _do_without(modules: Iterable[str]) -> None:
    """Have the import of these fail as if they were not installed (importlib: `None` in `sys.modules`)."""
    for name in modules:
        sys.modules[name] = cast(ModuleType, None)
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")  # requests says so


def _die_with(parent: int) -> None:
    """Have the kernel send SIGTERM when the supervisor dies, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before it could be noticed
        raise SystemExit(0)


def _use_descriptors(child: Child) -> None:
    """Nothing to read, the output to write, what is passed on, and no other descriptor."""
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(child.output, 1)
    os.dup2(child.output, 2)
    kept = sorted({0, 1, 2, *child.pass_fds})
    for low, high in pairwise([*kept, os.sysconf("SC_OPEN_MAX")]):
        os.closerange(low + 1, high)
    sys.stdin, sys.stdout, sys.stderr = _text(0, "r"), _text(1, "w"), _text(2, "w")


def _text(fd: int, mode: Literal["r", "w"]) -> TextIO:
    """A descriptor as Python has it at its start; what is printed leaves with each line."""
    return open(fd, mode, buffering=1, errors="backslashreplace", closefd=False)
