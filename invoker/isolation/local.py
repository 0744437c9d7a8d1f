"""What boxes that are processes of this host have in common, whatever is put around them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from invoker.isolation.cgroup import Cgroup, Cgroups
from invoker.isolation.child import Child, in_words
from invoker.isolation.contract import OPT_DIR, Usage

log = logging.getLogger("samovar.invoker.isolation")

T = TypeVar("T")
_STOP_DEADLINE_S = 5.0
_REMOVE_ATTEMPTS, _REMOVE_PAUSE_S = 200, 0.01


class Meter(Protocol):
    """How a box's use of memory and CPU is read; see the methods of the same name in `Box`."""

    def usage(self) -> Usage:
        """See `Box.usage`."""
        ...

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        ...

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where a box's processes find things."""

    task_root: str
    runtime_dir: str
    tmp_dir: str
    opt_dir: str = OPT_DIR


class LocalBox:
    """A box that is a child process. All it holds is in one exit stack, unwound by `destroy`."""

    def __init__(
        self, id: str, pid: int, child: Child, meter: Meter, view: View, held: contextlib.AsyncExitStack
    ) -> None:
        """`pid` is the host pid of the first process inside, `child` the process whose end is the box's end."""
        self.id = id
        self.pid: int | None = pid
        self.task_root = view.task_root
        self.runtime_dir = view.runtime_dir
        self.tmp_dir = view.tmp_dir
        self.opt_dir = view.opt_dir
        self._child = child
        self._meter = meter
        self._held = held
        self._destroying: asyncio.Task[None] | None = None

    def usage(self) -> Usage:
        """See `Box.usage`."""
        return self._meter.usage()

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        self._meter.reset_peak()

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`."""
        return self._meter.out_of_memory()

    async def wait(self) -> str:
        """See `Box.wait`."""
        return in_words(await self._child.wait(), self._child.errors)

    async def destroy(self, reason: str) -> None:
        """See `Box.destroy`."""
        if self._destroying is None:
            log.info("environment %s is removed: %s", self.id, reason)
            self._destroying = asyncio.create_task(self._held.aclose())
        await asyncio.shield(self._destroying)


async def finished(future: asyncio.Future[T]) -> tuple[T, bool]:
    """The result of work in a thread, which cannot be stopped, and whether the waiting task was cancelled meanwhile."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:  # noqa: BLE001 - raised again by the line below, from the future itself
            break
    return future.result(), cancelled


async def stop(child: Child, kill: Callable[[], None]) -> None:
    """End `child` by `kill`, and by force when it has not ended within five seconds."""
    kill()
    try:
        async with asyncio.timeout(_STOP_DEADLINE_S):
            await child.wait()
    except TimeoutError:
        log.warning("process %d did not end within %g s of being killed", child.pid, _STOP_DEADLINE_S)
        child.kill()


async def remove(group: Cgroup) -> None:
    """Kill what is left in a control group and remove it, as soon as the kernel has buried its dead."""
    for _ in range(_REMOVE_ATTEMPTS):
        group.kill()
        if group.remove():
            return
        await asyncio.sleep(_REMOVE_PAUSE_S)
    log.warning("%s still holds processes that do not die; the next start of Samovar removes it", group)


async def sweep(cgroups: Cgroups | None) -> int:
    """Remove what a former invoker left behind, which is control groups: its boxes have died with it. How many."""
    left = cgroups.left_over() if cgroups is not None else []
    for group in left:
        await remove(group)
    return len(left)
