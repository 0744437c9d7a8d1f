"""The beat's turns on a real store: what is due is handed in once, whatever dies in between."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.events import keys
from gateway.events.event import EventHead, NewEvent, decode_head
from gateway.events.intake import Intake
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues
from gateway.queues.store import QueueStore
from gateway.schedules.schedule import Schedule, Target
from gateway.schedules.schedules import Conflict, Schedules
from gateway.schedules.store import Due, ScheduleStore
from gateway.schedules.turn import AGAIN_S, Turn
from samovar.clock import ManualClock, SystemClock
from samovar.errors import ResourceNotFound, ServiceUnavailable, ValidationFailed
from tests.gateway.builders import record
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")

MADE = 1_800_000_000.0
MINUTE = 60.0
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:report"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:work"


def schedule(name: str = "often", target: str = FUNCTION, **changes: Any) -> Schedule:
    return Schedule(
        account="123456789012",
        region="us-east-1",
        name=name,
        expression=changes.pop("expression", "rate(1 minute)"),
        target=Target(arn=target, dead_letter=changes.pop("dead_letter", None)),
        created=MADE,
        modified=MADE,
        **changes,
    )


class Crash(BaseException):
    """The process is killed."""


class Room:
    """A beat's surroundings."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.store = ScheduleStore(client)
        self.registry = Registry(Store(client, "123456789012", "us-east-1"))
        self.intake = Intake(client, lambda lines: None, 10_000)
        self.queues = QueueStore(client)

    async def add(self, made: Schedule) -> Schedule:
        assert await self.store.put(None, made, made.after()(MADE))
        return made

    async def turn(self, now: float) -> None:
        await Turn(self.store, self.intake, self.registry, self.queues).run(now)

    async def events(self, line: str = FUNCTION) -> list[tuple[EventHead, bytes]]:
        return [(decode_head(fields[b"h"]), fields[b"p"]) for _, fields in await self.client.xrange(keys.line(line))]

    async def ids(self) -> list[str]:
        return [head.id for head, _ in await self.events()]


@pytest.fixture
async def room(client: redis.asyncio.Redis) -> Room:
    made = Room(client)
    await made.registry.create(record("report"))
    return made


async def test_what_is_due_is_handed_in_and_what_comes_next_is_noted(room: Room) -> None:
    made = await room.add(schedule())
    await room.turn(MADE + 59.9)
    assert await room.events() == []
    await room.turn(MADE + 60.5)
    ((head, payload),) = await room.events()
    assert (head.arn, head.source, head.trigger) == (FUNCTION, "aws:scheduler", "schedule")
    assert msgspec.json.decode(payload)["resources"] == [made.arn]
    await room.turn(MADE + 61)
    assert len(await room.events()) == 1
    assert await room.store.moments() == {made.arn: MADE + 120}


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_beat_that_is_killed_loses_no_moment_and_runs_none_twice(room: Room, where: str) -> None:
    """Killed between handing in and noting it; and before handing in."""
    await room.add(schedule())
    accept = room.intake.accept

    async def dying(event: NewEvent) -> None:
        if where == "after":
            await accept(event)
        raise Crash

    room.intake.accept = dying  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await room.turn(MADE + 60)
    room.intake.accept = accept  # type: ignore[method-assign]
    successor = Room(room.client)
    await successor.turn(MADE + 62)
    assert len(await room.ids()) == 1
    await successor.turn(MADE + 120)
    assert len(set(await room.ids())) == 2


async def test_two_beats_at_once_run_nothing_twice(room: Room) -> None:
    for number in range(20):
        await room.add(schedule(f"s-{number}"))
    other = Room(room.client)
    await asyncio.gather(room.turn(MADE + 60), other.turn(MADE + 60))
    ids = await room.ids()
    assert len(ids) == len(set(ids)) == 20


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.sampled_from(["lives", "before", "after"]), min_size=3, max_size=6))
async def test_through_every_series_of_deaths_each_moment_runs_once(valkey: Valkey, deaths: list[str]) -> None:
    client: Any = connect(valkey.url)
    await client.flushall()
    try:
        room = Room(client)
        await room.registry.create(record("report"))
        await room.add(schedule(catch_up="all"))
        for number, death in enumerate(deaths, start=1):
            beat = Room(client)
            if death != "lives":
                accept = beat.intake.accept

                async def dying(event: NewEvent, accept: Any = accept, death: str = death) -> None:
                    if death == "after":
                        await accept(event)
                    raise Crash

                beat.intake.accept = dying  # type: ignore[method-assign]
            try:
                await beat.turn(MADE + number * MINUTE)
            except Crash:
                continue
        await Room(client).turn(MADE + (len(deaths) + 1) * MINUTE)
        sent = [msgspec.json.decode(payload)["time"] for _, payload in await room.events()]
        assert len(sent) == len(set(sent)) == len(deaths) + 1
    finally:
        await client.aclose()


async def test_while_the_store_cannot_take_it_a_moment_is_put_off(room: Room) -> None:
    made = await room.add(schedule())
    accept = room.intake.accept

    async def away(event: NewEvent) -> None:
        raise ServiceUnavailable("the store is away")

    room.intake.accept = away  # type: ignore[method-assign]
    await room.turn(MADE + 60)
    room.intake.accept = accept  # type: ignore[method-assign]
    await room.turn(MADE + 60 + AGAIN_S - 0.1)
    assert await room.events() == []
    await room.turn(MADE + 60 + AGAIN_S)
    assert len(await room.events()) == 1
    assert await room.store.moments() == {made.arn: MADE + 120}


