"""Celery's beat with its state in the store: the sweeps, when they last ran, and the schedules, when each is due.

It waits for whatever comes first: a sweep, a schedule, or word that a schedule was changed. Nothing is polled.
`docs/decisions/0029-schedules.md` says why it is not celery-redbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import redis
from celery.beat import Scheduler

from gateway.schedules.keys import CHANGED, DUE
from gateway.tasks.engine import Engine
from gateway.tasks.periods import EVERY_S, LAST_RUNS, REMEMBERED
from samovar.errors import SamovarError
from samovar.settings import Settings

if TYPE_CHECKING:
    from gateway.tasks.tools import Tools

LONGEST_WAIT_S: Final = 30.0
"""A socket that has died without a word is noticed after this."""
_STORE_AWAY_S: Final = 2.0
_SLACK_S: Final = 10.0
_TURN_S: Final = 60.0
"""A turn that takes longer is given up, and taken up again by the next."""
_log = logging.getLogger("samovar.schedules")


class StoredScheduler(Scheduler):
    """Made and run by Celery, in a thread of the worker. `use` says with what."""

    _client: Any
    _serve: Callable[[float], None]

    @classmethod
    def use(cls, client: Any, serve: Callable[[float], None]) -> type[StoredScheduler]:
        """A scheduler on a connection to the store; `serve` runs what schedules have due at a moment (epoch s)."""
        return type("StoredScheduler", (cls,), {"_client": client, "_serve": staticmethod(serve)})

    def setup_schedule(self) -> None:
        """From Celery: read the sweeps, and when they ran last."""
        super().setup_schedule()
        for name in EVERY_S.keys() - REMEMBERED:
            # What the worker before this one left is not to wait for the first of these sweeps as for any other.
            self.schedule[name].last_run_at = datetime.fromtimestamp(0, UTC)
        with self._store_or_not():
            for name, moment in self._client.hgetall(LAST_RUNS).items():
                entry = self.schedule.get(name.decode())
                if entry is not None:
                    # A clock that was set back does not make a sweep wait for it.
                    entry.last_run_at = datetime.fromtimestamp(min(float(moment), time.time()), UTC)

    def reserve(self, entry: Any) -> Any:
        """From Celery: a sweep is about to be published."""
        taken = super().reserve(entry)
        if entry.name in REMEMBERED:
            with self._store_or_not():
                self._client.hset(LAST_RUNS, entry.name, time.time())
        return taken

    def tick(self, *arguments: Any, **named: Any) -> float:
        """From Celery: do what is due, and wait for what comes next. It need not sleep besides."""
        sweep_in_s = super().tick(*arguments, **named)
        if sweep_in_s > 0:
            try:
                self._wait(min(sweep_in_s, LONGEST_WAIT_S))
            except (redis.RedisError, OSError) as error:
                _log.warning("schedules wait for the store: %s", error)
                time.sleep(min(_STORE_AWAY_S, sweep_in_s))
        return 0

    def _wait(self, at_most_s: float) -> None:
        now = time.time()
        first = self._client.zrange(DUE, 0, 0, withscores=True)
        wait_s = min(at_most_s, first[0][1] / 1000 - now) if first else at_most_s
        if wait_s > 0:
            self._client.blpop([CHANGED], wait_s)
            return
        try:
            self._serve(now)
        except (SamovarError, TimeoutError) as error:
            _log.warning("schedules are late: %s", error)
            time.sleep(min(_STORE_AWAY_S, at_most_s))

    def wake(self) -> None:
        """End the wait: the worker stops. From any thread."""
        with self._store_or_not():
            self._client.lpush(CHANGED, "1")

    @contextlib.contextmanager
    def _store_or_not(self) -> Iterator[None]:
        """What may be missed while the store is away."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            _log.debug("the beat does without the store: %s", error)


def scheduler(settings: Settings, engine: Engine) -> type[StoredScheduler]:
    """The scheduler of a worker process. What is due is run on the engine's loop."""
    client = redis.Redis.from_url(
        settings.store_url, socket_timeout=LONGEST_WAIT_S + _SLACK_S, socket_connect_timeout=5
    )

    def serve(now: float) -> None:
        async def turn(tools: Tools) -> None:
            from gateway.schedules.store import ScheduleStore
            from gateway.schedules.turn import Turn

            async with asyncio.timeout(_TURN_S):
                await Turn(ScheduleStore(tools.redis), tools.intake, tools.registry, tools.queues.store).run(now)

        engine.run(turn)

    return StoredScheduler.use(client, serve)
