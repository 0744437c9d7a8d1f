"""How many events of a line are run at once: more while they run, half when one could not. Pure.

Additive increase and multiplicative decrease find what the function and the host have to spare, without asking either.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = 4.0
_LONGEST_HOLD_S: Final = 5.0


class Window:
    """The bound on events of one line that run at once. Times are monotonic seconds."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._size = min(FIRST, self._most)
        self._held_until = 0.0
        self._refused_in_a_row = 0

    def __repr__(self) -> str:
        return f"<Window {self.size} of {self._most:.0f}>"

    @property
    def size(self) -> int:
        """Events at once."""
        return int(self._size)

    def held_for(self, now: float) -> float:
        """Seconds for which no further event is to be begun."""
        return max(0.0, self._held_until - now)

    def ran(self) -> None:
        """One ran to an end."""
        self._refused_in_a_row = 0
        self._size = min(self._most, self._size + 1 / self._size)

    def refused(self, now: float) -> None:
        """One could not be run: throttled, or the platform is at fault. Those that were begun with it say the same."""
        if now < self._held_until:
            return
        self._refused_in_a_row += 1
        self._size = max(1.0, self._size / 2)
        self._held_until = now + min(0.1 * 2 ** min(self._refused_in_a_row, 10), _LONGEST_HOLD_S)
