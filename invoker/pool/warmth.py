"""Records that calls do not get yet, but will in a moment: what is started for them before that.

A newer record of a version is warmed on a shelf of its own, while the one in force goes on serving
(docs/decisions/0013-ready-before-the-call.md). A version that an alias is about to point to has its shelf already.
"""

from __future__ import annotations

from collections.abc import Callable

from invoker.pool import outlook
from invoker.pool.floors import Floors
from invoker.pool.outlook import PoolSettings
from invoker.pool.roster import Roster
from invoker.pool.shelf import Shelf
from invoker.pool.shelves import Shelves
from samovar.function import FunctionVersion


class Warmth:
    """See the module. A part of the pool, on the shelves of which it works."""

    def __init__(
        self,
        shelves: Shelves,
        floors: Floors,
        roster: Roster,
        settings: PoolSettings,
        retire: Callable[[Shelf], None],
        shelf_of: Callable[[FunctionVersion], Shelf],
    ) -> None:
        """`retire` lets go of a shelf, `shelf_of` gives that of the record in force, a new one if need be."""
        self._shelves = shelves
        self._floors = floors
        self._roster = roster
        self._settings = settings
        self._retire = retire
        self._shelf_of = shelf_of

    def can_warm_up(self, version: FunctionVersion) -> bool:
        """Whether the record in force has environments that a newer one would miss, and may have one more beside."""
        old = self._shelves.get(version.key)
        return old is not None and outlook.can_precede(old, version, self._roster, self._settings)

    async def warm_up(self, version: FunctionVersion) -> None:
        """Start what a newer record needs while the one in force goes on serving; `supersede` puts it in force.

        Returns when that is ready, or cannot be. To be cancelled or superseded, lest it be kept for nobody.
        """
        shelf, given_up = self._shelves.prepare(version)
        if given_up is not None:
            self._retire(given_up)
        self._floors.watch(shelf, least=1)
        await shelf.floor.settled.wait()

    async def stand_by(self, version: FunctionVersion, beside: str) -> None:
        """Have an environment of a version that takes over calls of the version `beside`, if that has environments.

        Returns when it is ready, or cannot be. From then on it is kept as any other.
        """
        present = self._shelves.get((version.arn, beside))
        if present is None or not present.ready:
            return
        shelf = self._shelf_of(version)
        if shelf.ready:
            return
        shelf.floor.settled.clear()
        self._floors.watch(shelf, least=1)
        try:
            await shelf.floor.settled.wait()
        finally:
            self._floors.watch(shelf)
