"""From changes to events, on a real store: what is told once, what is found by looking, and what is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio

from gateway.events.event import NewEvent
from gateway.events.keys import once
from gateway.queues.queues import Queues
from gateway.uploads import keys
from gateway.uploads.intents import Intent, Intents
from gateway.uploads.inventory import Inventory
from gateway.uploads.ledger import Cursor, Ledger, digest
from gateway.uploads.record import Change
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.rules import Rule
from gateway.uploads.telling import Teller
from samovar.clock import SystemClock
from samovar.errors import ResourceNotFound, ServiceUnavailable

ARN = "arn:aws:lambda:us-east-1:123456789012:function:thumbnail"
CHANGE = Change(bucket="photos", key="in/a", event="ObjectCreated:Put", at_ns=10**18, etag="e", modified_s=10**9)
CURSOR = Cursor(at_ns=10**18, server="1")
REMOVAL = msgspec.structs.replace(CHANGE, event="ObjectRemoved:Delete", at_ns=2 * 10**18)
INTENT = Intent(
    bucket="photos",
    key="in/a",
    event="ObjectCreated:Copy",
    at=1e9,
    request_id="83f853df-94fe-49f1-8000-000000000000",
    principal="AWS:me",
    address="10.0.0.1",
)


class Functions:
    """A registry in which a function may be missing."""

    def __init__(self) -> None:
        self.missing = False

    async def get(self, arn: str, qualifier: str | None = None) -> None:
        if self.missing:
            raise ResourceNotFound(f"Function not found: {arn}")


class Taken:
    """An intake that remembers, and drops what bears a name it has seen, as the real one does."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.away = False

    async def accept(self, event: NewEvent) -> None:
        if self.away:
            raise ServiceUnavailable("away")
        if event.once not in {one.once for one in self.events}:
            self.events.append(event)

    @property
    def records(self) -> list[Any]:
        return [json.loads(event.payload)["Records"][0] for event in self.events]


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Inventory]:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        yield inventory


@pytest.fixture
async def teller(client: redis.asyncio.Redis, functions: Functions, taken: Taken, inventory: Inventory) -> Teller:
    async def exist(rules: Sequence[Rule]) -> None:
        """They do."""

    rules = [Rule(id="r", arn=f"{ARN}:live", events=("s3:ObjectCreated:*",), prefix="in/")]
    await RuleBook(client).replace("photos", rules, exist)
    queues = Queues(client, SystemClock(), "123456789012")
    intake: Any = taken
    registry: Any = functions
    return Teller(Ledger(client), inventory, registry, intake, queues)


