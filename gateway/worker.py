"""`python -m gateway.worker`: a Celery worker for `gateway.background`, until SIGTERM.

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

from celery import Celery, bootsteps
from celery.beat import EmbeddedService

from gateway.celery_app import ANYWHERE, AT_HOME
from samovar.errors import StartRefused
from samovar.settings import Settings, load

EX_CONFIG: Final = 78
"""sysexits(3): a restart would not help; the last line on stderr says what to change."""


class BeatThread(bootsteps.StartStopStep):
    """The beat as a thread of the worker: the process Celery forks for it would outlive a worker that is killed."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, schedule_filename: str | None = None, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = schedule_filename is not None

    def create(self, worker: Any) -> Any:
        """Called by Celery when the step is enabled."""
        return EmbeddedService(
            worker.app, thread=True, schedule_filename=worker.schedule_filename, scheduler_cls=worker.scheduler
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until told to stop. Answers with 0 after a clean stop, `EX_CONFIG` when the start is refused."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(os.environ)
        from gateway.background import app  # made of these settings when it is imported
    except StartRefused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return EX_CONFIG
    return run(app, settings, options.schedule)


def run(app: Celery, settings: Settings, schedule: str | None) -> int:
    """Run a worker in this process and its main thread; `schedule` is the file in which its beat keeps its times."""
    app.steps["worker"].add(BeatThread)
    worker = app.Worker(
        # At "info" Celery tells of every task that comes and goes, which for sweeps nobody wants to read.
        loglevel="WARNING" if settings.log_level == "info" else settings.log_level.upper(),
        schedule_filename=schedule,
        hostname=f"samovar-{os.getpid()}-{secrets.token_hex(3)}@{socket.gethostname()}",
        queues=[ANYWHERE] if schedule is None else [ANYWHERE, AT_HOME],
        quiet=True,
        # Talk between workers that nobody listens to.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.worker", description="A worker for what nobody waits for.")
    parser.add_argument(
        "--schedule", metavar="FILE", help="run the beat, and keep its times here; of several workers, one has it"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
