"""One turn of the beat: what is due is handed in, under the name of its moment, and then the next moment is noted.

A beat that dies in between hands the same moments in again when it comes back, and they are dropped as taken already
(`NewEvent.once`). So no moment is lost, and none runs twice.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from gateway.events import keys
from gateway.events.event import EventHead, NewEvent
from gateway.events.intake import Intake
from gateway.functions.registry import Registry
from gateway.queues.errors import QueueDoesNotExist
from gateway.queues.store import QueueStore
from gateway.schedules import payloads
from gateway.schedules.schedule import Schedule, Tick, plan
from gateway.schedules.store import Due, ScheduleStore
from samovar.errors import CallerError, SamovarError, TooManyRequests
from samovar.names import new_request_id, split_arn

MAX_AT_ONCE: Final = 200
AGAIN_S: Final = 5.0
"""After which a moment is tried again that could not be handed in."""
_SOURCE: Final = "aws:scheduler"
_DELIVERED: Final = "samovar:schedule"
_log = logging.getLogger("samovar.schedules")


class _Message(NamedTuple):
    """What goes out for a moment."""

    once: str
    request_id: str
    body: bytes
    now: float


class Turn:
    """Hands in what is due."""

    def __init__(self, store: ScheduleStore, intake: Intake, registry: Registry, queues: QueueStore) -> None:
        self._store = store
        self._intake = intake
        self._registry = registry
        self._queues = queues

    async def run(self, now: float) -> None:
        """Hand in everything that is due now (epoch seconds). Raises `ServiceUnavailable` when the store is away."""
        while found := await self._store.due(now, MAX_AT_ONCE):
            for due in found:
                await self._serve(due, now)

    async def _serve(self, due: Due, now: float) -> None:
        schedule, moment = due
        planned = plan(schedule, moment, now)
        try:
            for tick in planned.ticks:
                await self._hand_in_or_drop(schedule, tick, now)
        except SamovarError as error:
            _log.warning("schedule %s is late: %s", schedule.arn, error.message)
            await self._store.put_off(schedule, now + AGAIN_S)
            return
        if planned.skipped:
            _log.warning("schedule %s: %d missed moments are not caught up", schedule.arn, planned.skipped)
        advanced = await self._store.advance(schedule, moment, planned.following)
        if advanced and planned.following is None and schedule.after_completion == "DELETE":
            await self._store.delete(schedule.arn)

    async def _hand_in_or_drop(self, schedule: Schedule, tick: Tick, now: float) -> None:
        try:
            await self.hand_in(schedule, tick, now)
        except CallerError as error:  # it will not be better next time
            if isinstance(error, TooManyRequests):
                raise
            _log.warning("schedule %s: %s", schedule.arn, error.message)

    async def hand_in(self, schedule: Schedule, tick: Tick, now: float, *, by_hand: bool = False) -> str:
        """Start a schedule's target for a moment, unless it was for that one; gives the event's id.

        What is started `by_hand` is so besides what is due, however often.

        Raises what the intake raises, and `ResourceNotFound` or `QueueDoesNotExist` for a target that is gone when
        nobody is to be told.
        """
        target, body = schedule.target, payloads.payload(schedule, tick)
        request_id = new_request_id() if by_hand else payloads.request_id(schedule, tick)
        message = _Message("" if by_hand else tick.name(schedule), request_id, body, now)
        try:
            await self._find(target.arn)
        except CallerError as error:
            if target.dead_letter is None:
                raise
            told = payloads.dead_letter(schedule, tick, request_id, error)
            await self._send(schedule, message, target.dead_letter, told)
            return request_id
        if not _is_function(target.arn):
            await self._send(schedule, message, target.arn, {})
            return request_id
        arn, qualifier = split_arn(target.arn)
        await self._intake.accept(
            NewEvent(
                arn=arn,
                qualifier=qualifier,
                payload=body,
                request_id=request_id,
                source=_SOURCE,
                once=message.once,
            )
        )
        return request_id

    async def _find(self, arn: str) -> None:
        """Raise `ResourceNotFound` or `QueueDoesNotExist` for a target that is gone."""
        if _is_function(arn):
            await self._registry.get(*split_arn(arn))
        elif await self._queues.get(arn) is None:
            raise QueueDoesNotExist(f"The specified queue does not exist: {arn}")

    async def _send(self, schedule: Schedule, message: _Message, queue: str, told: dict[str, str]) -> None:
        """Have a queue be sent something, in the way results of events are; `told` goes beside it."""
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}
        group = schedule.target.group if queue == schedule.target.arn else None
        head = EventHead(
            message.request_id,
            schedule.arn if group is None else f"{schedule.arn}:{group}",  # a FIFO queue's group is its last part
            None,
            _DELIVERED,
            int(message.now * 1000),
            target=queue,
            attributes=attributes,
        )
        self._intake.check(message.body)
        await self._intake.put(keys.DELIVERIES, head, message.body, message.once)


def _is_function(arn: str) -> bool:
    return arn.split(":")[2] == "lambda"
