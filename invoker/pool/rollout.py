"""Newer records of versions, from being declared to being in force.

A record comes into force at once when nothing would miss it. When the one before it has environments, those go on
answering until the newer one has some of its own, or it is known that it cannot have any, or a deadline has passed:
a deployment costs no call a cold start, and nobody has to wait for code that fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NamedTuple

from invoker.pool.pool import Pool
from invoker.pool.versions import Key, Versions
from samovar.clock import Clock
from samovar.function import FunctionVersion
from samovar.link.operations import Forget, Warm

log = logging.getLogger("samovar.invoker")


class _Rollout(NamedTuple):
    version: FunctionVersion
    task: asyncio.Task[None]


class Rollouts:
    """See the module. The one who tells the pool of records."""

    def __init__(self, versions: Versions, pool: Pool, clock: Clock, deadline_s: float) -> None:
        """A record is in force `deadline_s` seconds after it was declared, however warm it is."""
        self._versions = versions
        self._pool = pool
        self._clock = clock
        self._deadline_s = deadline_s
        self._under_way: dict[Key, _Rollout] = {}

    def declare(self, version: FunctionVersion) -> None:
        """Take note of a record, unless a newer one is known; it is in force now or a little later."""
        if not self._versions.declare(version):
            return
        former = self._under_way.pop(version.key, None)
        if former is not None:
            former.task.cancel()
        if self._pool.warmth.can_warm_up(version):
            task = asyncio.create_task(self._roll_out(version), name=f"rollout-{version.name}")
            self._under_way[version.key] = _Rollout(version, task)
        else:
            self._put_in_force(version)

    async def _roll_out(self, version: FunctionVersion) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._pool.warmth.warm_up(version)
        except TimeoutError:
            log.warning(
                "%s has no environment of its new record after %g s; its calls wait for one from now on",
                version.qualified_arn,
                self._deadline_s,
            )
        del self._under_way[version.key]
        self._put_in_force(version)

    def _put_in_force(self, version: FunctionVersion) -> None:
        self._versions.put_in_force(version)
        self._pool.supersede(version)

    async def stand_by(self, order: Warm) -> None:
        """Have an environment of a version that is about to take calls, within the time that is given for it."""
        self.declare(order.version)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(order.within_s):
                await self._pool.warmth.stand_by(order.version, order.beside)

    async def settled(self, version: FunctionVersion, within_s: float) -> None:
        """Return when calls get this record or a newer one, or it is gone, at the latest after `within_s` seconds."""
        deadline = self._clock.monotonic() + within_s
        while (rollout := self._under_way.get(version.key)) is not None:
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0 or self._versions.serial_in_force(version.key) >= version.serial:
                return
            await asyncio.wait([rollout.task], timeout=left_s)

    def is_settled(self, key: Key) -> bool:
        """Whether calls get the newest record of a version."""
        return key not in self._under_way

    def forget(self, order: Forget) -> None:
        """A function or a version of it is gone."""
        for key in self._versions.forget(order):
            rollout = self._under_way.pop(key, None)
            if rollout is not None:
                rollout.task.cancel()
            self._pool.forget(key)

    async def close(self) -> None:
        """Roll nothing out any more."""
        tasks = [rollout.task for rollout in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
