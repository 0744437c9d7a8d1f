"""The rules of buckets, and hearing of it when they change, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
import redis.asyncio

from gateway.functions.store import connect
from gateway.uploads import rule_book
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.rules import Rule
from samovar.errors import ServiceUnavailable
from tests.valkey import Valkey

RULE = Rule(id="r", arn="arn:aws:lambda:us-east-1:123456789012:function:f", events=("s3:ObjectRemoved:*",))


async def exist(rules: Sequence[Rule]) -> None:
    """What they name is there."""


async def test_whoever_listens_hears_of_every_change(client: redis.asyncio.Redis) -> None:
    book = RuleBook(client)
    async with aclosing(book.changes()) as changes, asyncio.timeout(20):
        await anext(changes)  # the beginning
        for change in (book.replace("photos", [RULE], exist), book.replace("photos", [], exist), book.forget("photos")):
            await change
            await anext(changes)
    assert await book.all() == {}


async def test_whoever_heard_nothing_looks_all_the_same(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_book, "LOOK_EVERY_S", 0.01)
    async with aclosing(RuleBook(client).changes()) as changes, asyncio.timeout(20):
        await anext(changes)
        await anext(changes)


async def test_a_store_that_goes_away_is_said(own_valkey: Valkey) -> None:
    client = connect(own_valkey.url)
    async with aclosing(RuleBook(client).changes()) as changes:
        await anext(changes)
        own_valkey.stop()
        with pytest.raises(ServiceUnavailable):
            async with asyncio.timeout(20):
                await anext(changes)
    await client.aclose()
