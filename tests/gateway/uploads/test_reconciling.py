"""Looking for what nobody was told of, on a real store and an S3 server that says what it is to say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpcore
import msgspec
import pytest
import redis.asyncio

from gateway.uploads.intents import Intent, Intents, Outcome, outcome_key
from gateway.uploads.inventory import Inventory
from gateway.uploads.reconciling import Reconciler
from gateway.uploads.record import Change
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.rules import Rule
from samovar.errors import ServiceUnavailable

AT = 1_000_000_000.0
PUT = Intent(
    bucket="photos",
    key="in/a",
    event="ObjectCreated:Put",
    at=AT,
    request_id="83f853df-94fe-49f1-8000-000000000000",
    principal="AWS:me",
    address="10.0.0.1",
)
DELETE = msgspec.structs.replace(PUT, event="ObjectRemoved:Delete", request_id="94fe49f1-8000-4000-8000-83f853df94fe")
OUTCOME = Outcome(etag="e", size=5)


NOW = AT + 60
HEARD_OF = Rule(id="r", arn="arn:aws:lambda:us-east-1:123456789012:function:f", events=("s3:ObjectRemoved:*",))


class Server:
    """Has objects, by their keys with their tags, all of them written when the tests begin."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.listed: list[str] | None = None
        """What is listed in place of what there is."""
        self.encodes = False
        self.others: dict[str, int] = {}
        """Statuses of listings of other buckets."""

    @asynccontextmanager
    async def asked(self, method: str, target: bytes) -> AsyncIterator[httpcore.Response]:
        path = target.decode().removeprefix("/photos")
        other = self.others.get(target.decode().removeprefix("/").partition("?")[0])
        if other is not None:
            yield httpcore.Response(other)
            return
        yield self._listing() if method == "GET" else self._head(path.removeprefix("/"))

    def _head(self, key: str) -> httpcore.Response:
        if key not in self.objects:
            return httpcore.Response(404)
        headers = [
            (b"ETag", b'"%s"' % self.objects[key].encode()),
            (b"Last-Modified", b"Sun, 09 Sep 2001 01:46:40 GMT"),
        ]
        return httpcore.Response(200, headers=headers)

    def _listing(self) -> httpcore.Response:
        keys = self.objects if self.listed is None else self.listed
        entries = "".join(
            f"<Contents><Key>{quote_plus(key) if self.encodes else key}</Key><ETag>{self.objects.get(key, 'e')}</ETag>"
            "<LastModified>2001-09-09T01:46:40Z</LastModified><Size>1</Size></Contents>"
            for key in keys
        )
        encoded = "<EncodingType>url</EncodingType>" if self.encodes else ""
        return httpcore.Response(200, content=f"<ListBucketResult>{encoded}{entries}</ListBucketResult>".encode())


class Told:
    """Remembers what was found, as what tells functions, and what there is."""

    def __init__(self, inventory: Inventory) -> None:
        self.changes: list[Change] = []
        self._inventory = inventory

    async def untold(self, changes: Sequence[Change]) -> list[Change]:
        return list(changes)

    async def found(self, change: Change) -> bool:
        self.changes.append(change)
        if change.removes:
            self._inventory.drop(change.bucket, change.key)
        else:
            self._inventory.put(change)
        return True

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(change.event, change.key) for change in self.changes]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Inventory]:
    with Inventory(tmp_path / "known.sqlite") as inventory:
        yield inventory


@pytest.fixture
def told(inventory: Inventory) -> Told:
    return Told(inventory)


@pytest.fixture
def reconciler(client: redis.asyncio.Redis, server: Server, told: Told, inventory: Inventory) -> Reconciler:
    upstream: Any = server
    teller: Any = told
    return Reconciler(upstream, Intents(client), RuleBook(client), teller, inventory, is_silent=False)


