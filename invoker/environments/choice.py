"""Which isolations this host offers, and which one functions get that name none."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import msgspec
import psutil

from invoker.environments.kits import Kits
from invoker.environments.reach import Reach
from invoker.environments.runtimes import default_runtime
from invoker.isolation.carried import Carrier
from invoker.isolation.contract import Isolation
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.process import ProcessIsolation
from invoker.isolation.sandbox import SandboxIsolation
from invoker.isolation.seats import Seats
from invoker.isolation.stem_cell import StemIsolation
from invoker.isolation.stem_cells import STEM_LIMITS, StemCells, StemSettings
from samovar.errors import EnvironmentFailure, StartRefused
from samovar.link.operations import IsolationStatus
from samovar.settings import Settings

log = logging.getLogger("samovar.invoker")

_PREFERENCE = ("docker", "sandbox")
_STEM_SHARE = 8
"""An isolation's stem cells may be given an eighth of the memory that environments may have: they are for the next."""


@dataclass(frozen=True)
class Choice:
    """The outcome."""

    default: str
    offered: dict[str, Isolation]
    """The ones that work here."""
    statuses: list[IsolationStatus]
    """Of all there are, also those that do not work, with the reason."""
    images: DockerIsolation | None = None
    """What runs container images, if anything does here."""
    reach: Reach | None = None

    async def present(self) -> list[IsolationStatus]:
        """How they all are now: first those that work here."""
        offered = await asyncio.gather(*(one.status() for one in self.offered.values()))
        told = [self._told(status) for status in offered]
        return told + [status for status in self.statuses if status.name not in self.offered]

    def _told(self, status: IsolationStatus) -> IsolationStatus:
        if self.reach is None or not status.available:
            return status
        return msgspec.structs.replace(status, limits={**status.limits, "platform": self.reach.in_words(status.name)})


async def choose(settings: Settings, instance: str, seats: Seats | None = None, reach: Reach | None = None) -> Choice:
    """Try every isolation. Raises `StartRefused` when the wanted one does not work here.

    Of the isolations a setting can choose from, the default one must be able to run the default runtime: an
    engine that answers but can neither find nor build an image is of no use to a function. The others are prepared
    when a function asks for them.
    """
    carrier = Carrier(settings.data / "carried")
    kits = Kits(settings.data / "kits")
    docker = DockerIsolation(instance, base_image=settings.base_image, seats=seats, carrier=carrier, kits=kits)
    candidates: list[Isolation] = [
        _with_stem_cells(docker, settings, reach),
        _with_stem_cells(SandboxIsolation(instance, seats=seats, carrier=carrier, kits=kits), settings, reach),
    ]
    if settings.isolation == "none":
        candidates.append(ProcessIsolation(instance, carrier=carrier, kits=kits))
    offered: dict[str, Isolation] = {}
    statuses: list[IsolationStatus] = []
    is_prepared = False
    for candidate in candidates:
        status = await candidate.status()
        if status.available and settings.isolation in ("auto", candidate.name) and not is_prepared:
            status = await _try_out(candidate, status)
            is_prepared = status.available
        statuses.append(status)
        if status.available:
            offered[candidate.name] = candidate
    images = docker if docker.name in offered else None
    return Choice(_default(settings.isolation, offered, statuses), offered, statuses, images, reach)


def _with_stem_cells(isolation: StemIsolation, settings: Settings, reach: Reach | None) -> Isolation:
    memory_mb = settings.memory_budget_mb or psutil.virtual_memory().total // 2**20
    most = memory_mb // _STEM_SHARE // STEM_LIMITS.memory_mb
    if not settings.stem_cells or not most:
        return isolation
    is_passed_on = reach is not None and reach.is_passed_on(isolation.name, settings.network, "runc")
    return StemCells(
        isolation,
        StemSettings(
            # No longer than the path of an environment's socket, which the settings make room for.
            folder=settings.run_dir / "stems" / isolation.name,
            floor=settings.stem_cells,
            most=most,
            network=settings.network,
            keep_s=settings.idle_ttl_s,
            start_timeout_s=settings.start_timeout_s,
            variables=reach.keeper_variables() if reach is not None and is_passed_on else {},
        ),
    )


async def _try_out(isolation: Isolation, status: IsolationStatus) -> IsolationStatus:
    try:
        await isolation.prepare(default_runtime())
    except EnvironmentFailure as failure:
        log.warning("isolation %s cannot run %s: %s", isolation.name, default_runtime(), failure.message)
        return msgspec.structs.replace(status, available=False, detail=failure.message)
    return status


def _default(wanted: str, offered: dict[str, Isolation], statuses: list[IsolationStatus]) -> str:
    reasons = "; ".join(f"{status.name}: {status.detail}" for status in statuses if not status.available)
    if wanted == "auto":
        for name in _PREFERENCE:
            if name in offered:
                return name
        raise StartRefused(
            f"no isolation works on this host ({reasons}). Start a Docker engine or allow unprivileged user "
            "namespaces; `--isolation none` runs functions as plain processes, which protects nothing"
        )
    if wanted not in offered:
        raise StartRefused(f"isolation {wanted} does not work on this host: {reasons}")
    return wanted
