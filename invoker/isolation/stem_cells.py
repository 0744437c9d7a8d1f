"""Stem cells: started boxes that belong to no function yet, so that a cold start need not wait for one to be built.

`StemCells` is an isolation like the one it wraps, and starts the same boxes. A box that fits what the cells were
started with is made of one; any other is started as ever. Cells are replaced while nobody waits for a start, as many at
once as there are cores. See `docs/decisions/0010-stem-cells.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from invoker.environments.variables import interpreter_variables
from invoker.isolation import mounts
from invoker.isolation.contract import OPT_DIR, RUNTIME_DIR, TASK_ROOT, Box, BoxSpec
from invoker.isolation.stem_cell import STEM_VARIABLES, Stem, StemCell, StemIsolation, Unsupported
from invoker.isolation.stem_stock import AT_REST, RUN_KEPT_S, StemStock
from invoker.isolation.stem_supply import StemSupply
from samovar.errors import EnvironmentFailure
from samovar.function import Limits, Network
from samovar.link.operations import IsolationStatus

log = logging.getLogger("samovar.invoker.isolation")

STEM_LIMITS = Limits()
"""What cells are started with: the least memory a function can ask for, and what most functions have of the rest."""
_LONGEST_PAUSE_S = 60.0
_MOST_DOUBLINGS = 16


@dataclass(frozen=True, kw_only=True)
class StemSettings:
    """How many cells there are, and when."""

    folder: Path
    """Where each cell has a folder for its socket; it is ours alone."""
    floor: int
    """Cells of a runtime while its functions start cold one after the other, or more, see `StemStock`."""
    at_rest: int = AT_REST
    """Cells of each runtime in use at other times, no more than `floor`."""
    most: int
    """Cells in all."""
    network: Network = "none"
    """Network of the cells; boxes with another one are started as ever."""
    keep_s: float = 600.0
    """How long after its last cold start a runtime counts as in use."""
    pause_s: float = 0.03
    """Between a cold start and the start of a cell, so that the function's own initialisation has the cores to itself.

    Doubled for each cell that fails, up to a minute.
    """
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Cells that are started at once at most."""
    start_timeout_s: float = 20.0
    """How long a started cell may take to warm up."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the keeper of any box of this network is told."""