async def hear_of_removals(client: redis.asyncio.Redis, *buckets: str) -> None:
    async def exist(rules: Sequence[Rule]) -> None:
        """They do."""

    for bucket in buckets or ("photos",):
        await RuleBook(client).replace(bucket, [HEARD_OF], exist)


async def test_what_was_put_and_removed_before_anybody_looked_is_told_as_its_client_was(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    await intents.answered([PUT], OUTCOME, AT)
    assert await reconciler.look_into_intents(AT + 4) == 0  # it may be heard yet
    assert await reconciler.look_into_intents(AT + 6) == 1
    [change] = told.changes
    assert (change.event, change.key, change.etag, change.size) == ("ObjectCreated:Put", "in/a", "e", 5)
    assert await intents.before(AT + 60) == []
    assert await client.keys("samovar:uploads:answered*") == []


async def test_what_was_overwritten_before_anybody_looked_is_told_with_what_it_was(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    server.objects["in/a"] = "newer"
    await Intents(client).note(PUT)
    await Intents(client).answered([PUT], OUTCOME, AT)
    await reconciler.look_into_intents(AT + 60)
    assert [change.etag for change in told.changes] == ["e"]


async def test_what_is_to_be_seen_is_told_as_it_is(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    server.objects["in/a"] = "e"
    await Intents(client).note(PUT)
    await Intents(client).answered([PUT], OUTCOME, AT)
    await reconciler.look_into_intents(AT + 60)
    assert [(change.etag, change.modified_s) for change in told.changes] == [("e", int(AT))]


async def test_of_a_request_that_was_never_answered_only_what_is_to_be_seen_is_told(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    assert await reconciler.look_into_intents(AT + 60) == 0
    assert await intents.before(AT + 119) == []  # it may still be running, and is looked into when it is twice as old
    assert await intents.before(AT + 120) == [PUT]
    assert await reconciler.look_into_intents(AT + 7 * 3600) == 0
    assert await intents.before(AT + 8 * 3600) == []
    assert told.changes == []


async def test_nothing_is_kept_of_an_answer_to_what_has_been_told_already(client: redis.asyncio.Redis) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    await intents.withdraw(PUT)
    await intents.answered([PUT], OUTCOME, AT)
    assert not await client.exists(outcome_key(PUT))


async def test_what_was_there_and_has_gone_without_a_word_is_told_once(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    await hear_of_removals(client)
    server.objects = {f"in/{number}": "e" for number in range(1200)}
    await reconciler.get_to_know(NOW)
    assert told.changes == []  # it was there before anybody wanted to hear of it
    for number in range(0, 1200, 2):
        del server.objects[f"in/{number}"]
    assert await reconciler.look_into_buckets(int(NOW), NOW) == 600
    assert await reconciler.look_into_buckets(int(NOW), NOW) == 0
    assert {event for event, _ in told.events} == {"ObjectRemoved:Delete"}
    first = told.changes[0]
    assert (first.etag, first.modified_s, first.at_ns) == ("e", int(AT), int(NOW * 1e9))


async def test_nothing_is_missing_from_a_bucket_that_was_never_looked_at_to_its_end(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told, inventory: Inventory
) -> None:
    await hear_of_removals(client)
    inventory.put(_change("in/a"))
    await reconciler.look_into_buckets(int(NOW), NOW)
    assert told.changes == []


async def test_what_a_page_left_out_and_is_there_is_not_told_to_be_gone(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/a": "e", "in/b": "e"}
    await reconciler.get_to_know(NOW)
    server.listed = ["in/a"]
    assert await reconciler.look_into_buckets(int(NOW), NOW) == 0
    assert told.changes == []


async def test_a_bucket_of_which_nobody_hears_any_more_is_forgotten(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, inventory: Inventory
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/a": "e"}
    await reconciler.get_to_know(NOW)
    assert inventory.is_complete("photos")
    await RuleBook(client).forget("photos")
    await reconciler.get_to_know(NOW)
    assert not inventory.is_complete("photos")
    assert inventory.find("photos", "in/a") is None


async def test_a_removal_that_nobody_was_heard_of_is_told_as_what_was_there(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/a": "e"}
    await reconciler.get_to_know(NOW)
    server.objects = {}
    await Intents(client).note(DELETE)
    await Intents(client).answered([DELETE], Outcome(), AT)
    assert await reconciler.look_into_intents(NOW) == 1
    assert await reconciler.look_into_buckets(int(NOW), NOW) == 0
    [change] = told.changes
    assert (change.event, change.etag, change.modified_s) == ("ObjectRemoved:Delete", "e", int(AT))


async def test_what_was_put_and_removed_while_nobody_listened_is_told_as_both(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    await hear_of_removals(client)
    await reconciler.get_to_know(NOW)
    for intent, outcome in ((PUT, OUTCOME), (DELETE, Outcome())):
        await Intents(client).note(intent)
        await Intents(client).answered([intent], outcome, intent.at)
    assert await reconciler.look_into_intents(NOW) == 2
    assert [event for event, _ in told.events] == ["ObjectCreated:Put", "ObjectRemoved:Delete"]


async def test_removing_what_is_not_there_is_told_to_nobody(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    await hear_of_removals(client)
    await reconciler.get_to_know(NOW)
    await Intents(client).note(DELETE)
    await Intents(client).answered([DELETE], Outcome(), AT)
    assert await reconciler.look_into_intents(NOW) == 0
    assert told.changes == []
    assert await Intents(client).before(NOW) == []


async def test_a_removal_after_which_it_was_put_again_is_told(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/a": "newer"}
    await Intents(client).note(DELETE)
    assert await reconciler.look_into_intents(NOW) == 0  # its client was never told that it happened
    await Intents(client).answered([DELETE], Outcome(), AT)
    assert await reconciler.look_into_intents(NOW) == 1
    assert told.events == [("ObjectRemoved:Delete", "in/a")]


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_bucket_that_cannot_be_listed_does_not_keep_the_others_from_being_looked_at(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told, inventory: Inventory, status: int
) -> None:
    await hear_of_removals(client, "broken", "photos")
    server.others["broken"] = status
    server.objects = {"in/a": "e"}
    with pytest.raises(ServiceUnavailable, match=f"status {status}"):
        await reconciler.get_to_know(NOW)
    assert inventory.is_complete("photos")
    assert not inventory.is_complete("broken")  # it is looked at again
    server.objects = {}
    with pytest.raises(ServiceUnavailable, match=f"status {status}"):
        await reconciler.look_into_buckets(int(NOW), NOW)
    assert told.events == [("ObjectRemoved:Delete", "in/a")]


async def test_what_was_in_a_bucket_that_has_vanished_is_told_to_have_gone(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/a": "e"}
    await reconciler.get_to_know(NOW)
    server.others["photos"] = 404
    server.objects = {}
    assert await reconciler.look_into_buckets(int(NOW), NOW) == 1
    assert told.events == [("ObjectRemoved:Delete", "in/a")]


def _change(key: str) -> Change:
    return Change(bucket="photos", key=key, event="ObjectCreated:Put", at_ns=0, etag="e", modified_s=int(AT))


async def test_names_that_xml_cannot_say_are_read_from_lists(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told, inventory: Inventory
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/\x01 +%ü": "e"}
    server.encodes = True
    await reconciler.get_to_know(NOW)
    assert inventory.find("photos", "in/\x01 +%ü") is not None


async def test_a_list_that_is_no_xml_is_asked_for_again(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, inventory: Inventory
) -> None:
    await hear_of_removals(client)
    server.objects = {"in/\x01": "e"}
    with pytest.raises(ServiceUnavailable, match="no XML"):
        await reconciler.get_to_know(NOW)
    assert not inventory.is_complete("photos")
