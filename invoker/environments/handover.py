"""Calls that lie ready in an environment that is still busy: given to it early, and taken back when that was wrong.

While calls wait for short ones, an environment is handed its next ones before it asks. They are in its mailbox
(`mailbox.py`) then, and in its `followers`, which only this file changes. One that lies ready has not begun: it begins
when the answer before it arrives, and until then it can be taken back, unless the worker was quicker. Then that answer
is on its way, and the call has begun in truth.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from invoker.environments.environment import Environment
from invoker.environments.lifecycle import Event
from invoker.pool import policy
from invoker.pool.crowd import Crowd
from invoker.pool.lease import Lease
from invoker.pool.shelf import Shelf
from samovar.clock import Clock


class Handover:
    """See the module. The pool asks for everything that happens here."""

    def __init__(self, clock: Clock, crowd: Crowd, returned: Callable[[Shelf], None]) -> None:
        """`returned` is told, later, that calls were taken back and wait as others do."""
        self._clock = clock
        self._crowd = crowd
        self._returned = returned
        self._loop = asyncio.get_running_loop()

    def top_up(self, shelf: Shelf, environment: Environment) -> None:
        """Lay calls that wait ready in an environment that has just begun one, if that serves them sooner."""
        followers = environment.followers
        most = policy.lying_ready(
            mean_duration_s=shelf.mean_duration_s,
            starting=shelf.starting,
            is_saturated=self._crowd.is_saturated(environment.busy_since),
        )
        if len(followers) >= most or self._crowd.holds_back(shelf, shelf.busy - 1):
            return
        while shelf.waiters and len(followers) < most:
            lease = shelf.waiters[0]
            if not lease.is_settled:
                lease.number = lease.lay(environment) if lease.lay is not None else 0
                if not lease.number:
                    return
                self._enrol(shelf, environment, lease)
            shelf.waiters.popleft()

    def _enrol(self, shelf: Shelf, environment: Environment, lease: Lease) -> None:
        lease.environment = environment
        environment.followers.append(lease)
        if environment not in shelf.crews:
            shelf.crews.add(environment)
            environment.link.output.is_ambiguous = lambda: self._is_ambiguous(shelf, environment)
        if shelf.lookout is None:
            shelf.lookout = self._loop.call_later(self._patience(shelf), self._look, shelf)

    def follow(self, shelf: Shelf | None, environment: Environment, *, worker_lost: bool) -> bool:
        """A call in an environment is over: begin the next one that lies ready there. Whether there is one."""
        if worker_lost:
            environment.give_up_worker()
            self._withdraw_from(shelf, environment)
        if not environment.followers:
            return False
        lease = environment.followers.popleft()
        environment.fire(Event.NEXT)
        lease.queue_ms = (self._clock.monotonic() - lease.since) * 1000
        lease.grant(environment)
        if shelf is not None and shelf.waiters and not worker_lost:
            self.top_up(shelf, environment)
        return True

    def take_back(self, shelf: Shelf) -> None:
        """Have all that lies ready of a version wait as other calls do, but for what has begun."""
        for environment in tuple(shelf.crews):
            self._withdraw_from(shelf, environment)
        shelf.crews.clear()

    def recall(self, shelf: Shelf, lease: Lease) -> bool:
        """Have one call wait as others do that may lie ready; whether it does, or has begun."""
        if lease.number:
            self._withdraw_from(shelf, lease.environment)
        return not lease.number

    def relieve(self, shelf: Shelf) -> None:
        """An environment is idle: calls that lie ready elsewhere can have it, if the cores have time for one more."""
        if shelf.crews:
            now = self._clock.monotonic()
            self._free(shelf, now, self._patience(shelf) if self._crowd.is_saturated(now) else 0.0)

    def _patience(self, shelf: Shelf) -> float:
        return policy.stuck_after(shelf.mean_duration_s)

    def _free(self, shelf: Shelf, now: float, after_s: float) -> None:
        """Take back what lies behind calls that have run for so long."""
        for environment in shelf.crews:
            if environment.followers and now - environment.busy_since >= after_s:
                self._withdraw_from(shelf, environment)

    def _withdraw_from(self, shelf: Shelf | None, environment: Environment) -> None:
        """Take back what lies ready in one environment. Without a shelf nothing does: it was taken back before."""
        if shelf is None or not environment.followers:
            return
        numbers = set(environment.take_back())
        if not numbers:
            return
        returned = [lease for lease in environment.followers if lease.number in numbers]
        environment.followers = deque(lease for lease in environment.followers if lease.number not in numbers)
        for lease in returned:
            lease.number = 0
        if shelf.waiters and shelf.waiters[0].since < returned[-1].since:
            shelf.waiters = deque(sorted((*returned, *shelf.waiters), key=lambda one: one.since))
        else:
            shelf.waiters.extendleft(reversed(returned))
        self._loop.call_soon(self._returned, shelf)

    def _look(self, shelf: Shelf) -> None:
        """Take back what is stuck, and come again while anything lies ready."""
        shelf.lookout = None
        self._free(shelf, self._clock.monotonic(), self._patience(shelf))
        shelf.crews = {one for one in shelf.crews if one.followers}
        if shelf.crews:
            shelf.lookout = self._loop.call_later(self._patience(shelf), self._look, shelf)

    def _is_ambiguous(self, shelf: Shelf, environment: Environment) -> bool:
        """Whether output of an environment may be of a call that has not begun here; see `OutputListener`."""
        if environment.followers:
            self._withdraw_from(shelf, environment)
        return bool(environment.followers)
