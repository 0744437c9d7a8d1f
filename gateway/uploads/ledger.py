"""What is known of a change before it is told, and what is remembered of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
import redis.asyncio

from gateway.events import keys as events
from gateway.functions.store import reaching_store
from gateway.uploads import intents, keys
from gateway.uploads.intents import Intent
from gateway.uploads.record import Change
from gateway.uploads.rules import Rule

TOLD_S: Final = 86_400
_FOUND: Final = b"found"
"""It was told because somebody looked, not because the server said so; the server may say so yet."""
_HEARD: Final = b"heard"
_rules: Final = msgspec.json.Decoder(list[Rule]).decode


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far the server's changes have been told."""

    at_ns: int
    server: str = ""
    """Which start of the server it was; another one may have lost the end of its own account."""
    look_since_s: int = 0
    """From where on objects are still to be looked at, epoch seconds; 0 for nowhere."""


class Known(NamedTuple):
    """What there is to know of a change."""

    rules: list[Rule]
    intent: Intent | None
    was_found: bool
    """It has been told already, by looking at the object."""
    was_heard: bool


class Ledger:
    """Every method raises `ServiceUnavailable` when the store is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client
        """Untyped on purpose, as in `gateway.functions.store.Store`."""

    async def look(self, change: Change) -> Known:
        """One question to the store."""
        async with reaching_store(), self._redis.pipeline(transaction=False) as commands:
            commands.hget(keys.RULES, change.bucket)
            commands.lrange(keys.hints(change.bucket, change.key), 0, -1)
            commands.get(keys.told(digest(change)))
            rules, hints, told = await commands.execute()
        noted = (intents.decode(one) for one in hints)
        intent = None if change.is_noted else next((one for one in noted if one.removes == change.removes), None)
        return Known([] if rules is None else _rules(rules), intent, told == _FOUND, told == _HEARD)

    async def were_told(self, changes: Sequence[Change]) -> list[bool]:
        """Of each of these whether it has been told, by one question to the store."""
        if not changes:
            return []
        async with reaching_store():
            found = await self._redis.mget([keys.told(digest(change)) for change in changes])
        return [told is not None for told in found]

    async def was_handed_in(self, name: str) -> bool:
        """Whether an event of that name has been taken."""
        async with reaching_store():
            return bool(await self._redis.exists(events.once(name)))

    async def settle(self, change: Change, intent: Intent | None, cursor: Cursor | None) -> None:
        """A change has been told. `cursor` is `None` for one that was found by looking."""
        async with reaching_store(), self._redis.pipeline() as commands:
            commands.set(keys.told(digest(change)), _FOUND if cursor is None else _HEARD, ex=TOLD_S)
            if cursor is not None:
                commands.set(keys.CURSOR, msgspec.json.encode(cursor))
            if intent is not None:
                written = intents.encode(intent)
                commands.zrem(keys.INTENTS, written)
                commands.zrem(keys.ANSWERED, written)
                commands.lrem(keys.hints(change.bucket, change.key), 1, written)
                commands.delete(intents.outcome_key(intent))
            await commands.execute()

    async def cursor(self) -> Cursor | None:
        """How far the last life of this process came."""
        async with reaching_store():
            found = await self._redis.get(keys.CURSOR)
        return None if found is None else msgspec.json.decode(found, type=Cursor)

    async def advance(self, cursor: Cursor) -> None:
        """There was nothing to tell up to here."""
        async with reaching_store():
            await self._redis.set(keys.CURSOR, msgspec.json.encode(cursor))


def digest(change: Change) -> str:
    """Names the state an object was brought to, as far as somebody who looks at it can see."""
    seen: tuple[object, ...] = (
        change.bucket,
        change.key,
        change.version,
        change.etag,
        change.modified_s,
        change.removes,
    )
    if change.is_noted:  # nobody looks for these, and none of them is another
        seen += (change.event, change.at_ns)
    return sha256(msgspec.json.encode(seen)).hexdigest()[:40]