class StemCells:
    """See the module."""

    def __init__(self, isolation: StemIsolation, settings: StemSettings) -> None:
        """Takes over `isolation`, and goes by its name."""
        self.name = isolation.name
        self._isolation = isolation
        self._settings = settings
        self._stock = StemStock(settings.floor, settings.most, settings.keep_s, settings.at_rest)
        self._supply = StemSupply(self._grow)
        self._unavailable = mounts.unavailable()
        self._failed_starts = 0
        """Cells that could not be started since one could."""
        self._failed_cells = 0
        """Cells that were lost or could not be bound since one could."""
        self._bound = 0
        self._agreeing: deque[tuple[Stem, Limits]] = deque()
        """Boxes of whose limits not everybody knows yet."""
        self._starting = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._removals: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> Counter[str]:
        """Cells that wait for a function, by runtime."""
        return self._supply.ready

    @property
    def bound(self) -> int:
        """Boxes made of cells so far."""
        return self._bound

    def fits(self, spec: BoxSpec) -> bool:
        """Whether a cell can become this box. What a running box cannot change has to be what cells have."""
        limits, own = spec.limits, STEM_LIMITS
        return (
            self._unavailable is None
            and self._isolation.can_bind(spec)
            and spec.network == self._settings.network
            and limits.memory_mb >= own.memory_mb
            and (limits.tmp_mb, limits.pids, limits.open_files) == (own.tmp_mb, own.pids, own.open_files)
        )

    async def prepare(self, runtime: str) -> None:
        """See `Isolation.prepare`. Of a runtime that was prepared there are cells from then on."""
        await self._isolation.prepare(runtime)
        self._stock.always(runtime)
        self._look_after()

    def can_seat(self, spec: BoxSpec) -> bool:
        """See `Isolation.can_seat`."""
        return self._isolation.can_seat(spec)

    async def start(self, spec: BoxSpec) -> Box:
        """See `Isolation.start`."""
        with self._undisturbed():
            if not self.fits(spec):
                return await self._isolation.start(spec)
            self._use(spec.runtime)
            cell = await self._supply.take(spec.runtime)
            box = await self._bind(cell, spec) if cell is not None else None
            if box is not None:
                return box
            return await self._isolation.start(spec)

    async def _bind(self, cell: StemCell, spec: BoxSpec) -> Stem | None:
        """The box that a cell has become; `None` if it could not."""
        try:
            box = await cell.bind(spec)
        except EnvironmentFailure as failure:
            log.warning("stem cell %s was of no use: %s", cell.box.id, failure.message)
            self._failed_cells += 1
            self._discard(cell, "it could not be bound")
            return None
        except asyncio.CancelledError:
            self._discard(cell, "nobody waits for it any more")
            raise
        self._failed_cells = 0
        self._bound += 1
        self._agreeing.append((box, spec.limits))
        return box

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Keep cells from being started meanwhile."""
        self._starting += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._starting -= 1
            if not self._starting:
                self._calm.set()
            self._look_after()

    def _use(self, runtime: str) -> None:
        loop = asyncio.get_running_loop()
        self._stock.use(runtime, loop.time())
        for delay_s, name in ((self._settings.keep_s, runtime), (RUN_KEPT_S, f"run of {runtime}")):
            if name in self._expiries:
                self._expiries[name].cancel()
            self._expiries[name] = loop.call_later(delay_s, self._look_after)

    def _look_after(self) -> None:
        """Have the task below see whether there are the cells there should be."""
        if self._unavailable is None:
            self._changed.set()
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep(), name="stem-cells")

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        # What a killed invoker has left there; none of ours is in it yet.
        await asyncio.to_thread(shutil.rmtree, self._settings.folder, ignore_errors=True)
        while self._unavailable is None:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(self._pause_s())
            await self._calm.wait()
            while (surplus := self._stock.surplus(self.ready, loop.time())) is not None:
                self._discard(self._supply.surrender(surplus), "it is not needed any more")
            cores, making = self._settings.cores, self._supply.making
            for runtime in self._stock.starts(self.ready, making, cores, loop.time()):
                self._supply.make(runtime, self._look_after)
            while self._agreeing:
                await self._agree(*self._agreeing.popleft())

    def _pause_s(self) -> float:
        failures = min(self._failed_starts + self._failed_cells, _MOST_DOUBLINGS)
        return min(_LONGEST_PAUSE_S, self._settings.pause_s * 2.0**failures)

    async def _agree(self, box: Stem, limits: Limits) -> None:
        try:
            await box.agree_on_limits(limits)
        except EnvironmentFailure as failure:  # it is gone already, as a rule; its control group holds it if not
            log.debug("nobody else was told the limits of box %s: %s", box.id, failure.message)

    async def _grow(self, runtime: str) -> StemCell | None:
        """Start one cell. A failure is logged, and makes the pause before the next attempt longer."""
        try:
            cell = await StemCell.start(self._spec(runtime), self._isolation.start_stem, self._settings.start_timeout_s)
        except Unsupported as failure:
            log.warning("no stem cells in isolation %s: %s", self.name, failure.message)
            self._unavailable = failure.message
        except EnvironmentFailure as failure:
            log.warning("no stem cell of %s: %s", runtime, failure.message)
            self._failed_starts += 1
        else:
            self._failed_starts = 0
            cell.on_end(partial(self._lost, cell))
            return cell
        return None

    def _spec(self, runtime: str) -> BoxSpec:
        cell = secrets.token_hex(8)
        folder = self._settings.folder / cell
        return BoxSpec(
            id=cell,
            runtime=runtime,
            code_dir=folder,
            socket_dir=folder,
            limits=STEM_LIMITS,
            network=self._settings.network,
            variables={
                **interpreter_variables(TASK_ROOT, RUNTIME_DIR, OPT_DIR),
                **self._settings.variables,
                **STEM_VARIABLES,
            },
            labels={"samovar.stem": runtime},
        )

    def _lost(self, cell: StemCell) -> None:
        if not self._supply.remove(cell):  # it is being bound or removed
            return
        log.warning("stem cell %s of %s has ended", cell.box.id, cell.runtime)
        self._failed_cells += 1
        self._discard(cell, "it has ended")
        self._look_after()

    def _discard(self, cell: StemCell, reason: str) -> None:
        removal = asyncio.create_task(self._remove(cell, reason))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def _remove(self, cell: StemCell, reason: str) -> None:
        try:
            await cell.destroy(reason)
        except EnvironmentFailure as failure:
            log.warning("stem cell %s may be left behind for a while: %s", cell.box.id, failure.message)

    async def sweep(self) -> int:
        """See `Isolation.sweep`. Cells are boxes to it: those of a former invoker go, and ours stay."""
        return await self._isolation.sweep()

    async def status(self) -> IsolationStatus:
        """See `Isolation.status`; tells of the cells among the limits."""
        status = await self._isolation.status()
        if not status.available:
            return status
        return msgspec.structs.replace(status, limits={**status.limits, "stem_cells": self._in_words()})

    def _in_words(self) -> str:
        if self._unavailable is not None:
            return f"none: {self._unavailable}"
        ready = ", ".join(f"{count} of {runtime}" for runtime, count in sorted(self.ready.items()))
        held = sum(cell.box.usage().peak_memory_bytes for cell in self._supply)
        return f"ready: {ready}, up to {held >> 20} MB used" if ready else "none ready"

    async def close(self) -> None:
        """See `Isolation.close`. Removes the cells."""
        for expiry in self._expiries.values():
            expiry.cancel()
        self._unavailable = "the invoker stops"
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for cell in await self._supply.close():
            self._discard(cell, "the invoker stops")
        await asyncio.gather(*self._removals)
        shutil.rmtree(self._settings.folder, ignore_errors=True)
        await self._isolation.close()
