"""What the store holds of access keys.

| key                       | type    | holds                                             |
|---------------------------|---------|---------------------------------------------------|
| `samovar:access:keys`     | hash    | key id → `StoredKey` as JSON, its secret sealed   |
| `samovar:access:changed`  | channel | the id of a key that was created or revoked       |
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from samovar.access.roles import AccessKey

CHANGED: Final = "samovar:access:changed"
_KEYS: Final = "samovar:access:keys"

_CREATE: Final = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
"""
_DELETE: Final = """
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 1
"""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its secret as the vault seals it."""

    key: AccessKey
    sealed: str


class KeyStore:
    """Every method raises `ServiceUnavailable` when the store is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis: Any = client
        """Untyped on purpose, as in `gateway.functions.store.Store`."""
        self._create = client.register_script(_CREATE)
        self._delete = client.register_script(_DELETE)

    async def get(self, key_id: str) -> StoredKey | None:
        """One key, if it exists."""
        async with reaching_store():
            found = await self.redis.hget(_KEYS, key_id)
        return None if found is None else msgspec.json.decode(found, type=StoredKey)

    async def all(self) -> list[StoredKey]:
        """Every key."""
        async with reaching_store():
            found = await self.redis.hgetall(_KEYS)
        return [msgspec.json.decode(one, type=StoredKey) for one in found.values()]

    async def create(self, stored: StoredKey) -> bool:
        """Add a key and tell the other gateways; false when there is one of its id."""
        async with reaching_store():
            return bool(
                await self._create(keys=[_KEYS], args=[stored.key.key_id, msgspec.json.encode(stored), CHANGED])
            )

    async def delete(self, key_id: str) -> bool:
        """Remove a key and tell the other gateways; false when there is none."""
        async with reaching_store():
            return bool(await self._delete(keys=[_KEYS], args=[key_id, CHANGED]))
