"""Who of a worker process is at which line of events, and that the others know it lives."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from redis.exceptions import RedisError

from gateway.events.deliver import Deliver
from gateway.events.doorbell import DRAIN
from gateway.events.drain import LINGER_S, Turn
from gateway.events.lines import Lines, keeping
from gateway.events.window import Window
from gateway.events.work import Work
from gateway.tasks.celery_app import THREADS
from gateway.tasks.tools import Tools

HEARTBEAT_S: Final = 3.0
_TURN_S: Final = 20.0
"""How long a turn may take while others wait for a thread."""
_CROWDED: Final = THREADS * 3 // 4
_SOON_S: Final = 600.0
"""Events that are due sooner are waited for by a task with a countdown; the sweep finds the others."""
_MANY: Final = 1000
"""Events in a line for which one worker alone is not enough."""
_log = logging.getLogger(__name__)


class Attendance:
    """Owner of the turns of this process, at most one at a line."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lines = Lines(tools.redis, keeping(tools.settings))
        self._work = Work(tools.registry, tools.runs, Deliver(tools), tools.clock)
        self._turns: dict[str, tuple[Turn, float]] = {}
        self._held: set[str] = set()
        """The lines this process has taken; at the others it helps."""
        self._heart: asyncio.Task[None] | None = None

    async def attend(self, line: str, *, helps: bool = False) -> None:
        """Drain a line, if nobody does, or help whoever does. Raises what redis-py raises."""
        tools = self._tools
        if tools.stopping.is_set():
            await self._lines.decline(line)
            return
        if line in self._turns:
            return
        window = Window(tools.settings.event_concurrency)
        turn = Turn(self._lines, self._work, tools.doorbell.ring, tools.clock, window)
        self._turns[line] = turn, tools.clock.monotonic()  # before anything is waited for: one turn at a line
        try:
            if await self._lines.take(line, tools.worker_id):
                self._held.add(line)
            elif not helps:
                return
            await self._lines.renew(tools.worker_id, ())
            if self._heart is None:
                self._heart = asyncio.create_task(self._beat(), name="heartbeat")
            due_ms = await turn.at(line, tools.worker_id, 0.0 if helps or self._is_crowded else LINGER_S)
        finally:
            del self._turns[line]
            self._held.discard(line)
        now_ms = int(tools.clock.epoch() * 1000)
        if due_ms is not None and (due_ms - now_ms) / 1000 < _SOON_S:
            tools.doorbell.ring_later(line, max(0.0, (due_ms - now_ms) / 1000))
        if not tools.stopping.is_set():
            tools.doorbell.ring(await self._lines.unattended(now_ms))

    @property
    def _is_crowded(self) -> bool:
        return len(self._turns) >= _CROWDED

    async def _beat(self) -> None:
        """While there are turns, tell that this process lives; end those that have been taken over or are long."""
        try:
            while self._turns:
                await self._renew()
                await self._call_for_help()
                now = self._tools.clock.monotonic()
                for turn, since in list(self._turns.values()):
                    if self._tools.stopping.is_set() or (self._is_crowded and now - since > _TURN_S):
                        turn.stop()
                await self._until_next_beat()
        finally:
            self._heart = None

    async def _call_for_help(self) -> None:
        """Where more waits than this process runs in a while, others are asked too; whoever is there already is not."""
        try:
            for line in list(self._turns):
                if await self._lines.waiting(line) > _MANY:
                    self._tools.doorbell.ask(DRAIN, (line, True))
        except RedisError as error:
            _log.warning("nobody was asked for help: %s", error)

    async def _until_next_beat(self) -> None:
        if self._tools.stopping.is_set():
            await asyncio.sleep(HEARTBEAT_S)
            return
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._tools.stopping.wait()
        except TimeoutError:
            return

    async def _renew(self) -> None:
        try:
            for line in await self._lines.renew(self._tools.worker_id, self._held):
                _log.warning("%s was taken over by another worker", line)
                self._held.discard(line)  # from now on, this one helps
        except RedisError as error:
            _log.warning("the store was not told that this worker lives: %s", error)
