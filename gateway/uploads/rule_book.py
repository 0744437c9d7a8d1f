"""The rules of buckets in the store, and whether what they name is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from gateway.functions.store import COMMAND_TIMEOUT_S, reaching_store
from gateway.uploads import keys
from gateway.uploads.rules import Rule, check
from samovar.errors import ServiceUnavailable

LOOK_EVERY_S: Final = 30.0
"""A notice is missed only with the connection it would have come by; this is for what nobody thought of."""
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
        await self._write(bucket, rules)

    async def forget(self, bucket: str) -> None:
        """A bucket was deleted."""
        await self._write(bucket, ())

    async def changes(self) -> AsyncGenerator[None]:
        """Something once for the beginning, whenever rules change, and every `LOOK_EVERY_S` in case that was missed.

        Raises `ServiceUnavailable` when the store goes away.
        """
        async with reaching_store():
            subscription = self._redis.pubsub()
            await subscription.subscribe(keys.RULES_CHANGED)
            await subscription.get_message(timeout=COMMAND_TIMEOUT_S)  # from when on notices come
        try:
            yield
            while True:
                if await self._next(subscription):
                    yield
        finally:
            await subscription.aclose()

    @staticmethod
    async def _next(subscription: Any) -> bool:
        """Wait for a notice, or until it is time to look anyhow; whether it was something else that came."""
        try:
            said = await subscription.get_message(timeout=LOOK_EVERY_S)
        except (RedisError, OSError) as error:
            raise ServiceUnavailable(f"changes of rules are not heard: {error}") from error
        return said is None or said["type"] == "message"

    async def _write(self, bucket: str, rules: Sequence[Rule]) -> None:
        async with reaching_store(), self._redis.pipeline() as commands:
            if rules:
                commands.hset(keys.RULES, bucket, _encode(list(rules)))
            else:
                commands.hdel(keys.RULES, bucket)
            commands.publish(keys.RULES_CHANGED, bucket)
            await commands.execute()