async def test_a_function_that_is_gone_is_told_to_the_dead_letter_queue_and_the_rest_goes_on(room: Room) -> None:
    await room.add(schedule("a-gone", f"{FUNCTION}-gone"))
    await room.add(schedule("b-gone", f"{FUNCTION}-gone", dead_letter=QUEUE))
    await room.add(schedule("c-there"))
    await room.turn(MADE + 60)
    assert len(await room.events()) == 1
    ((head, _),) = await room.events(keys.DELIVERIES)
    assert head.target == QUEUE
    told = {name: given["StringValue"] for name, given in head.attributes.items()}
    assert told.pop("ERROR_MESSAGE").startswith("Function not found")
    assert told == {
        "ERROR_CODE": "ResourceNotFoundException",
        "EXECUTION_ID": head.id,
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": "2027-01-15T08:01:00Z",
        "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/b-gone",
        "TARGET_ARN": f"{FUNCTION}-gone",
    }
    assert all(moment == MADE + 120 for moment in (await room.store.moments()).values())


async def test_a_queue_that_is_gone_is_told_to_the_dead_letter_queue(room: Room) -> None:
    await room.add(schedule("gone", QUEUE, dead_letter=f"{QUEUE}-dead"))
    await room.add(schedule("silent", QUEUE))
    await room.turn(MADE + 60)
    ((head, _),) = await room.events(keys.DELIVERIES)
    assert (head.target, head.attributes["ERROR_CODE"]["StringValue"]) == (f"{QUEUE}-dead", "QueueDoesNotExist")
    assert all(moment == MADE + 120 for moment in (await room.store.moments()).values())


async def test_a_queue_is_sent_the_input(room: Room) -> None:
    await Queues(room.client, SystemClock(), "123456789012").create(
        QueueArn("us-east-1", "123456789012", "work"), {}, {}
    )
    made = schedule(target=QUEUE)
    await room.add(msgspec.structs.replace(made, target=Target(arn=QUEUE, input="plain text")))
    await room.turn(MADE + 60)
    ((head, payload),) = await room.events(keys.DELIVERIES)
    assert (head.target, payload) == (QUEUE, b"plain text")


async def test_what_is_over_is_deleted_when_it_says_so(room: Room) -> None:
    for after in ("NONE", "DELETE"):
        await room.add(schedule(f"once-{after}", expression="at(2027-01-15T08:01:00)", after_completion=after))
    await room.turn(MADE + 60)
    assert len(await room.events()) == 2
    assert [one.name for one in await room.store.all()] == ["once-NONE"]
    assert await room.store.moments() == {}


async def test_a_schedule_that_was_changed_or_removed_meanwhile_is_not_moved_on(room: Room) -> None:
    made = await room.add(schedule())
    due = Due(made, MADE + 60)
    assert await room.store.put(made, msgspec.structs.replace(made, expression="rate(1 hour)"), MADE + 3600)
    assert not await room.store.advance(due.schedule, due.moment, MADE + 120)
    assert await room.store.moments() == {made.arn: MADE + 3600}
    assert await room.store.delete(made.arn)
    assert not await room.store.advance(due.schedule, MADE + 3600, MADE + 7200)
    assert await room.store.moments() == {}


async def test_who_asks_again_with_the_same_token_has_made_it_already(room: Room, clock: ManualClock) -> None:
    schedules = Schedules(room.store, room.registry, room.intake, clock, room.queues)
    now = clock.epoch()
    made = msgspec.structs.replace(schedule(), created=now, modified=now, token="t")
    await schedules.create(made)
    again = msgspec.structs.replace(made, created=now + 1, modified=now + 1)
    assert (await schedules.create(again)).created == now
    for other in ({"token": "u"}, {"expression": "rate(2 minutes)"}):
        with pytest.raises(Conflict):
            await schedules.create(msgspec.structs.replace(again, **other))


async def test_the_rules_of_making_schedules(room: Room, clock: ManualClock) -> None:
    schedules = Schedules(room.store, room.registry, room.intake, clock, room.queues)
    now = clock.epoch()
    made = msgspec.structs.replace(schedule(), created=now, modified=now)
    await schedules.create(made)
    with pytest.raises(Conflict):
        await schedules.create(made)
    with pytest.raises(ResourceNotFound):
        await schedules.update(msgspec.structs.replace(made, name="other"))
    off = await schedules.update(msgspec.structs.replace(made, enabled=False))
    assert await room.store.moments() == {}
    assert (await schedules.get(off.account, off.region, "default", "often")).enabled is False
    for wrong in (
        {"target": Target(arn="arn:aws:states:us-east-1:123456789012:stateMachine:x")},
        {"target": Target(arn=FUNCTION.replace("123456789012", "210987654321"))},
        {"target": Target(arn=FUNCTION, input="{")},
        {"target": Target(arn=f"{QUEUE}.fifo")},
        {"target": Target(arn=QUEUE, group="a")},
        {"target": Target(arn=FUNCTION, dead_letter=FUNCTION)},
        {"window_min": 1441},
        {"end": now - 1},
        {"start": now + 60, "end": now + 30},
        {"name": "a b"},
    ):
        with pytest.raises(ValidationFailed):
            await schedules.create(msgspec.structs.replace(made, **{"name": "wrong", **wrong}))
    with pytest.raises(ResourceNotFound):
        await schedules.create(msgspec.structs.replace(made, name="wrong", group="nobody"))