async def hear_of_removals(client: redis.asyncio.Redis) -> None:
    async def exist(rules: Sequence[Rule]) -> None:
        """They do."""

    rule = Rule(id="r", arn=ARN, events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    await RuleBook(client).replace("photos", [rule], exist)


async def test_a_change_becomes_an_event_of_the_function_a_rule_names(teller: Teller, taken: Taken) -> None:
    assert await teller.heard(CHANGE, CURSOR)
    [event] = taken.events
    assert (event.arn, event.qualifier, event.source) == (ARN, "live", "aws:s3")
    assert taken.records[0]["s3"]["object"]["key"] == "in/a"


async def test_the_cursor_is_written_with_what_was_told(teller: Teller, client: redis.asyncio.Redis) -> None:
    await teller.heard(CHANGE, CURSOR)
    assert await Ledger(client).cursor() == CURSOR


async def test_nobody_is_told_of_what_no_rule_wants(teller: Teller, taken: Taken, client: redis.asyncio.Redis) -> None:
    assert await teller.heard(msgspec.structs.replace(CHANGE, key="out/a"), CURSOR)
    assert not await teller.heard(msgspec.structs.replace(CHANGE, bucket="others"), CURSOR)
    assert taken.events == []


async def test_a_change_that_is_heard_twice_is_one_event(teller: Teller, taken: Taken) -> None:
    await teller.heard(CHANGE, CURSOR)
    await teller.heard(CHANGE, CURSOR)
    await teller.heard(msgspec.structs.replace(CHANGE, at_ns=CHANGE.at_ns + 1), CURSOR)  # put again, the same
    assert len(taken.events) == 2


async def test_what_was_heard_is_not_found_again_and_the_other_way_round(teller: Teller, taken: Taken) -> None:
    await teller.heard(CHANGE, CURSOR)
    assert not await teller.found(CHANGE)
    other = msgspec.structs.replace(CHANGE, key="in/b")
    assert await teller.found(other)
    assert not await teller.found(other)
    await teller.heard(msgspec.structs.replace(other, at_ns=5), CURSOR)
    assert [record["s3"]["object"]["key"] for record in taken.records] == ["in/a", "in/b"]


async def test_of_many_states_those_that_were_not_told_are_known_at_once(teller: Teller) -> None:
    others = [msgspec.structs.replace(CHANGE, key=f"in/{number}") for number in range(3)]
    await teller.heard(others[0], CURSOR)
    await teller.found(others[2])
    assert await teller.untold(others) == [others[1]]
    assert await teller.untold([]) == []


async def test_what_is_heard_and_found_at_the_same_moment_is_told_once(teller: Teller, taken: Taken) -> None:
    for number in range(20):
        change = msgspec.structs.replace(CHANGE, key=f"in/{number}", at_ns=number)
        await asyncio.gather(teller.found(change), teller.heard(change, CURSOR))
    assert len(taken.events) == 20


async def test_what_was_found_by_a_process_that_died_before_it_noted_that_is_not_told_again(
    teller: Teller, taken: Taken, client: redis.asyncio.Redis
) -> None:
    await teller.found(CHANGE)
    await client.set(once(taken.events[0].once), 1)  # as the real intake does with the event
    await client.delete(keys.told(digest(CHANGE)))
    await teller.heard(CHANGE, msgspec.structs.replace(CURSOR, look_since_s=1))
    assert len(taken.events) == 1


async def test_the_request_tells_who_it_was_and_what_it_did(
    teller: Teller, taken: Taken, client: redis.asyncio.Redis
) -> None:
    await Intents(client).note(INTENT)
    await teller.heard(CHANGE, CURSOR)
    [record] = taken.records
    assert record["eventName"] == "ObjectCreated:Copy"
    assert record["userIdentity"] == {"principalId": "AWS:me"}
    assert await Intents(client).before(2e9) == []
    assert not await client.exists(keys.hints("photos", "in/a"))


async def test_an_intent_that_came_to_nothing_is_withdrawn(client: redis.asyncio.Redis) -> None:
    intents = Intents(client)
    await intents.note(INTENT)
    assert await intents.before(1e9 - 1) == []
    assert await intents.before(1e9 + 1) == [INTENT]
    await intents.withdraw(INTENT)
    assert await intents.before(1e9 + 1) == []


async def test_while_the_store_takes_no_events_the_cursor_stays(
    teller: Teller, taken: Taken, client: redis.asyncio.Redis
) -> None:
    taken.away = True
    with pytest.raises(ServiceUnavailable):
        await teller.heard(CHANGE, CURSOR)
    assert await Ledger(client).cursor() is None
    taken.away = False
    await teller.heard(CHANGE, CURSOR)
    assert len(taken.events) == 1


async def test_a_function_that_is_gone_is_said_once_and_stops_nothing(
    teller: Teller, functions: Functions, taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    functions.missing = True
    for number in range(3):
        await teller.heard(msgspec.structs.replace(CHANGE, at_ns=number), CURSOR)
    assert caplog.text.count("which is gone") == 1
    functions.missing = False
    await teller.heard(CHANGE, CURSOR)
    assert len(taken.events) == 1


async def test_what_is_put_is_remembered_where_somebody_hears_of_removals_until_that_is_told(
    teller: Teller, inventory: Inventory, client: redis.asyncio.Redis, taken: Taken
) -> None:
    await teller.heard(CHANGE, CURSOR)
    assert inventory.find("photos", "in/a") is None  # nobody would hear of it
    await hear_of_removals(client)
    await teller.heard(msgspec.structs.replace(CHANGE, etag="another", at_ns=10**18 + 1), CURSOR)
    assert inventory.find("photos", "in/a") is not None
    taken.away = True
    with pytest.raises(ServiceUnavailable):
        await teller.heard(REMOVAL, CURSOR)
    assert inventory.find("photos", "in/a") is not None
    taken.away = False
    await teller.heard(REMOVAL, CURSOR)
    assert inventory.find("photos", "in/a") is None
    assert [record["eventName"] for record in taken.records] == [*["ObjectCreated:Put"] * 2, "ObjectRemoved:Delete"]


async def test_a_version_that_is_removed_leaves_the_object(
    teller: Teller, inventory: Inventory, client: redis.asyncio.Redis
) -> None:
    await hear_of_removals(client)
    await teller.heard(CHANGE, CURSOR)
    await teller.heard(msgspec.structs.replace(REMOVAL, version="v1"), CURSOR)
    assert inventory.find("photos", "in/a") is not None
    await teller.heard(msgspec.structs.replace(REMOVAL, event="ObjectRemoved:DeleteMarkerCreated"), CURSOR)
    assert inventory.find("photos", "in/a") is None


async def test_what_is_noted_at_an_object_leaves_the_request_that_wrote_it_alone(
    teller: Teller, taken: Taken, client: redis.asyncio.Redis
) -> None:
    async def exist(rules: Sequence[Rule]) -> None:
        """They do."""

    await RuleBook(client).replace("photos", [Rule(id="r", arn=ARN, events=("s3:ObjectTagging:*",))], exist)
    await Intents(client).note(INTENT)
    tagged = msgspec.structs.replace(CHANGE, event="ObjectTagging:Put")
    await teller.heard(tagged, CURSOR)
    await teller.heard(msgspec.structs.replace(tagged, at_ns=CHANGE.at_ns + 1), CURSOR)
    assert [record["eventName"] for record in taken.records] == ["ObjectTagging:Put"] * 2
    assert await Intents(client).before(2e9) == [INTENT]


async def test_a_request_passes_its_trace_on_and_the_region_is_that_of_what_is_told(
    teller: Teller, taken: Taken, client: redis.asyncio.Redis
) -> None:
    async def exist(rules: Sequence[Rule]) -> None:
        """They do."""

    elsewhere = Rule(id="r", arn=ARN.replace("us-east-1", "eu-west-1"), events=("s3:ObjectCreated:*",))
    await RuleBook(client).replace("photos", [elsewhere], exist)
    await Intents(client).note(msgspec.structs.replace(INTENT, trace="Root=1-5759e988-bd862e3fe1be46a994272793"))
    await teller.heard(CHANGE, CURSOR)
    assert taken.events[0].trace_id == "Root=1-5759e988-bd862e3fe1be46a994272793"
    assert taken.records[0]["awsRegion"] == "eu-west-1"
    assert await Intents(client).before(2e9) == []


async def test_what_is_heard_again_is_not_taken_for_being_there_again(
    teller: Teller, client: redis.asyncio.Redis, inventory: Inventory
) -> None:
    """The server's account is told again from the cursor, and may have lost that the object was removed."""
    await hear_of_removals(client)
    await teller.heard(CHANGE, CURSOR)
    assert inventory.find("photos", "in/a") is not None
    await teller.found(msgspec.structs.replace(REMOVAL, etag="", modified_s=1))
    await teller.heard(CHANGE, CURSOR)
    assert inventory.find("photos", "in/a") is None
