"""A gateway's parts on a real store, with an invoker that only takes notes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio

from gateway.control import create_control_app
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from gateway.services import Services
from samovar.clock import ManualClock
from samovar.settings import Settings
from tests.gateway.builders import RecordingLink, services_of
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A server for the whole run; `client` empties it before each test."""
    with Valkey() as server:
        yield server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server of this test's own, to be stopped and started."""
    with Valkey() as server:
        yield server


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of an empty store."""
    found: Any = connect(valkey.url)
    await found.flushall()
    yield found
    await found.aclose()


@pytest.fixture
def store(client: redis.asyncio.Redis) -> Store:
    """An empty store."""
    return Store(client, "123456789012", "us-east-1")


@pytest.fixture
def link() -> RecordingLink:
    """An invoker that takes notes."""
    return RecordingLink()


@pytest.fixture
def clock() -> ManualClock:
    """Stands still."""
    return ManualClock()


@pytest.fixture
async def services(
    tmp_path: Path, client: redis.asyncio.Redis, store: Store, link: RecordingLink, clock: ManualClock
) -> AsyncIterator[Services]:
    """What a gateway worker holds open."""
    settings = Settings(data_dir=str(tmp_path / "data"))
    async with Registry(store) as registry:
        yield services_of(settings, registry, link, clock)


@pytest.fixture
async def api(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The control app, called without a network."""
    transport = httpx.ASGITransport(create_control_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000") as http:
        yield http
