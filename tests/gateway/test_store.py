"""The store against a real server: atomic changes, listing in pages, URLs, and the server going away."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.functions.record import FunctionRecord, FunctionUrl
from gateway.functions.store import CHANGED, Store, connect
from samovar.errors import ServiceUnavailable
from tests.gateway.builders import record
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")


def revised(old: FunctionRecord, revision: str, **members: Any) -> FunctionRecord:
    version = msgspec.structs.replace(old.version, revision_id=revision)
    return msgspec.structs.replace(old, version=version, **members)


async def test_a_record_comes_back_as_it_was_written(store: Store) -> None:
    written = revised(record(environment={"GREETING": "grüß dich"}), "r1", tags={"a": "b"})
    assert await store.create(written) == "ok"
    assert await store.get(store.arn("hello")) == written
    assert await store.get(store.arn("other")) is None


async def test_a_second_function_of_a_name_is_refused(store: Store) -> None:
    assert await store.create(revised(record(), "r1")) == "ok"
    assert await store.create(revised(record(), "r2")) == "exists"


async def test_a_repeated_write_of_the_same_revision_is_one_write(store: Store) -> None:
    first = revised(record(), "r1")
    assert [await store.create(first), await store.create(first)] == ["ok", "ok"]


async def test_only_the_current_revision_can_be_replaced(store: Store) -> None:
    first = revised(record(), "r1")
    await store.create(first)
    assert await store.replace(first, revised(first, "r2")) == "ok"
    assert await store.replace(first, revised(first, "r3")) == "changed"
    absent = revised(record("other"), "r1")
    assert await store.replace(absent, revised(absent, "r2")) == "missing"


async def test_of_twenty_writes_on_one_revision_one_wins(store: Store) -> None:
    first = revised(record(), "r0")
    await store.create(first)
    written = await asyncio.gather(*(store.replace(first, revised(first, f"r{n}")) for n in range(1, 21)))
    assert sorted(written) == ["changed"] * 19 + ["ok"]
    winner = await store.get(store.arn("hello"))
    assert winner is not None
    assert written[int(winner.version.revision_id.removeprefix("r")) - 1] == "ok"


async def test_pages_follow_the_order_of_names(store: Store) -> None:
    for name in ("b", "a", "a-2", "B", "c"):
        await store.create(revised(record(name), "r1"))
    first, marker = await store.page(None, 2)
    second, following = await store.page(marker, 2)
    third, end = await store.page(following, 2)
    assert [[found.name for found in page] for page in (first, second, third)] == [["B", "a"], ["a-2", "b"], ["c"]]
    assert (marker, following, end) == ("a", "b", None)
    assert len(await store.all()) == await store.count() == 5


async def test_a_page_continues_behind_a_function_that_was_deleted(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.create(revised(record(name), "r1"))
    await store.delete(store.arn("a"))
    assert [found.name for found in (await store.page("a", 9))[0]] == ["b", "c"]


async def test_a_url_leads_to_its_function_until_it_changes_or_goes(store: Store) -> None:
    first = revised(record(), "r1", url=FunctionUrl(url_id="one", created="", modified=""))
    second = revised(first, "r2", url=FunctionUrl(url_id="two", created="", modified=""))
    await store.create(first)
    assert await store.by_url("one.us-east-1") == first
    await store.replace(first, second)
    assert await store.by_url("one.us-east-1") is None
    assert await store.by_url("two.us-east-1") == second
    assert await store.by_url("two.eu-west-1") is None
    await store.replace(second, revised(second, "r3", url=None))
    assert await store.by_url("two.us-east-1") is None


async def test_deleting_removes_all_but_the_memory_that_it_existed(store: Store) -> None:
    await store.create(revised(record(), "r1", url=FunctionUrl(url_id="one", created="", modified="")))
    last = await store.next_serial()
    serial = await store.delete(store.arn("hello"))
    assert serial is not None
    assert serial > last
    assert await store.delete(store.arn("hello")) is None
    assert (await store.page(None, 9), await store.by_url("one.us-east-1")) == (([], None), None)
    assert await store.ever() == [store.arn("hello")]
    assert await store.existed(store.arn("hello"))


async def test_every_change_is_published(store: Store) -> None:
    first = revised(record(), "r1")
    async with store.redis.pubsub() as subscription:
        await subscription.subscribe(CHANGED)
        await store.create(first)
        await store.replace(first, revised(first, "r2"))
        await store.replace(first, revised(first, "r3"))  # refused: nothing to publish
        await store.delete(store.arn("hello"))
        heard = [await subscription.get_message(timeout=1.0) for _ in range(4)]
        assert [each["type"] for each in heard] == ["subscribe", "message", "message", "message"]
        assert await subscription.get_message(timeout=0.01) is None


async def test_a_server_that_is_away_is_named_and_comes_back_by_itself(own_valkey: Valkey) -> None:
    client = connect(own_valkey.url)
    store = Store(client, "123456789012", "us-east-1")
    await store.create(revised(record(), "r1"))
    own_valkey.stop()
    with pytest.raises(ServiceUnavailable) as caught:
        await store.get(store.arn("hello"))
    assert caught.value.retry_after == 1.0
    with pytest.raises(ServiceUnavailable):
        await store.create(revised(record("other"), "r1"))
    own_valkey.start()
    assert await store.get(store.arn("hello")) == revised(record(), "r1")
    await client.aclose()


async def test_a_server_that_refuses_writes_is_unavailable(own_valkey: Valkey) -> None:
    client: Any = connect(own_valkey.url)
    await client.config_set("maxmemory", "1")
    with pytest.raises(ServiceUnavailable, match="maxmemory"):
        await Store(client, "123456789012", "us-east-1").create(revised(record(), "r1"))
    await client.aclose()


def test_addresses_may_say_valkey() -> None:
    made = connect("valkey://127.0.0.1:6390/3")
    assert made.connection_pool.connection_kwargs["port"] == 6390
    assert made.connection_pool.connection_kwargs["db"] == 3
