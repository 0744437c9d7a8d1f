"""How many calls an environment runs at once, and which of them used what, where that is more than one.

Most environments run one call at a time and have none of this. Functions that bring their own runtime may ask for more
(`AWS_LAMBDA_MAX_CONCURRENCY`); see docs/decisions/0026-several-calls-in-one-environment.md.
"""

from __future__ import annotations


class Slots:
    """The places of one environment, from one start of its worker to the next."""

    def __init__(self, limit: int) -> None:
        """`limit` is how many events the worker takes at once."""
        self.limit = limit
        self.taken = 0
        self.is_closed = False
        """It takes no further call: the worker is lost, or must go once the other calls have ended."""
        self._cpu_us: dict[str, float] = {}
        """Request id of each running call → what it has used so far."""

    def has_room(self, most: int) -> bool:
        """Whether one more call may join, of at most `most` at once."""
        return not self.is_closed and self.taken < min(self.limit, most)

    def take(self) -> None:
        """A call joins."""
        self.taken += 1

    def leave(self, *, worker_lost: bool) -> bool:
        """A call is over; whether the worker must go when the last one is."""
        self.taken -= 1
        self.is_closed = self.is_closed or worker_lost
        return self.is_closed

    def book(self, cpu_us: int) -> None:
        """What the environment has used since this was last told is shared by the calls that ran meanwhile.

        Nobody can tell from outside which of them used it; equal parts are fair, and their sum is right.
        """
        for request_id in self._cpu_us:
            self._cpu_us[request_id] += cpu_us / len(self._cpu_us)

    def begin(self, request_id: str) -> None:
        """A call begins to run."""
        self._cpu_us[request_id] = 0.0

    def end(self, request_id: str) -> int:
        """A call has run; its part in microseconds of CPU."""
        return round(self._cpu_us.pop(request_id, 0.0))
