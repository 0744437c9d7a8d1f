"""What keeps a process that has the handler loaded from being forked: what two processes cannot both have.

Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.python import samovar_keeper as keeper
else:
    import samovar_keeper as keeper

SCRATCH = "/tmp"  # noqa: S108 - where a function may write; a forked worker has an empty one of its own
HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SHARED_AND_WRITABLE = (b" rw-s ", b" rwxs ", b" -w-s ")
"""Permissions of a mapping in proc_pid_maps(5)."""


class Surroundings:
    """What a process had open before it loaded the handler, to tell later what the handler's module has added."""

    def __init__(self) -> None:
        self._keeper = os.getppid()
        self._descriptors = frozenset(open_descriptors())
        self._scratch = frozenset(os.listdir(SCRATCH))
        self._files: list[int] = []
        """Files that the handler's module has open for reading."""

    def obstacles(self) -> list[str]:
        """Why this process may not be forked, in words for the function's author; empty when it may.

        Threads of native libraries are not counted: some of them end their threads before a fork themselves.
        """
        found = [*self._processes(), *self._scratch_files(), *self._open_files()]
        if threads := python_threads():
            found.append(count(threads, "thread was started", "threads were started"))
        with open("/proc/self/maps", "rb") as maps:
            mapped = maps.read()
        if any(permissions in mapped for permissions in SHARED_AND_WRITABLE):
            found.append("memory is shared with other processes")
        return found

    def separate_files(self) -> None:
        """Open anew the files that came with a fork, so that their position is this process's own."""
        for number in self._files:
            position = os.lseek(number, 0, os.SEEK_CUR)
            fresh = os.open(f"/proc/self/fd/{number}", fcntl.fcntl(number, fcntl.F_GETFL))
            os.lseek(fresh, position, os.SEEK_SET)
            os.dup2(fresh, number, os.get_inheritable(number))
            os.close(fresh)

    def _processes(self) -> Iterator[str]:
        """Children, and daemons: these are children of the keeper, as this process is."""
        shelter = keeper.Shelter()
        shelter.open(0)
        processes = keeper.descendants(self._keeper, shelter)
        if others := len(processes.keys() - {os.getpid()}):
            yield count(others, "process was started", "processes were started")

    def _scratch_files(self) -> Iterator[str]:
        if added := sorted(set(os.listdir(SCRATCH)) - self._scratch):
            yield f"files in {SCRATCH}: {', '.join(added[:3])}{', …' if len(added) > 3 else ''}"

    def _open_files(self) -> Iterator[str]:
        added = [number for number in open_descriptors() if number not in self._descriptors]
        self._files = [number for number in added if stat.S_ISREG(os.fstat(number).st_mode)]
        kinds: dict[str, int] = {}
        for number in added:
            if kind := hindrance(number):
                kinds[kind] = kinds.get(kind, 0) + 1
        for kind, number in kinds.items():
            yield count(number, f"open {kind}", f"open {kind}s")


def open_descriptors() -> list[int]:
    """Numbers of this process's open files."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    return [number for number in numbers if os.path.lexists(f"/proc/self/fd/{number}")]  # the listing had one itself


def hindrance(number: int) -> str:
    """What an open file is, if two processes cannot both have it; empty when they can."""
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        reads_only = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        return "" if reads_only else "writable file"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISFIFO(mode):
        return "pipe"
    name = os.readlink(f"/proc/self/fd/{number}")
    if stat.S_ISDIR(mode) or name in HARMLESS_DEVICES:
        return ""
    return name.rpartition("[")[2].rstrip("]") if name.startswith("anon_inode:") else "device"


def python_threads() -> int:
    """Threads that Python knows of, but for the main one."""
    threading = sys.modules.get("threading")
    return threading.active_count() - 1 if threading is not None else 0


def count(number: int, one: str, several: str) -> str:
    """A number of things, in words."""
    return f"{number} {one if number == 1 else several}"
