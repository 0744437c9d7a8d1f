"""`python -m gateway.tasks.worker`: a Celery worker for `gateway.tasks.background`, until SIGTERM.

Celery's own command starts the same worker, and may on other hosts; but it loads a shell with completion and
highlighting first, which would be a quarter of this process's memory for as long as it lives.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery.beat import EmbeddedService

from gateway.schedules.beat import StoredScheduler, scheduler
from gateway.tasks.periods import ANYWHERE, AT_HOME
from gateway.tasks.rest import resting
from samovar.errors import StartRefused
from samovar.process.demand import RESTS
from samovar.settings import Settings, load

EX_CONFIG: Final = 78
"""sysexits(3): a restart would not help; the last line on stderr says what to change."""


class BeatThread(bootsteps.StartStopStep):
    """The beat as a thread of the worker: the process Celery forks for it would outlive a worker that is killed."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, scheduler: type[StoredScheduler] | None = None, **options: Any) -> None:
        super().__init__(worker, **options)
        self.scheduler = scheduler
        self.enabled = scheduler is not None

    def create(self, worker: Any) -> Any:
        """Called by Celery when the step is enabled."""
        return EmbeddedService(worker.app, thread=True, scheduler_cls=self.scheduler)

    def stop(self, worker: Any) -> None:
        """Called by Celery; the beat may be waiting for something that is due in half a minute."""
        if self.obj is not None:
            self.obj.service._is_shutdown.set()  # else it would wait again before it is told
            self.obj.service.scheduler.wake()
        super().stop(worker)


class LastTurns(bootsteps.StartStopStep):
    """Tells the turns at lines and queues to come to their end, also when Celery fails and not only when it is told to
    stop: it waits for them before the process ends, and they would go on for as long as there is something to do."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Called by Celery; there is nothing to do."""

    def stop(self, worker: Any) -> None:
        """Called by Celery, before it waits for the pool."""
        signals.worker_shutting_down.send(sender=worker.hostname, sig="", how="warm", exitcode=worker.exitcode)


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until told to stop, and with `--rests` until there is nothing to do.

    Answers with 0 after a clean stop, `RESTS` when there was nothing to do, `EX_CONFIG` when the start is refused.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load(os.environ)
        from gateway.tasks.background import app, engine  # made of these settings when it is imported
    except StartRefused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return EX_CONFIG
    beat = scheduler(settings, engine) if options.beat else None
    if not options.rests:
        return run(app, settings, beat)
    with resting(settings) as rest:
        status = run(app, settings, beat)
    return RESTS if rest.has_come and status == 0 else status


def run(app: Celery, settings: Settings, beat: type[StoredScheduler] | None) -> int:
    """Run a worker in this process and its main thread, and with it a beat of this class."""
    app.steps["worker"].update({BeatThread, LastTurns})
    worker = app.Worker(
        # At "info" Celery tells of every task that comes and goes, which for sweeps nobody wants to read.
        loglevel="WARNING" if settings.log_level == "info" else settings.log_level.upper(),
        scheduler=beat,
        hostname=f"samovar-{os.getpid()}-{secrets.token_hex(3)}@{socket.gethostname()}",
        queues=[ANYWHERE] if beat is None else [ANYWHERE, AT_HOME],
        quiet=True,
        # Talk between workers that nobody listens to.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.tasks.worker", description="A worker for what nobody waits for."
    )
    parser.add_argument("--beat", action="store_true", help="run the beat, too; of several workers, one has it")
    parser.add_argument("--rests", action="store_true", help=f"end with {RESTS} after `worker_rest_s` without work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
