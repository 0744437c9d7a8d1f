"""Records of one kind in a hash of the store, each changed as a whole and only from the revision that was read."""

from __future__ import annotations

from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from samovar.errors import ResourceConflict

# A client repeats a script whose answer was lost; finding its own revision in place means it had worked.
_PUT: Final = """
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = current and cjson.decode(current).revision_id or ''
if revision == ARGV[3] then return 1 end
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
return 1
"""


class Revised(Protocol):
    """A record that knows its revision, which every change renews."""

    @property
    def revision_id(self) -> str:
        """Never empty."""
        ...


R = TypeVar("R", bound=Revised)


class Records(Generic[R]):
    """See the module. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis, key: str, kind: type[R]) -> None:
        self._redis: Any = client  # redis-py declares answers as unions with plain values
        self._key = key
        self._decode = msgspec.json.Decoder(kind).decode
        self._put = client.register_script(_PUT)

    async def get(self, name: str) -> R | None:
        """The record of that name, if there is one."""
        async with reaching_store():
            found = await self._redis.hget(self._key, name)
        return None if found is None else self._decode(found)

    async def all(self) -> dict[str, R]:
        """Every record by its name, in the names' order."""
        async with reaching_store():
            found = await self._redis.hgetall(self._key)
        return {name.decode(): self._decode(found[name]) for name in sorted(found)}

    async def add(self, name: str, record: R) -> None:
        """Write a new record. Raises `ResourceConflict` if there is one of that name."""
        await self._write(name, "", record)

    async def replace(self, name: str, current: R, record: R) -> None:
        """Write `record` over `current`. Raises `ResourceConflict` if somebody changed or removed it in between."""
        await self._write(name, current.revision_id, record)

    async def remove(self, name: str) -> bool:
        """Remove a record; whether there was one."""
        async with reaching_store():
            return bool(await self._redis.hdel(self._key, name))

    async def _write(self, name: str, expected: str, record: R) -> None:
        arguments: list[str | bytes] = [name, expected, record.revision_id, msgspec.json.encode(record)]
        async with reaching_store():
            written = await self._put(keys=[self._key], args=arguments)
        if not written:
            raise ResourceConflict(
                "The operation cannot be performed at this time. "
                f"Another change is in progress for resource: {name}. Try again."
            )
