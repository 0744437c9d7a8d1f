"""Whose output is whose, where an event may begin before the invoker knows that the one before it has ended.

The worker writes a mark into its output where an event that lay ready for it begins, once it has printed anything at
all. What stands behind a mark is held until that event has begun here, too. A forged mark mixes up lines of the
function that forges it, and no others: each environment has an output of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from samovar.logs.lines import MAX_LINE_BYTES

MARK = b"\0samovar-event "
"""Begins a mark, which ends with the event's number in decimal and a newline."""
_LONGEST_MARK = len(MARK) + 11
MOST_UNFINISHED = MAX_LINE_BYTES + _LONGEST_MARK
"""Bytes of a line that is not ended yet, so that no mark is ever cut."""


class Marks:
    """Passes lines on, each when its event has begun."""

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._present = 0
        """Number of the event that runs, as far as the invoker knows."""
        self._of = 0
        """Number of the event whose output is being read."""
        self._held: list[tuple[int, bytes]] = []

    @property
    def is_ahead(self) -> bool:
        """Whether what is being read belongs to an event that has not begun."""
        return self._of > self._present

    def take(self, line: bytes) -> None:
        """A line was read."""
        text, mark, number = line.rpartition(MARK)
        if not mark or not number.isdigit():
            self._pass_on(line)
            return
        if text:
            self._pass_on(text)
        self._of = int(number)

    def _pass_on(self, line: bytes) -> None:
        if self.is_ahead:
            self._held.append((self._of, line))
        else:
            self._deliver(line)

    def begin(self, number: int) -> None:
        """That event has begun."""
        self._present = number
        held, self._held = self._held, []
        for of, line in held:
            if of > number:
                self._held.append((of, line))
            else:
                self._deliver(line)

    def forget(self) -> None:
        """The worker that wrote them is gone; another one counts from 1."""
        held, self._held = self._held, []
        for _, line in held:
            self._deliver(line)
        self._present = self._of = 0
