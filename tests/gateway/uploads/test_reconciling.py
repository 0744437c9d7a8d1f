"""Looking for what nobody was told of, on a real store and an S3 server that says what it is to say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import pytest
import redis.asyncio

from gateway.uploads import keys
from gateway.uploads.intents import Intent, Intents, Outcome
from gateway.uploads.reconciling import Reconciler
from gateway.uploads.record import Change
from gateway.uploads.rule_book import RuleBook

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
OUTCOME = Outcome(etag="e", size=5)


class Server:
    """Has one object, or none."""

    def __init__(self) -> None:
        self.etag: str | None = None

    @asynccontextmanager
    async def asked(self, method: str, target: bytes) -> AsyncIterator[httpcore.Response]:
        assert (method, target) == ("HEAD", b"/photos/in/a")
        if self.etag is None:
            yield httpcore.Response(404)
            return
        written = b"Sun, 09 Sep 2001 01:46:40 GMT"
        yield httpcore.Response(200, headers=[(b"ETag", b'"%s"' % self.etag.encode()), (b"Last-Modified", written)])


class Told:
    """Remembers what was found, as what tells functions."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def found(self, change: Change) -> bool:
        self.changes.append(change)
        return True


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def reconciler(client: redis.asyncio.Redis, server: Server, told: Told) -> Reconciler:
    upstream: Any = server
    teller: Any = told
    return Reconciler(upstream, Intents(client), RuleBook(client), teller)


async def test_what_was_put_and_removed_before_anybody_looked_is_told_as_its_client_was(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    await intents.answered(PUT, OUTCOME, AT)
    assert await reconciler.look_into_intents(AT + 4) == 0  # it may be heard yet
    assert await reconciler.look_into_intents(AT + 6) == 1
    [change] = told.changes
    assert (change.event, change.key, change.etag, change.size) == ("ObjectCreated:Put", "in/a", "e", 5)
    assert await intents.before(AT + 60) == []
    assert await client.keys("samovar:uploads:answered*") == []


async def test_what_was_overwritten_before_anybody_looked_is_told_with_what_it_was(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    server.etag = "newer"
    await Intents(client).note(PUT)
    await Intents(client).answered(PUT, OUTCOME, AT)
    await reconciler.look_into_intents(AT + 60)
    assert [change.etag for change in told.changes] == ["e"]


async def test_what_is_to_be_seen_is_told_as_it_is(
    client: redis.asyncio.Redis, reconciler: Reconciler, server: Server, told: Told
) -> None:
    server.etag = "e"
    await Intents(client).note(PUT)
    await Intents(client).answered(PUT, OUTCOME, AT)
    await reconciler.look_into_intents(AT + 60)
    assert [(change.etag, change.modified_s) for change in told.changes] == [("e", int(AT))]


async def test_of_a_request_that_was_never_answered_only_what_is_to_be_seen_is_told(
    client: redis.asyncio.Redis, reconciler: Reconciler, told: Told
) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    assert await reconciler.look_into_intents(AT + 60) == 0
    assert await intents.before(AT + 60) == [PUT]  # it may still be running
    assert await reconciler.look_into_intents(AT + 7 * 3600) == 0
    assert await intents.before(AT + 8 * 3600) == []
    assert told.changes == []


async def test_nothing_is_kept_of_an_answer_to_what_has_been_told_already(client: redis.asyncio.Redis) -> None:
    intents = Intents(client)
    await intents.note(PUT)
    await intents.withdraw(PUT)
    await intents.answered(PUT, OUTCOME, AT)
    assert not await client.exists(keys.outcome(PUT.request_id))
