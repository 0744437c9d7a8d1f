"""Seats: places for further environments of a version in a box that has one already.

What sits there is a process forked from one that has the handler loaded (`docs/runtime-protocol.md`, "Snapshot
processes"). It is born in a control group of its own, because the process it is forked from has been moved there
before: moving one process costs the kernel ten milliseconds, being born costs nothing. It brings a mount namespace of
its own, in which it is given its `/tmp` from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from invoker.isolation import mounts
from invoker.isolation.cgroup import MEGABYTE, Cgroup, Cgroups
from invoker.isolation.contract import Box, Usage
from invoker.isolation.id_maps import IdMaps
from invoker.isolation.local import remove, sweep
from samovar.errors import EnvironmentFailure
from samovar.function import Limits

log = logging.getLogger("samovar.invoker.isolation")

_FURNISHERS = 4
"""Threads that mount."""


class Seats:
    """What this host has for seats, and their control groups. One for all isolations of an invoker."""

    def __init__(self, instance: str, find_cgroups: Callable[[str], Cgroups | None] = Cgroups.find) -> None:
        """`instance` is the same for every invoker on one data directory and for no other."""
        self._cgroups = find_cgroups(f"{instance}-seats")
        self._numbers = itertools.count(1)
        self._furnishers = ThreadPoolExecutor(_FURNISHERS, thread_name_prefix="seats")
        self.unavailable = mounts.unavailable()
        """Why there can be none on this host; `None` when there can be."""
        if self.unavailable is None and (self._cgroups is None or "memory" not in self._cgroups.limits()):
            self.unavailable = "there are no control groups to hold each to its memory"

        self._refusals: dict[str, str] = {}
        self._proven: set[str] = set()
        """Isolations in which there has been one."""

    def why_none(self, isolation: str) -> str | None:
        """Why there can be none in an isolation; `None` when there can be."""
        return self.unavailable or self._refusals.get(isolation)

    def prove(self, isolation: str) -> None:
        """There is one."""
        self._proven.add(isolation)

    def refuse(self, isolation: str, why: str) -> None:
        """There could not be one. If that was the first attempt, it is also the last: the host does not have it."""
        if isolation not in self._proven:
            self._refusals.setdefault(isolation, why)

    def make_group(self, limits: Limits) -> Cgroup:
        """A control group for one more seat. Raises `OSError`."""
        assert self._cgroups is not None, "only asked where there can be seats"
        return self._cgroups.create(f"seat-{next(self._numbers)}", limits)

    async def furnish(self, seat: Seat, source: Source, child: tuple[int, int, int], tmp_mb: int) -> None:
        """Give the process that was forked for a seat its users and its `/tmp`. Raises `EnvironmentFailure`."""
        work = partial(source.furnish, child, seat.group, tmp_mb)
        try:
            await asyncio.get_running_loop().run_in_executor(self._furnishers, work)
        except OSError as error:
            raise EnvironmentFailure(f"it cannot be given what is its own: {error.strerror}") from error
        seat.pid = child[0]

    async def sweep(self) -> int:
        """Remove what a former invoker has left behind; how many there were."""
        return await sweep(self._cgroups)

    def close(self) -> None:
        """Let go of what all seats share, once there are none."""
        self._furnishers.shutdown()
        if self._cgroups is not None:
            self._cgroups.close()


def scale_out(seats: Seats | None, isolation: str) -> str:
    """Where further environments of a version come from, in words."""
    why = seats.why_none(isolation) if seats is not None else "no seats"
    return "forks" if why is None else f"whole environments: {why}"


class Source:
    """The process that those in seats are forked from, as the host sees it. Everything here blocks: use a thread."""

    def __init__(self, pid: int, box: Box) -> None:
        """`pid` is what the kernel told of a connection. Raises `EnvironmentFailure` unless it is one of the box's."""
        self._pid = pid
        with contextlib.ExitStack() as undo:
            try:
                self._process = os.pidfd_open(pid)
                undo.callback(os.close, self._process)
                self._namespace = os.stat(f"/proc/{pid}/ns/mnt").st_ino
                is_inside = os.stat(f"/proc/{pid}/ns/pid").st_ino == os.stat(f"/proc/{box.pid}/ns/pid").st_ino
            except OSError as error:
                raise EnvironmentFailure(f"the host does not show the snapshot process: {error.strerror}") from error
            if not is_inside or not self._lives():
                raise EnvironmentFailure("what says to be the snapshot process is none of the box's")
            self._id_maps = IdMaps(pid)
            undo.pop_all()

    def enter(self, group: Cgroup) -> None:
        """Move it, so that its next child is born in `group`. Raises `OSError`; `ProcessLookupError` if it is dead."""
        group.add(self._pid)
        if not self._lives():
            group.send_home()  # its pid may have been somebody else's by then
            raise ProcessLookupError("the snapshot process has ended")

    def furnish(self, child: tuple[int, int, int], group: Cgroup, tmp_mb: int) -> None:
        """Give a child (pid, uid and gid on the host) that was born in `group` its users and its `/tmp`.

        Only for such threads as `mounts.visiting`. Raises `OSError`, and `EnvironmentFailure` for any other process.
        """
        pid, uid, gid = child
        process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The folder stays that of this process, whoever has its pid later; and only children are in the group.
            is_child = group.is_that_of(process)
            namespace = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        except OSError:
            os.close(process)
            raise
        try:
            if not is_child or os.fstat(namespace).st_ino == self._namespace:
                raise EnvironmentFailure("what says to be the forked worker is not, or has no mounts of its own")
            self._id_maps.write(pid, process)
            options = f"size={tmp_mb * MEGABYTE},mode=1777,uid={uid},gid={gid}"
            mounts.put_tmpfs("/tmp", options, namespace)  # noqa: S108 - inside the box
        finally:
            os.close(namespace)
            os.close(process)

    def close(self) -> None:
        """Forget the process. Idempotent."""
        process, self._process = self._process, -1
        if process >= 0:
            os.close(process)
            self._id_maps.close()

    def _lives(self) -> bool:
        try:
            signal.pidfd_send_signal(self._process, 0)
        except ProcessLookupError:
            return False
        return True


