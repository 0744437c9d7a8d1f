"""What a Celery worker does for queues: forgets messages that are too old in queues nobody asks for anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from celery import Celery

from gateway.functions.store import connect
from gateway.queues.errors import QueueDoesNotExist
from gateway.queues.queues import Queues
from samovar.clock import SystemClock
from samovar.settings import Settings

TASK_LIMIT_S: Final = 60.0
"""After this the sweep gives up; what is left is found by its next run."""
_PAGE: Final = 500
_log = logging.getLogger(__name__)


def register(app: Celery, settings: Settings) -> None:
    """Add the tasks to an app."""

    @app.task(name="samovar.sweep_queues")
    def sweep_queues() -> None:
        """Forget messages older than their queues keep them."""
        asyncio.run(_swept(settings))


async def sweep(queues: Queues) -> int:
    """Forget what is too old in every queue; how many queues there are."""
    count = 0
    async for arn in _all(queues):
        count += 1
        try:
            while not (await queues.counts(arn)).complete:  # noqa: ASYNC110 - counting is what forgets
                await asyncio.sleep(0)  # others of this process, and of Redis, come in between
        except QueueDoesNotExist:
            continue
    return count


async def _swept(settings: Settings) -> None:
    async with connect(settings.store_url) as client, asyncio.timeout(TASK_LIMIT_S):
        _log.info("queues: %d", await sweep(Queues(client, SystemClock(), settings.account)))


async def _all(queues: Queues) -> AsyncIterator[str]:
    after, more = "", True
    while more:
        arns, more = await queues.store.page("arn:", after, _PAGE)
        for arn in arns:
            yield arn
        after = arns[-1] if arns else ""
