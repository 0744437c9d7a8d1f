"""How environments leave the pool: told to stop for one of the reasons there are, then off every list.

What an environment that was evicted was worth is kept here, because what is worth less than it would have gone, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from invoker.environments.environment import Environment
from invoker.pool import keepalive, policy
from invoker.pool.roster import Roster
from invoker.pool.shelf import Shelf
from invoker.pool.shelves import Shelves
from invoker.pool.tasks import Tasks
from samovar.clock import Clock
from samovar.errors import SamovarError
from samovar.invocation import ColdReason

log = logging.getLogger("samovar.pool")


class Departures:
    """Ends environments; the pool decides which."""

    def __init__(
        self, roster: Roster, shelves: Shelves, tasks: Tasks, clock: Clock, on_gone: Callable[[], None]
    ) -> None:
        """`on_gone` is called when one has ended and its memory is free."""
        self._roster = roster
        self._shelves = shelves
        self._tasks = tasks
        self._clock = clock
        self._on_gone = on_gone
        self.worth = 0.0
        """The clock of `keepalive.priority`: what the last evicted environment was worth."""

    def evict(self, ids: Sequence[str], seen: Sequence[policy.IdleEnvironment]) -> None:
        """End these of the idle ones that were seen, because others need their room."""
        self.worth = keepalive.clock_after(self.worth, (one.priority for one in seen if one.id in ids))
        for environment_id in ids:
            self.depart(environment_id, "evicted to make room", ColdReason.EVICTED)

    def depart(self, environment_id: str, why: str, ending: ColdReason) -> None:
        """End an idle environment, which is on its shelf."""
        environment = self._roster[environment_id]
        shelf = self._shelves.home(environment)
        assert shelf is not None, "an idle environment is on its shelf"
        shelf.depart(environment, self._clock.monotonic())
        self.stop(environment, why, ending)

    def died_idle(self, environment: Environment) -> None:
        """One that may be idle has ended by itself."""
        shelf = self._shelves.home(environment)
        if shelf is not None and environment in shelf.idle:
            shelf.idle.remove(environment)
            self.stop(environment, "died while idle", ColdReason.CRASH)

    def stop(self, environment: Environment, why: str, ending: ColdReason | None = None) -> None:
        """End an environment that no lease and no shelf holds; `ending` is why the next call of its version is cold."""
        shelf = self._shelves.home(environment)
        if shelf is not None:
            shelf.ending += 1
            shelf.last_end = ending or shelf.last_end
        self._tasks.spawn(self._destroy(environment, shelf, why))

    async def _destroy(self, environment: Environment, shelf: Shelf | None, why: str) -> None:
        log.debug("%r stops: %s", environment, why)
        try:
            await environment.stop(why)
        except SamovarError as error:
            # Its isolation could not remove it; the sweep at the next start will.
            log.error("environment %s could not be removed: %s", environment.id, error.message)
        self._roster.remove(environment)
        if shelf is not None:
            shelf.live -= 1
            shelf.ending -= 1
            shelf.clocks.pop(environment.id, None)
            if shelf.live == 0:
                shelf.uses = 0
        self._on_gone()
