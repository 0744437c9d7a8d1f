"""Has the supervisor start the workers when there is something for them.

A process that rings for a worker asks at once. Besides, the store is looked at every few seconds, so that nothing
depends on whoever put the work there: it may have been killed before it rang, or be on another host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Final, Self

import redis.asyncio
from redis.exceptions import RedisError

from gateway.tasks import need
from samovar.clock import Clock
from samovar.errors import ServiceUnavailable
from samovar.process.demand import demand
from samovar.settings import Settings

GROUP: Final = "workers"
"""What the supervisor calls them."""
_APART_S: Final = 0.25
"""Who rings more often is heard together with the next one."""
_log = logging.getLogger(__name__)


class Waking:
    """An async context manager: inside it, workers that rest are woken. Does nothing where they never rest."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._settings = settings
        self._redis = client
        self._clock = clock
        self._rung = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Look at once, for what was left by those before."""
        if self._settings.workers and self._settings.worker_rest_s:
            self._watching = asyncio.create_task(self._watch(), name="waking workers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    def ring(self) -> None:
        """There is work: have somebody there who does it. From the event loop; returns at once, and never raises."""
        self._rung.set()

    async def _watch(self) -> None:
        while True:
            if self._rung.is_set() or await self._is_needed():
                self._rung.clear()
                await self._wake()
                await asyncio.sleep(_APART_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(need.LOOK_EVERY_S):
                    await self._rung.wait()

    async def _is_needed(self) -> bool:
        now = self._clock.epoch()
        pipeline = self._redis.pipeline(transaction=False)
        need.ask(pipeline, now)
        try:
            return need.answer(await pipeline.execute(), now)
        except (RedisError, OSError) as error:
            _log.debug("whether a worker is needed is not known: %s", error)
            return False  # and without the store it could do nothing

    async def _wake(self) -> None:
        try:
            await demand(self._settings, GROUP)
        except ServiceUnavailable as error:
            # A gateway that runs by itself, as tests of it do, has no supervisor: its workers are started by others.
            _log.debug("no worker was started: %s", error.message)
