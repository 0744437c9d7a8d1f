"""The runtime's half of the Runtime API where several events run at once: each request for the next gets another.

AWS's client for Python forks a process for each of `AWS_LAMBDA_MAX_CONCURRENCY`, others have as many threads or tasks.
Which of them answers what is theirs to know: an invocation is found by its request id alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .runtime import Invocation, OnInit, OnOutcome, RuntimeApi, State, event_response, invalid_id, not_allowed
from .server import Peer, Request, Response
from .streaming import Part


def _nothing() -> None:
    """Each event is a worker's own, and none waits behind another."""


class SharedRuntimeApi(RuntimeApi):
    """As its base, for several events."""

    def __init__(self, on_init: OnInit, on_outcome: OnOutcome, on_part: Part, max_response: int) -> None:
        """See the base."""
        super().__init__(on_init, on_outcome, on_part, max_response, on_asked=_nothing)
        self._offered: asyncio.Queue[Invocation] = asyncio.Queue()
        self._running: dict[str, Invocation] = {}
        self.on_taken: Callable[[Invocation, Peer], None] = lambda invocation, peer: None
        """Told who has been given an event."""

    def offer(self, invocation: Invocation) -> None:
        """An event for the first of the runtime's workers that wants one."""
        self._offered.put_nowait(invocation)

    async def _next(self, request: Request) -> Response:
        if self._state is State.INIT_ERROR:
            return not_allowed(self._state, State.READY)
        if self._state is State.STARTED:
            self._state = State.READY
            self._on_init(None, b"")
        invocation = await self._offered.get()
        self._running[invocation.request_id] = invocation
        self.on_taken(invocation, request.peer)
        return event_response(invocation)

    def _claim(self, request_id: str, what: str) -> Invocation | Response:
        return self._running.pop(request_id, None) or invalid_id()
