"""What Redis holds of deployed templates.

| key                       | type | holds                                      |
|---------------------------|------|--------------------------------------------|
| `samovar:stacks:<region>` | hash | name → the `Stack` as JSON                 |
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.stack import Stack

MAX_STACKS: Final = 2000
"""In a region; CloudFormation has as many in an account."""
_STACKS: Final = "samovar:stacks:"


class StackStore:
    """The stacks of all regions. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client  # redis-py declares answers as unions with plain values

    async def all(self, region: str) -> list[Stack]:
        """Every stack of a region, in the order of their names."""
        async with reaching_store():
            found = await self._redis.hgetall(_STACKS + region)
        return [msgspec.json.decode(found[name], type=Stack) for name in sorted(found)]

    async def get(self, region: str, name: str) -> Stack:
        """One stack. Raises `ResourceNotFound`."""
        async with reaching_store():
            found = await self._redis.hget(_STACKS + region, name)
        if found is None:
            raise ResourceNotFound(f"Stack not found: {name}")
        return msgspec.json.decode(found, type=Stack)

    async def put(self, region: str, stack: Stack) -> None:
        """Write a stack. Raises `InvalidParameterValue` when there are too many."""
        async with reaching_store():
            is_new = not await self._redis.hexists(_STACKS + region, stack.name)
            if is_new and await self._redis.hlen(_STACKS + region) >= MAX_STACKS:
                raise InvalidParameterValue(f"There are {MAX_STACKS} stacks already")
            await self._redis.hset(_STACKS + region, stack.name, msgspec.json.encode(stack))

    async def remove(self, region: str, name: str) -> None:
        """Remove one. Raises `ResourceNotFound`."""
        async with reaching_store():
            removed = await self._redis.hdel(_STACKS + region, name)
        if not removed:
            raise ResourceNotFound(f"Stack not found: {name}")
