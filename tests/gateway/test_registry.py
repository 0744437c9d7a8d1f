"""The registry: what is cached, how it follows other workers' changes, who wins a race."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from gateway.functions.record import FunctionRecord, FunctionUrl
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from samovar.errors import PreconditionFailed, ResourceConflict, ResourceNotFound, ServiceUnavailable
from tests.gateway.builders import record
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
HELLO, SECOND, UNKNOWN = ARN + "hello", ARN + "second", ARN + "no"


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a cache has no event to wait for
            await asyncio.sleep(0.001)


def described(text: str) -> Callable[[FunctionRecord], FunctionRecord]:
    return lambda found: msgspec.structs.replace(found, description=text)


def with_memory(found: FunctionRecord, memory_mb: int) -> FunctionRecord:
    limits = msgspec.structs.replace(found.version.limits, memory_mb=memory_mb)
    return msgspec.structs.replace(found, version=msgspec.structs.replace(found.version, limits=limits))


async def test_functions_are_cached_from_the_start(store: Store) -> None:
    async with Registry(store) as first:
        await first.create(record())
        async with Registry(store) as second:
            await until(lambda: second.following)
            assert second.cached(HELLO) == first.cached(HELLO) is not None


async def test_another_workers_changes_arrive(store: Store) -> None:
    async with Registry(store) as here, Registry(store) as there:
        await until(lambda: here.following and there.following)
        made = await there.create(record())
        await until(lambda: here.cached(HELLO) == made)
        changed = await there.change(HELLO, described("new"))
        await until(lambda: here.cached(HELLO) == changed)
        await there.delete(HELLO)
        await until(lambda: here.cached(HELLO) is None)


async def test_a_function_not_cached_is_read_and_an_unknown_one_named(store: Store) -> None:
    registry = Registry(store)  # follows nothing
    await Registry(store).create(record())
    assert registry.cached(HELLO) is None
    assert (await registry.get(HELLO)).name == "hello"
    assert registry.cached(HELLO) is not None
    with pytest.raises(
        ResourceNotFound, match=r"Function not found: arn:aws:lambda:us-east-1:123456789012:function:no$"
    ):
        await registry.get(UNKNOWN)
    with pytest.raises(ResourceNotFound, match=r"function:no:\$LATEST$"):
        await registry.get(UNKNOWN, "$LATEST")


async def test_an_unknown_function_that_appears_is_found(store: Store) -> None:
    registry = Registry(store)
    with pytest.raises(ResourceNotFound):
        await registry.get(HELLO)
    await Registry(store).create(record())
    assert (await registry.get(HELLO)).name == "hello"


async def test_urls_are_cached_and_follow_their_function(store: Store) -> None:
    registry = Registry(store)
    made = await registry.create(record())
    url = FunctionUrl(url_id="abc", created="", modified="")
    await registry.change(HELLO, lambda found: msgspec.structs.replace(found, url=url))
    known = registry.cached_by_url("abc.us-east-1")
    assert known is not None
    assert known.version.revision_id != made.version.revision_id
    assert await Registry(store).by_url("abc.us-east-1") == known
    await registry.change(HELLO, lambda found: msgspec.structs.replace(found, url=None))
    assert registry.cached_by_url("abc.us-east-1") is None
    assert await registry.by_url("abc.us-east-1") is None


async def test_each_change_gives_a_revision_but_only_an_invokers_business_a_serial(store: Store) -> None:
    registry = Registry(store)
    made = await registry.create(record())
    told = await registry.change(HELLO, described("x"))
    grown = await registry.change(HELLO, lambda found: with_memory(found, 256))
    assert made.version.serial == told.version.serial < grown.version.serial
    assert len({each.version.revision_id for each in (made, told, grown)}) == 3


async def test_of_twenty_changes_of_one_revision_exactly_one_wins(store: Store) -> None:
    registries = [Registry(store) for _ in range(4)]
    made = await registries[0].create(record())
    outcomes = await asyncio.gather(
        *(registries[n % 4].change(HELLO, described(str(n)), made.version.revision_id) for n in range(20)),
        return_exceptions=True,
    )
    won = [each for each in outcomes if isinstance(each, FunctionRecord)]
    lost = [each for each in outcomes if isinstance(each, PreconditionFailed)]
    assert (len(won), len(lost)) == (1, 19)
    assert await registries[0].fresh(HELLO) == won[0]


async def test_changes_without_a_revision_are_all_made(store: Store) -> None:
    registry = Registry(store)
    await registry.create(record())
    await asyncio.gather(
        *(
            registry.change(HELLO, lambda found, n=n: msgspec.structs.replace(found, tags={**found.tags, str(n): ""}))  # type: ignore[misc]
            for n in range(5)
        )
    )
    assert set((await registry.fresh(HELLO)).tags) == {"0", "1", "2", "3", "4"}


async def test_a_name_is_given_once(store: Store) -> None:
    outcomes = await asyncio.gather(*(Registry(store).create(record()) for _ in range(5)), return_exceptions=True)
    conflicts = [each for each in outcomes if isinstance(each, ResourceConflict)]
    assert len(conflicts) == 4
    assert conflicts[0].message == "Function already exist: hello"


async def test_a_function_made_anew_has_a_greater_serial_than_its_deletion(store: Store) -> None:
    registry = Registry(store)
    first = await registry.create(record())
    gone = await registry.delete(HELLO)
    second = await registry.create(record())
    assert first.version.serial < gone < second.version.serial
    with pytest.raises(ResourceNotFound):
        await registry.delete(UNKNOWN)


async def test_the_cache_serves_while_the_store_is_away_and_is_renewed_after(own_valkey: Valkey) -> None:
    client, other = connect(own_valkey.url), connect(own_valkey.url)
    here = Store(client, "123456789012", "us-east-1")
    async with Registry(here) as registry:
        made = await registry.create(record())
        await registry.create(record("second"))
        await until(lambda: registry.following)
        own_valkey.stop()
        await until(lambda: not registry.following)
        assert registry.cached(HELLO) == made == await registry.get(HELLO)
        with pytest.raises(ServiceUnavailable):
            await registry.get(UNKNOWN)
        own_valkey.start()
        # Before the registry is back, somebody else changes things it is not told about.
        elsewhere = Registry(Store(other, "123456789012", "us-east-1"))
        changed = await elsewhere.change(HELLO, described("new"))
        await elsewhere.delete(SECOND)
        await until(lambda: registry.cached(HELLO) == changed and registry.cached(SECOND) is None)
    await client.aclose()
    await other.aclose()


async def test_a_gateway_starts_without_a_store(own_valkey: Valkey) -> None:
    own_valkey.stop()
    client = connect(own_valkey.url)
    async with Registry(Store(client, "123456789012", "us-east-1")) as registry:
        assert registry.cached(HELLO) is None
        own_valkey.start()
        await until(lambda: registry.following)
    await client.aclose()
