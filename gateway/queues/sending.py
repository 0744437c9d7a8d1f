"""Sends to one queue that come at the same time go to Redis together: one script for all that came during the last one.

A script costs its caller and Redis more than a message in it does, and senders are many where it matters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.queues.errors import RequestThrottled, SqsError
from gateway.queues.message import Outgoing, Sent

Posting = tuple[Outgoing, str]
"""A message and its sender."""
Outcome = Sent | SqsError
Store = Callable[[str, Sequence[Posting]], Awaitable[list[Outcome]]]
MOST_TOGETHER: Final = 200
"""Messages in one script, so that it does not keep others from Redis for long."""
MOST_CHARACTERS: Final = 4 * 1024 * 1024
MOST_WAITING: Final = 64 * 1024 * 1024
"""Characters of bodies that may wait for the store in one process: as much as waits elsewhere in a gateway."""


class Sending:
    """Brings messages to their queues in the order in which they come."""

    def __init__(self, store: Store) -> None:
        """`store` puts messages into one queue, with one script."""
        self._store = store
        self._waiting: dict[str, deque[tuple[list[Posting], asyncio.Future[list[Outcome]]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._characters = 0
        """Of all that has been asked for and is not answered yet."""

    async def send(self, arn: str, postings: list[Posting]) -> list[Outcome]:
        """What became of each. Raises what `store` raises, and `RequestThrottled` when too much waits for it."""
        characters = _characters(postings)
        if self._characters and self._characters + characters > MOST_WAITING:
            raise RequestThrottled("Too many messages wait for the store already; try again later.")
        self._characters += characters
        try:
            return await self._sent(arn, postings)
        finally:
            self._characters -= characters

    async def _sent(self, arn: str, postings: list[Posting]) -> list[Outcome]:
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(arn)
        if waiting is None:
            waiting = self._waiting[arn] = deque()
            task = asyncio.create_task(self._drain(arn), name="sending to a queue")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waiting.append((postings, done))
        return await done

    async def _drain(self, arn: str) -> None:
        waiting = self._waiting[arn]
        try:
            while waiting:
                await self._send_some(arn, waiting)
        finally:
            del self._waiting[arn]
            for _, done in waiting:  # only when the process ends
                done.cancel()

    async def _send_some(self, arn: str, waiting: deque[tuple[list[Posting], asyncio.Future[list[Outcome]]]]) -> None:
        together: list[Posting] = []
        shares: list[tuple[int, asyncio.Future[list[Outcome]]]] = []
        characters = 0
        while waiting and (not together or len(together) + len(waiting[0][0]) <= MOST_TOGETHER):
            size = _characters(waiting[0][0])
            if together and characters + size > MOST_CHARACTERS:
                break
            postings, done = waiting.popleft()
            together += postings
            characters += size
            shares.append((len(postings), done))
        try:
            outcomes = await self._store(arn, together)
        except BaseException as error:
            for _, done in shares:
                if not done.done():
                    done.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        at = 0
        for count, done in shares:
            if not done.done():
                done.set_result(outcomes[at : at + count])
            at += count


def _characters(postings: Sequence[Posting]) -> int:
    return sum(len(message.body) for message, _ in postings)
