"""The end of a pool: the calls that still run get some time, and no longer than that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("samovar.pool")


class Ending:
    """See the module. `busy` counts the environments in which calls run."""

    def __init__(self, busy: Callable[[], int]) -> None:
        self._busy = busy
        self._hurried = False
        self._changed = asyncio.Event()

    def look(self) -> None:
        """There may be fewer of them now."""
        self._changed.set()

    def hurry(self) -> None:
        """Wait no longer."""
        self._hurried = True
        self._changed.set()

    async def wait(self, deadline_s: float) -> None:
        """Return when no call runs any more, or when that has lasted for too long."""
        try:
            async with asyncio.timeout(deadline_s):
                while self._busy() and not self._hurried:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log.warning("running calls did not finish within %g s", deadline_s)
        if left := self._busy():
            log.warning("%d running calls are cut off", left)
