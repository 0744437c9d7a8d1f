"""How long calls wait in a queue at most: those that have waited for longer are throttled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from invoker.pool import policy
from invoker.pool.shelf import Shelf
from samovar.clock import Clock
from samovar.errors import TooManyRequests


class Patience:
    """See the module. Has one timer a queue, which rings when the call in front may have waited too long."""

    def __init__(self, clock: Clock, timeout_s: float, init_timeout_s: float, picture: Callable[[], str]) -> None:
        """`timeout_s` holds once there are environments, `picture` says how the pool looks to those who are refused."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._init_timeout_s = init_timeout_s
        self._picture = picture
        self._loop = asyncio.get_running_loop()

    def watch(self, shelf: Shelf) -> None:
        """Calls wait there, or may."""
        if shelf.patience is None and shelf.waiters:
            ends = shelf.waiters[0].since + self._limit_s(shelf)
            shelf.patience = self._loop.call_later(max(0.0, ends - self._clock.monotonic()), self._give_up, shelf)

    def _give_up(self, shelf: Shelf) -> None:
        shelf.patience = None
        limit_s = self._limit_s(shelf)
        latest = self._clock.monotonic() - limit_s
        while shelf.waiters and shelf.waiters[0].since <= latest:
            lease = shelf.waiters.popleft()
            if not lease.is_settled:
                late = policy.late(shelf.version.name, shelf.mean_duration_s, limit_s, self._picture())
                lease.refuse(throttled(late))
        self.watch(shelf)

    def _limit_s(self, shelf: Shelf) -> float:
        init_s = policy.init_time_s(self._init_timeout_s, shelf.version.limits.timeout_s)
        return policy.patience_s(self._timeout_s, init_s, usable=shelf.ready, starting=shelf.starting)


def throttled(refusal: policy.Reject) -> TooManyRequests:
    """A refusal as the caller is told of it."""
    return TooManyRequests(refusal.message, retry_after=refusal.retry_after_s, reason=refusal.reason)
