"""Carries out tasks that move messages out of dead-letter queues (AWS SQS API reference, StartMessageMoveTask).

A task is a record in Redis. The process that was asked for it moves a chunk at a time and holds a lease meanwhile; if
it dies, the next one that starts goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

import redis.asyncio
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, wait_exponential

from gateway.queues.ending import end
from gateway.queues.errors import InvalidParameter, MoveResourceNotFound, QueueDoesNotExist
from gateway.queues.move_store import LEASE_S, Move, MoveStore
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from samovar.clock import Clock
from samovar.errors import ServiceUnavailable
from samovar.names import new_request_id, random_hex

MOST_A_SECOND: Final = 500
_CHUNK: Final = 100
_NO_SOURCE: Final = "CouldNotDetermineMessageSource"
_log = logging.getLogger(__name__)


class Moves:
    """An async context manager: inside it, tasks run in the background."""

    def __init__(self, queues: Queues, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._store = MoveStore(client)
        self._mover = random_hex(8)
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Go on with what others have left."""
        self._begin(self._adopt())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what is not finished to whoever starts next."""
        for task in list(self._running):
            await end(task)

    async def start(self, source: str, destination: str | None, rate: int | None) -> Move:
        """Begin to move messages. Raises `MoveResourceNotFound` and `InvalidParameter`."""
        await self._check(source, "SourceArn")
        if not await self._queues.store.sources(source):
            raise InvalidParameter("Source queue must be configured as a Dead Letter Queue.")
        if destination is not None:
            await self._check(destination, "DestinationArn")
            if destination == source or destination.endswith(".fifo") != source.endswith(".fifo"):
                raise InvalidParameter("Destination queue must be another queue of the same type as the source queue.")
        if rate is not None and not 1 <= rate <= MOST_A_SECOND:
            reason = f"Must be between 1 and {MOST_A_SECOND}, if provided."
            raise InvalidParameter(
                f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: {reason}"
            )
        move = Move(
            id=new_request_id(),
            source=source,
            destination=destination or "",
            rate=rate or 0,
            to_move=(await self._queues.counts(source)).visible,
            started_ms=int(self._clock.epoch() * 1000),
        )
        if not await self._store.start(move):
            raise InvalidParameter(
                "There is already a task running. "
                "Only one active task is allowed for a source queue arn at a given time."
            )
        self._begin(self._carry_out(move.id))
        return move

    async def cancel(self, task: str, source: str) -> int:
        """Have a task stop; how many messages it has moved so far. Raises `MoveResourceNotFound`."""
        await self._check(source, "SourceArn")
        move = await self._store.get(task)
        moved = None if move is None or move.source != source else await self._store.cancel(task)
        if moved is None:
            raise MoveResourceNotFound("Task does not exist.")
        return moved

    async def latest(self, source: str, most: int) -> list[Move]:
        """The last tasks of a queue, the newest first. Raises `MoveResourceNotFound`, `InvalidParameter`."""
        await self._check(source, "SourceArn")
        return await self._store.latest(source, most)

    async def _check(self, arn: str, parameter: str) -> None:
        if QueueArn.parse(arn) is None:
            raise InvalidParameter(
                f"You must use this format to specify the {parameter}: "
                "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
            )
        try:
            await self._queues.get(arn)
        except QueueDoesNotExist as error:
            raise MoveResourceNotFound(
                f"The resource that you specified for the {parameter} parameter doesn't exist."
            ) from error

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="moving messages")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _adopt(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ServiceUnavailable),
            wait=wait_exponential(multiplier=0.1, max=5.0),
            before_sleep=before_sleep_log(_log, logging.INFO),
        ):
            with attempt:
                for task in await self._store.unfinished():
                    self._begin(self._carry_out(task))

    async def _carry_out(self, task: str) -> None:
        """A task, from where it is to its end, unless another process does it. It waits for a store that is away."""
        while True:
            try:
                move = await self._store.get(task)
                if move is None or move.status not in ("RUNNING", "CANCELLING"):
                    return
                pause = await self._step(move) if await self._store.hold(task, self._mover) else LEASE_S
            except ServiceUnavailable as error:
                _log.info("moving messages out of a dead-letter queue has to wait: %s", error)
                pause = 1.0
            if pause is None:
                return
            await asyncio.sleep(pause)

    async def _step(self, move: Move) -> float | None:
        """One chunk; seconds until the next one, or `None` at the end."""
        left = move.to_move - move.moved
        if move.status == "CANCELLING":
            await self._store.finish(move, "CANCELLED")
            return None
        try:
            moved, missing = await self._queues.move(
                move.source, move.destination or None, min(_CHUNK, left, move.rate or _CHUNK)
            )
        except QueueDoesNotExist as error:
            await self._store.finish(move, "FAILED", error.code)
            return None
        await self._store.add(move.id, moved)
        if missing is not None:
            await self._store.finish(move, "FAILED", QueueDoesNotExist.code if missing else _NO_SOURCE)
        elif moved == 0 or moved >= left:
            await self._store.finish(move, "COMPLETED")
        else:
            return _pause(moved, move.rate)
        return None


def _pause(moved: int, rate: int) -> float:
    """Seconds until the next chunk, so that no more than `rate` are moved a second; 0 is no limit."""
    return moved / rate if rate else 0.0
