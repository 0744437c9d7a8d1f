"""How many environments one version is to have whether it is called or not, and what keeps it from having them."""

from __future__ import annotations

import asyncio

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_MOST_DOUBLINGS = 10


class Floor:
    """See the module."""

    def __init__(self) -> None:
        self.wanted = 0
        self.paused = False
        """Whether nothing is to be tried for a while, because it has just failed."""
        self.problem = ""
        """Why there are fewer, for people."""
        self.settled = asyncio.Event()
        """Set once they have been there, or a start has failed, or there was no room."""
        self._failures = 0

    def recovered(self) -> None:
        """A start went well."""
        self._failures, self.problem, self.paused = 0, "", False

    def failed(self, problem: str) -> float:
        """A start failed; gives the seconds of the pause that begins, twice as long each time."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        self.problem, self.paused = problem, True
        self.settled.set()
        return pause_s

    def refused(self, problem: str) -> None:
        """There is no room now. Whoever makes some has it looked at again."""
        self.problem = problem
        self.settled.set()
