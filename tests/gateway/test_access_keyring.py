"""The keyring on a real store: how keys come, are followed, and go; and how their secrets lie there."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.vault import Vault
from gateway.functions.store import connect
from samovar.access.roles import AccessKey, new_key_id, new_secret
from samovar.errors import ResourceConflict, ResourceNotFound, ServiceFailure, ServiceUnavailable
from tests.gateway.builders import ROOT
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a cache has no event to wait for
            await asyncio.sleep(0.001)


def keyring(client: redis.asyncio.Redis, folder: Path) -> Keyring:
    return Keyring(KeyStore(client), Vault(folder / "secrets.key"), ROOT)


def key(key_id: str = "AKIATESTTESTTESTTEST") -> AccessKey:
    return AccessKey(key_id=key_id, name="ada", role="invoke", functions=("orders",), created="2026-11-23T12:00:00Z")


async def test_a_key_made_in_one_gateway_is_known_in_all_and_revoked_in_all(
    client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    async with keyring(client, tmp_path) as here, keyring(client, tmp_path) as there:
        await here.add(key(), "secret of ada")
        held = await there.find(key().key_id)  # without waiting for any notification
        assert held is not None
        assert held.key == key()
        await until(lambda: there.held(key().key_id) is not None)
        await here.revoke(key().key_id)
        assert here.held(key().key_id) is None
        await until(lambda: there.held(key().key_id) is None)


async def test_a_gateway_that_starts_knows_the_keys_there_are(client: redis.asyncio.Redis, tmp_path: Path) -> None:
    await keyring(client, tmp_path).add(key(), "secret of ada")
    async with keyring(client, tmp_path) as started:
        await until(lambda: started.held(key().key_id) is not None)
        assert [one.name for one in await started.all()] == ["root", "ada"]


async def test_the_root_key_works_without_a_store_and_is_not_revoked(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/nobody")
    alone = keyring(client, tmp_path)
    assert alone.held(ROOT.key_id) is not None
    with pytest.raises(ServiceUnavailable):
        await alone.find("AKIASTRANGERSTRANGER")
    with pytest.raises(ResourceConflict):
        await alone.revoke(ROOT.key_id)
    await client.aclose()


async def test_an_id_is_taken_once_and_a_stranger_is_not_revoked(client: redis.asyncio.Redis, tmp_path: Path) -> None:
    ring = keyring(client, tmp_path)
    await ring.add(key(), "secret of ada")
    for taken in (key(), key(ROOT.key_id)):
        with pytest.raises(ResourceConflict, match=f"^Access key already exists: {taken.key_id}$"):
            await ring.add(taken, "another")
    with pytest.raises(ResourceNotFound):
        await ring.revoke("AKIASTRANGERSTRANGER")


async def test_no_secret_lies_in_the_store_as_it_is(
    valkey: Valkey, client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    secret = new_secret()
    ring = keyring(client, tmp_path)
    await ring.add(key(), secret)
    stored = await KeyStore(client).redis.hgetall("samovar:access:keys")
    assert stored
    assert secret not in repr(stored)
    assert secret not in repr(ring.held(key().key_id))
    assert stat.S_IMODE((tmp_path / "secrets.key").stat().st_mode) == 0o600
    # Another platform's key opens nothing, and no secret opens under another key's id.
    other = keyring(client, tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    assert await other.find(key().key_id) is None


def test_a_secret_is_bound_to_its_key(tmp_path: Path) -> None:
    vault, ids = Vault(tmp_path / "secrets.key"), (new_key_id(), new_key_id())
    sealed = vault.seal(ids[0], "secret")
    assert vault.open(ids[0], sealed) == "secret"
    assert sealed != vault.seal(ids[0], "secret")
    for key_id, text in ((ids[1], sealed), (ids[0], "x" + sealed[1:]), (ids[0], "")):
        with pytest.raises(ServiceFailure, match=f"^the secret of access key {key_id} cannot be read"):
            vault.open(key_id, text)


async def test_while_the_store_is_away_known_keys_go_on_working(own_valkey: Valkey, tmp_path: Path) -> None:
    client = connect(own_valkey.url)
    async with keyring(client, tmp_path) as ring:
        await ring.add(key(), "secret of ada")
        own_valkey.stop()
        assert ring.held(key().key_id) is not None
        with pytest.raises(ServiceUnavailable):
            await ring.revoke(key().key_id)
        own_valkey.start()
        await ring.revoke(key().key_id)
        assert ring.held(key().key_id) is None
    await client.aclose()
