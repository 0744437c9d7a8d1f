"""The tasks: work nobody waits for, sweeps and the draining of events. `gateway/tasks/worker.py` runs them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.events import tasks as events_tasks
from gateway.events.doorbell import Doorbell
from gateway.functions.artifacts import Artifacts
from gateway.functions.store import Store, connect
from gateway.pollers import tasks as poller_tasks
from gateway.queues import tasks as queue_tasks
from gateway.tasks import sweeps
from gateway.tasks.celery_app import create_app
from gateway.tasks.engine import Engine
from samovar.settings import load

TASK_LIMIT_S: Final = 60.0
"""After this a task gives up; what it had not done is found by its next run."""

log = logging.getLogger("samovar.background")
settings: Final = load(os.environ)

app: Final = create_app(settings)
engine: Final = Engine(settings, Doorbell(lambda: app))
events_tasks.register(app, settings, engine)
poller_tasks.register(app, settings, engine)
queue_tasks.register(app, settings)


def _with_store(work: Callable[[Store], Awaitable[object]]) -> None:
    """Run one task's work with a connection of its own, within `TASK_LIMIT_S`."""

    async def run() -> object:
        client = connect(settings.store_url)
        async with client, asyncio.timeout(TASK_LIMIT_S):
            return await work(Store(client, settings.account, settings.region))

    log.info("done: %s", asyncio.run(run()))


def _retention_start() -> float:
    return time.time() - settings.reading_retention_h * 3600


@app.task(name="samovar.trim_readings")
def trim_readings() -> None:
    """Forget which readings a function had before `reading_retention_h`."""
    _with_store(lambda store: sweeps.trim_readings(store.redis, int(_retention_start() * 1000)))


@app.task(name="samovar.sweep_code")
def sweep_code() -> None:
    """Remove code no function uses."""
    artifacts = Artifacts(settings.code_dir, settings.max_code_bytes, settings.max_upload_bytes)
    _with_store(lambda store: sweeps.sweep_code(store, artifacts))


@app.task(name="samovar.sweep_logs")
def sweep_logs() -> None:
    """Remove the logs of functions that were deleted longer ago than `reading_retention_h`."""
    _with_store(lambda store: sweeps.sweep_logs(store, settings.logs_dir, _retention_start()))
