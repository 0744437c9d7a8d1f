"""Making, changing and removing schedules: the rules that hold whoever asks, by AWS's API or by Samovar's own."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.events.intake import Intake
from gateway.functions.registry import Registry
from gateway.queues.store import QueueStore
from gateway.schedules.schedule import Schedule, Tick, schedule_arn
from gateway.schedules.store import ScheduleStore
from gateway.schedules.turn import Turn
from samovar.clock import Clock
from samovar.errors import CallerError, ResourceNotFound, ValidationFailed
from samovar.names import split_arn

_ATTEMPTS: Final = 8
_NAME: Final = re.compile(r"[0-9a-zA-Z_.-]{1,64}")
_FUNCTION: Final = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:[a-zA-Z0-9_-]{1,64}(:[a-zA-Z0-9$_-]+)?"
)
_QUEUE: Final = re.compile(r"arn:aws[a-zA-Z-]*:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]{1,80}(\.fifo)?")
_LONGEST_WINDOW_MIN: Final = 1440


class Conflict(CallerError):
    """There is something of that name already, or it was changed at the same time."""

    status, aws_name = 409, "ConflictException"


class Schedules:
    """What is done with schedules."""

    def __init__(
        self, store: ScheduleStore, registry: Registry, intake: Intake, clock: Clock, queues: QueueStore
    ) -> None:
        self.store = store
        self._registry = registry
        self._turn = Turn(store, intake, registry, queues)
        self._clock = clock

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.epoch()

    async def create(self, wanted: Schedule) -> Schedule:
        """Add a schedule.

        Who asks again with the same client token for the same schedule has made it already: an answer may be lost.

        Raises `Conflict` when there is one, `ResourceNotFound` without its group, and `ValidationFailed`. Whether
        there is what it starts is not asked, as EventBridge Scheduler does not: see `check_target`.
        """
        due = await self._checked(wanted)
        if await self.store.put(None, wanted, due):
            return wanted
        found = await self.store.get(wanted.arn)
        if found is None or not wanted.token or not _are_one(found, wanted):
            raise Conflict(f"Schedule {wanted.name} already exists.")
        return found

    async def update(self, wanted: Schedule) -> Schedule:
        """Put a schedule in the place of the one of its name; when that was made stays. Raises as `create`."""
        for _ in range(_ATTEMPTS):
            before = await self.get(wanted.account, wanted.region, wanted.group, wanted.name)
            after = msgspec.structs.replace(wanted, created=before.created)
            if await self.store.put(before, after, await self._checked(after)):
                return after
        raise Conflict(f"Schedule {wanted.name} is being changed by somebody else.")

    async def get(self, account: str, region: str, group: str, name: str) -> Schedule:
        """One schedule. Raises `ResourceNotFound`."""
        found = await self.store.get(schedule_arn(account, region, group, name))
        if found is None:
            raise ResourceNotFound(f"Schedule {name} does not exist.")
        return found

    async def delete(self, account: str, region: str, group: str, name: str) -> None:
        """Remove a schedule; what it has started goes on. Raises `ResourceNotFound`."""
        if not await self.store.delete(schedule_arn(account, region, group, name)):
            raise ResourceNotFound(f"Schedule {name} does not exist.")

    async def check_target(self, wanted: Schedule) -> None:
        """Raise `ResourceNotFound` for a schedule whose function does not exist."""
        if _FUNCTION.fullmatch(wanted.target.arn):
            await self._registry.get(*split_arn(wanted.target.arn))

    async def run(self, schedule: Schedule) -> str:
        """Start what a schedule starts, now and besides; gives the id of the event. Raises as `Turn.hand_in` does."""
        tick = Tick(round(self.now(), 3))
        return await self._turn.hand_in(schedule, tick, self.now(), by_hand=True)

    async def _checked(self, wanted: Schedule) -> float | None:
        """The moment that comes next. Raises `ValidationFailed` and `ResourceNotFound`."""
        check(wanted)
        now = self.now()
        due = wanted.after()(now)
        if wanted.start is not None and wanted.end is not None and wanted.end <= wanted.start:
            raise ValidationFailed("The EndDate you specify must come after the StartDate.")
        if wanted.end is not None and wanted.end <= now and wanted.enabled:
            raise ValidationFailed("The EndDate you specify must be in the future.")
        if wanted.group != "default" and self._group(wanted) not in await self.store.groups():
            raise ResourceNotFound(f"Schedule group {wanted.group} does not exist.")
        return due if wanted.enabled else None

    def _group(self, wanted: Schedule) -> str:
        return group_arn(wanted.account, wanted.region, wanted.group)


def _are_one(made: Schedule, wanted: Schedule) -> bool:
    """Whether a request made what there is."""
    return made == msgspec.structs.replace(wanted, created=made.created, modified=made.modified)


def group_arn(account: str, region: str, name: str) -> str:
    """The ARN of a group."""
    return f"arn:aws:scheduler:{region}:{account}:schedule-group/{name}"


def check(wanted: Schedule) -> None:
    """Raise `ValidationFailed` for what the model of the API lets through and makes no sense."""
    target = wanted.target
    if not _NAME.fullmatch(wanted.name):
        raise ValidationFailed(f"A schedule's name has 1 to 64 letters, digits, and _ . -, not {wanted.name!r}.")
    if not 0 <= wanted.window_min <= _LONGEST_WINDOW_MIN:
        raise ValidationFailed(f"MaximumWindowInMinutes must be 1 to {_LONGEST_WINDOW_MIN} with Mode FLEXIBLE.")
    is_function, is_queue = _FUNCTION.fullmatch(target.arn), _QUEUE.fullmatch(target.arn)
    if not is_function and not is_queue:
        raise ValidationFailed(
            f"Provided Arn is not in correct format or is not supported: {target.arn} is no function and no queue."
        )
    owner = target.arn.split(":")[4]
    if owner != wanted.account:
        raise ValidationFailed(f"{target.arn} is of account {owner}, which is not this one.")
    if is_queue and target.arn.endswith(".fifo") != (target.group is not None):
        raise ValidationFailed("SqsParameters.MessageGroupId is for FIFO queues, which cannot do without.")
    if target.dead_letter is not None and not _QUEUE.fullmatch(target.dead_letter):
        raise ValidationFailed(f"DeadLetterConfig.Arn is not the ARN of a queue: {target.dead_letter}")
    if is_function and target.input is not None:
        try:
            msgspec.json.decode(target.input)
        except msgspec.DecodeError as error:
            raise ValidationFailed(f"Target.Input must be JSON for a function: {error}") from error
