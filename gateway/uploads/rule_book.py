"""The rules of buckets in the store, and whether what they name is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.uploads import keys
from gateway.uploads.rules import Rule, check

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(list[Rule]).decode

Check = Callable[[Sequence[Rule]], Awaitable[None]]
"""Raises `InvalidArgument` unless what the rules name can be told of changes."""


class RuleBook:
    """Every method raises `ServiceUnavailable` when the store is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client
        """Untyped on purpose, as in `gateway.functions.store.Store`."""

    async def rules(self, bucket: str) -> list[Rule]:
        """The rules of one bucket, of which there may be none."""
        async with reaching_store():
            found = await self._redis.hget(keys.RULES, bucket)
        return [] if found is None else _decode(found)

    async def all(self) -> dict[str, list[Rule]]:
        """The buckets that have rules."""
        async with reaching_store():
            found = await self._redis.hgetall(keys.RULES)
        return {bucket.decode(): _decode(rules) for bucket, rules in found.items()}

    async def replace(self, bucket: str, rules: Sequence[Rule], check_targets: Check) -> None:
        """Give a bucket these rules in place of those it has. Raises `InvalidArgument`."""
        check(rules)
        await check_targets(rules)
        async with reaching_store():
            if rules:
                await self._redis.hset(keys.RULES, bucket, _encode(list(rules)))
            else:
                await self._redis.hdel(keys.RULES, bucket)

    async def forget(self, bucket: str) -> None:
        """A bucket was deleted."""
        async with reaching_store():
            await self._redis.hdel(keys.RULES, bucket)
