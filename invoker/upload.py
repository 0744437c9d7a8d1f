"""An event too large for one frame: it stays with the gateway until there is an environment for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from samovar.link.wire import CHUNK_SIZE

_WINDOW_BYTES: Final = 4 * CHUNK_SIZE
"""Under way at once: enough for nobody to wait, and little to keep when a worker reads slowly."""


def _nobody(*_: object) -> None:
    """Waits for an upload that is over."""


class Upload:
    """An event on its way from a gateway to a worker, part by part; it is never whole in this process.

    `more` has the gateway send one more chunk.
    """

    __slots__ = ("_credit", "_left", "_lost", "_more", "_take", "_unasked")

    def __init__(self, size: int, more: Callable[[Upload], None]) -> None:
        self._left = self._unasked = size
        self._credit = 0
        self._more = more
        self._take: Callable[[bytes, bool], None] = _nobody
        self._lost: Callable[[], None] = _nobody

    def pull(self, take: Callable[[bytes, bool], None], lost: Callable[[], None]) -> None:
        """Have it sent: `take` gets each part, and whether it is the last; `lost` is told if the rest never comes.

        Who takes a part says when it has been `dealt_with`.
        """
        self._take, self._lost = take, lost
        self.dealt_with(_WINDOW_BYTES)

    def dealt_with(self, size: int) -> None:
        """Have as many more bytes of it sent, in whole chunks."""
        self._credit += size
        while self._credit >= CHUNK_SIZE and self._unasked > 0:
            self._credit -= CHUNK_SIZE
            self._unasked -= CHUNK_SIZE
            self._more(self)

    def arrived(self, part: bytes, is_last: bool) -> None:
        """A part of it arrived. Raises `ValueError` when the sizes do not add up to what was announced."""
        self._left -= len(part)
        if self._left < 0 or is_last != (self._left == 0):
            raise ValueError(f"an event's parts differ from its announced size by {-self._left} bytes")
        take = self._take
        if is_last:
            self._take = self._lost = _nobody  # else it and the call that waits for it would keep each other in memory
        take(part, is_last)

    def lose(self) -> None:
        """Nothing more of it will arrive."""
        lost = self._lost
        self._take = self._lost = _nobody
        lost()


Event = bytes | Upload
"""What a handler is to be given, as JSON."""
