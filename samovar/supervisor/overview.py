"""What `samovar status` shows: the state file, what the processes use, what the invoker says."""

from __future__ import annotations

import time

import msgspec
import psutil

from samovar.answers import Status
from samovar.clients.platform import Client
from samovar.errors import SamovarError
from samovar.link.operations import InvokerStatus
from samovar.settings import Settings
from samovar.supervisor import data_dir, state
from samovar.supervisor.state import PlatformState, ProcessState


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the platform."""

    name: str
    phase: str
    pid: int | None
    uptime_s: float
    restarts: int
    memory_mb: float | None
    """Its share of the host's memory (PSS: pages it shares count in part); `None` where that cannot be read."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say about the platform of one data directory."""

    running: bool
    data_dir: str
    ready: bool = False
    version: str = ""
    url: str = ""
    store: str = ""
    isolation: str = ""
    memory_mb: float = 0.0
    """Of the processes below together; environments are not among them."""
    processes: list[ProcessView] = []
    invoker: InvokerStatus | None = None
    """What the gateway passes on from the invoker; `None` when one of them does not answer."""
    problem: str = ""
    """Why there is no answer from the gateway."""


def collect(settings: Settings) -> Overview:
    """Look at the platform of these settings. Asks its gateway, if it runs."""
    pid = data_dir.owner(settings)
    if pid is None:
        return Overview(running=False, data_dir=str(settings.data))
    found = state.read(state.path_of(settings))
    if found is None or found.pid != pid:
        return Overview(running=True, data_dir=str(settings.data), problem="it is just starting")
    answer, problem = _ask(found)
    processes = [_view(process) for process in (_supervisor(found), *found.processes)]
    return Overview(
        running=True,
        ready=found.ready,
        data_dir=found.data_dir,
        version=found.version,
        url=found.url,
        store=found.store,
        isolation=found.isolation,
        memory_mb=round(sum(process.memory_mb or 0 for process in processes), 1),
        processes=processes,
        invoker=answer.invoker if answer is not None else None,
        problem=problem,
    )


def _ask(found: PlatformState) -> tuple[Status | None, str]:
    try:
        with Client(found.url) as client:
            return client.status(), ""
    except SamovarError as error:
        return None, error.message


def _supervisor(found: PlatformState) -> ProcessState:
    return ProcessState(
        name="supervisor", phase="running", pid=found.pid, birth=found.birth, started=found.started, restarts=0
    )


def _view(process: ProcessState) -> ProcessView:
    alive = state.still_runs(process)
    return ProcessView(
        name=process.name,
        phase=process.phase,
        pid=process.pid,
        uptime_s=round(time.time() - process.started, 1) if alive else 0.0,
        restarts=process.restarts,
        memory_mb=_memory_mb(process.pid) if alive else None,
    )


def _memory_mb(pid: int | None) -> float | None:
    try:
        return round(psutil.Process(pid).memory_full_info().pss / 2**20, 1)
    except psutil.Error:
        return None
