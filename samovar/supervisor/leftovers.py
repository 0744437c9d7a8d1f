"""What a supervisor that was killed left behind: processes that did not follow it, and sockets."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence

from samovar import s3
from samovar.settings import Settings
from samovar.supervisor import state
from samovar.supervisor.s3 import remove_sockets
from samovar.supervisor.state import ProcessState

GRACE_S = 10.0
"""Children are told by the kernel when their supervisor dies, so at most a running call is waited for."""

log = logging.getLogger("samovar.up")


def remove(settings: Settings) -> None:
    """End recorded processes that still run and delete stale sockets. Call it holding the data directory."""
    recorded = state.read(state.path_of(settings))
    if recorded is not None:
        end_processes(recorded.processes)
    ports = s3.known_ports(settings)
    if ports is not None:
        remove_sockets(settings, ports)
    for path in list(settings.run_dir.rglob("*.sock")):
        path.unlink(missing_ok=True)
    for folder in sorted(settings.run_dir.rglob("*/"), reverse=True):  # the innermost first
        if not any(folder.iterdir()):
            folder.rmdir()
    state.path_of(settings).unlink(missing_ok=True)


def remove_run_dir(settings: Settings) -> None:
    """Delete an empty folder for sockets that had to be outside the data directory, where nobody would look for it."""
    if settings.run_dir.is_relative_to(settings.data):
        return
    try:
        settings.run_dir.rmdir()
    except OSError as error:
        log.warning("%s is left behind: %s", settings.run_dir, error.strerror)


def end_processes(processes: Sequence[ProcessState], grace_s: float = GRACE_S) -> None:
    """SIGTERM, then SIGKILL after `grace_s` seconds, to those of `processes` that still run."""
    alive = [process for process in processes if state.still_runs(process)]
    if not alive:
        return
    log.warning("ending what a former supervisor left: %s", ", ".join(f"{p.name} (pid {p.pid})" for p in alive))
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        alive = [process for process in alive if state.still_runs(process)]
        for process in alive:
            _signal(process, number)
        if _wait_until(lambda: not any(state.still_runs(process) for process in alive), patience):  # noqa: B023 - used at once
            return


def _signal(process: ProcessState, number: signal.Signals) -> None:
    assert process.pid is not None, "only running processes are signalled"
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        log.debug("%s ended by itself", process.name)


def _wait_until(condition: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True
