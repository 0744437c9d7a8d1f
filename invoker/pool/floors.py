"""Environments that are started before a call asks for them: provisioned ones, and the first of a version to follow.

Each shelf has a `Floor`, what it is to have. `Floors` follows the windows in which that changes, and has what failed
tried again after a pause. Whether there is room is the policy's to say, and starting is the pool's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from invoker.pool.shelf import Shelf
from samovar import provisioning
from samovar.clock import Clock
from samovar.link.operations import ProvisionedView

_LONGEST_SLEEP_S = 3600.0
"""Windows are looked at again after so long, in case the host's clock was set meanwhile."""


class Floors:
    """See the module. Has timers for versions with windows or after a failure, and none for others."""

    def __init__(self, clock: Clock, top_up: Callable[[Shelf, int], None], lowered: Callable[[Shelf], None]) -> None:
        """`top_up` is to start so many environments if there is room, `lowered` to let go of what is not needed."""
        self._clock = clock
        self._top_up = top_up
        self._lowered = lowered
        self._loop = asyncio.get_running_loop()
        self._changes: dict[Shelf, asyncio.TimerHandle | None] = {}
        """The shelves that are to have something, and when that changes."""

    def watch(self, shelf: Shelf, least: int = 0) -> None:
        """Keep a shelf to what its record says from now on, and to at least so many environments."""
        self.drop(shelf)
        provisions, now = shelf.version.provisioned, self._clock.epoch()
        before, shelf.floor.wanted = shelf.floor.wanted, max(least, provisioning.wanted(provisions, now))
        if provisions or least:
            change = provisioning.next_change(provisions, now)
            self._changes[shelf] = None
            if change is not None:
                delay_s = min(change - now, _LONGEST_SLEEP_S)
                self._changes[shelf] = self._loop.call_later(delay_s, self.watch, shelf, least)
        if shelf.floor.wanted < before:
            self._lowered(shelf)
        self._look(shelf)

    def drop(self, shelf: Shelf) -> None:
        """Keep a shelf to nothing any more."""
        timer = self._changes.pop(shelf, None)
        if timer is not None:
            timer.cancel()

    def look(self) -> None:
        """Something has changed: start what is missing."""
        for shelf in list(self._changes):
            self._look(shelf)

    def _look(self, shelf: Shelf) -> None:
        if shelf.missing > 0 and not shelf.floor.paused:
            self._top_up(shelf, shelf.missing)

    def started(self, shelf: Shelf, problem: str | None) -> None:
        """A start has come to its end, well if `problem` is `None`."""
        if shelf not in self._changes:
            return
        if problem is None:
            shelf.floor.recovered()
            if shelf.ready >= shelf.floor.wanted:
                shelf.floor.settled.set()
        else:
            self._loop.call_later(shelf.floor.failed(problem), self._resume, shelf)

    def _resume(self, shelf: Shelf) -> None:
        shelf.floor.paused = False
        self.look()

    def close(self) -> None:
        """Start nothing any more."""
        for shelf in list(self._changes):
            self.drop(shelf)
            shelf.floor.settled.set()

    def promised(self, shelf: Shelf) -> int:
        """Environments that the other versions of a function are to have."""
        arn = shelf.version.arn
        return sum(one.provisioned for one in self._changes if one is not shelf and one.version.arn == arn)

    def leave_nothing(self, shelf: Shelf) -> bool:
        """Whether all its function may have is promised to other versions: its calls get none, not even an idle one."""
        reserved = shelf.version.max_environments
        return reserved is not None and reserved // shelf.concurrency <= self.promised(shelf)

    def views(self) -> list[ProvisionedView]:
        """Of the functions that have provisioned environments."""
        return [_view(shelf) for shelf in self._changes if shelf.version.provisioned]


def _view(shelf: Shelf) -> ProvisionedView:
    version, floor = shelf.version, shelf.floor
    return ProvisionedView(
        arn=version.arn,
        version=version.version,
        serial=version.serial,
        wanted=floor.wanted,
        ready=min(shelf.ready, floor.wanted),
        problem=floor.problem if shelf.missing > 0 else "",
    )
