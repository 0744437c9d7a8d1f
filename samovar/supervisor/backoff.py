"""How long to wait before a child that died is started again. No I/O, no clock."""

from __future__ import annotations


class Backoff:
    """Waits that double with every early death, and begin anew after a child has lived `steady_s` seconds.

    The longest wait is part of how soon what was under way goes on after a series of deaths.
    """

    def __init__(self, first_s: float = 0.1, longest_s: float = 5.0, steady_s: float = 20.0) -> None:
        self._first = first_s
        self._longest = longest_s
        self._steady = steady_s
        self._next = first_s

    def after(self, lived_s: float) -> float:
        """Seconds to wait, given how long the child lived this time."""
        if lived_s >= self._steady:
            self._next = self._first
        wait, self._next = self._next, min(self._next * 2, self._longest)
        return wait