class Seat:
    """One seat, as the box of the environment in it; see `Box`. It ends with its box, if not before."""

    def __init__(self, id: str, box: Box, group: Cgroup) -> None:
        self.id = id
        self.pid: int | None = None
        self.task_root = box.task_root
        self.runtime_dir = box.runtime_dir
        self.tmp_dir = box.tmp_dir
        self.opt_dir = box.opt_dir
        self.moving: asyncio.Task[None] | None = None
        """Under way while the process it was forked from leaves its control group."""
        self._box = box
        self._group = group
        self._destroying: asyncio.Task[None] | None = None

    @property
    def group(self) -> Cgroup:
        """Its control group."""
        return self._group

    def usage(self) -> Usage:
        """See `Box.usage`. Memory that it shares with the process it was forked from is not counted."""
        return self._group.gauge.usage()

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        self._group.gauge.reset_peak()

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`."""
        return self._group.gauge.out_of_memory()

    async def wait(self) -> str:
        """See `Box.wait`: returns when the box that it is in has ended."""
        return await self._box.wait()

    async def destroy(self, reason: str) -> None:
        """See `Box.destroy`."""
        if self._destroying is None:
            log.info("environment %s is removed: %s", self.id, reason)
            self._destroying = asyncio.create_task(self._remove())
        await asyncio.shield(self._destroying)

    async def _remove(self) -> None:
        if self.moving is not None:
            await asyncio.wait({self.moving})
        await remove(self._group)


def empty_tmp(box: Box) -> None:
    """Remove what the first environment of a box has left in `/tmp`: nobody can reach it any more. Blocks."""
    if box.pid is None:
        return
    for entry in os.scandir(Path(f"/proc/{box.pid}/root{box.tmp_dir}")):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)
