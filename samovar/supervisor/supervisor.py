"""The life of the platform: start, run, drain, force."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from samovar.errors import StartRefused
from samovar.supervisor.child import Child, ChildSpec
from samovar.supervisor.state import ProcessState

FORCE_GRACE_S = 3.0
"""What a child gets between the last SIGTERM and SIGKILL: the invoker removes its environments in it."""

log = logging.getLogger("samovar.up")


class Supervisor:
    """Keeps a table of children alive until it is told to stop. Runs in the main thread.

    Signals only set flags; `run` alone acts. The first SIGINT, SIGTERM or SIGHUP drains, a second one forces.
    """

    def __init__(
        self,
        table: Sequence[ChildSpec],
        *,
        listener: socket.socket | None,
        drain_timeout_s: float,
        grace_s: float = FORCE_GRACE_S,
        on_change: Callable[[], None],
    ) -> None:
        self._on_change = on_change
        self._children = [Child(spec, on_change) for spec in table]
        self._listener = listener
        self._drain_timeout_s = drain_timeout_s
        self._grace_s = grace_s
        self._keepers: dict[Child, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Supervisor {', '.join(map(repr, self._children))}>"

    @property
    def processes(self) -> list[ProcessState]:
        """The children as they are now."""
        return [child.state for child in self._children]

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Start everything, call `on_ready`, and return when all has ended.

        Raises `samovar.errors.StartRefused` when a child does not come up, after having ended the others.
        """
        with self._signals():
            try:
                if await self._start():
                    await on_ready()
                    await self._run()
            finally:
                await self._drain()
                await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    async def start_late(self, spec: ChildSpec) -> None:
        """Start one more child while the others run, or one that rests, and return when it is ready; at once if it was.

        Raises `StartRefused` when it does not come up, which does not concern the others.
        """
        child = next((one for one in self._children if one.spec.name == spec.name), None)
        if self._stop.is_set():
            raise StartRefused("Samovar is stopping")
        if child is None:
            child = Child(spec, self._on_change)
            self._children.append(child)
            self._keepers[child] = asyncio.create_task(child.keep(), name=spec.name)
        child.want()
        if child not in self._keepers:
            return  # it is started with the others, which are on their way
        ready = asyncio.create_task(child.ready.wait())
        await asyncio.wait([ready, self._keepers[child]], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not child.ready.is_set():
            self._children.remove(child)
            self._keepers.pop(child).result()
            raise StartRefused("Samovar is stopping")

    def stop(self) -> None:
        """Begin to drain; called again, stop waiting and force."""
        if self._stop.is_set():
            log.warning("stopping at once")
            self._force.set()
        else:
            log.info("stopping; running calls are given %.0f s", self._drain_timeout_s)
        self._stop.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _start(self) -> bool:
        """Start the children, those of one number side by side; false when told to stop meanwhile."""
        for _, same in groupby(sorted(self._children, key=_start_order), key=_start_order):
            batch = list(same)
            self._keepers |= {child: asyncio.create_task(child.keep(), name=child.spec.name) for child in batch}
            for child in batch:
                await self._until(child.ready)
        return not self._stop.is_set()

    async def _run(self) -> None:
        """Children look after themselves from here on; only a person ends this."""
        await self._until(self._stop)

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for an event, or to be told to stop. Raises what a keeper raised."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._stop.wait())]
        try:
            await asyncio.wait([*waits, *self._keepers.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for keeper in self._keepers.values():
            if keeper.done():
                keeper.result()

    async def _drain(self) -> None:
        """Tell the children to end, those of one number side by side, all within one deadline."""
        if self._listener is not None:
            self._listener.close()  # else the kernel would go on accepting for nobody
        deadline = time.monotonic() + self._drain_timeout_s
        for _, same in groupby(sorted(self._children, key=_stop_order), key=_stop_order):
            batch = list(same)
            for child in batch:
                child.stop()
            await self._end(batch, deadline)

    async def _end(self, batch: list[Child], deadline: float) -> None:
        """Wait for children that drain; past the deadline or when forced, urge them, then kill."""
        if await self._ended(batch, max(deadline - time.monotonic(), self._grace_s), unless_forced=True):
            return
        for child in batch:
            child.hurry()
        if await self._ended(batch, self._grace_s):
            return
        for child in batch:
            child.kill()
        await self._ended(batch, self._grace_s)

    async def _ended(self, batch: list[Child], seconds: float, *, unless_forced: bool = False) -> bool:
        """Whether all of them end in time."""
        keepers = [self._keepers[child] for child in batch if child in self._keepers]
        if not keepers:
            return True
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(asyncio.wait(keepers))]
        if unless_forced:
            waits.append(asyncio.create_task(self._force.wait()))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return all(keeper.done() for keeper in keepers)


def _start_order(child: Child) -> int:
    return child.spec.starts


def _stop_order(child: Child) -> int:
    return child.spec.stops
