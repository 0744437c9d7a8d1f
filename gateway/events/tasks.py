"""The Celery tasks of events: draining a line, and the sweep that finds lines nobody drains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from celery import Celery
from celery.signals import worker_shutting_down

from gateway.events.book import AT_ONCE, Book
from gateway.events.doorbell import DRAIN
from gateway.events.intake import Intake
from gateway.events.lines import Lines, keeping
from gateway.functions.store import connect
from gateway.tasks.engine import Engine
from samovar.settings import Settings

if TYPE_CHECKING:
    from gateway.events.attend import Attendance
    from gateway.tasks.tools import Tools

_SWEEP_LIMIT_S = 20.0


def register(app: Celery, settings: Settings, engine: Engine) -> None:
    """Add the tasks."""
    attendances: dict[str, Attendance] = {}

    async def attend(tools: Tools, line: str, helps: bool) -> None:
        from gateway.events.attend import Attendance

        attendance = attendances.get(tools.worker_id)
        if attendance is None:
            attendance = attendances[tools.worker_id] = Attendance(tools)
        await attendance.attend(line, helps=helps)

    @app.task(name=DRAIN)
    def drain_events(line: str, helps: bool = False) -> None:
        engine.run(lambda tools: attend(tools, line, helps))

    @app.task(name="samovar.sweep_events")
    def sweep_events() -> None:
        for line in asyncio.run(_unattended(settings)):
            drain_events.delay(line)

    @app.task(name="samovar.trim_events")
    def trim_events() -> None:
        before_ms = int((time.time() - settings.event_retention_h * 3600) * 1000)
        while asyncio.run(_forget_before(settings, before_ms)) >= AT_ONCE:
            continue

    worker_shutting_down.connect(lambda **_: engine.stop(), weak=False)


async def _unattended(settings: Settings) -> list[str]:
    async with connect(settings.store_url) as client, asyncio.timeout(_SWEEP_LIMIT_S):
        return await Lines(client, keeping(settings)).unattended(int(time.time() * 1000))


async def _forget_before(settings: Settings, before_ms: int) -> int:
    async with connect(settings.store_url) as client, asyncio.timeout(_SWEEP_LIMIT_S):
        intake = Intake(client, _nobody, settings.max_event_bytes)
        return await Book(client, intake, _nobody).forget_before(before_ms)


def _nobody(lines: Iterable[str]) -> None:
    """Has to do nothing: what is forgotten does not run."""
