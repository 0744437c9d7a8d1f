"""What a request is about to do to an object, noted before the S3 server is asked.

The note tells later who did it, and it outlives every process: if the server's own account of the change is lost, the
note is what makes somebody look (`reconciling.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.uploads import keys

HINT_S: Final = 3600
_WAIT_S: Final = 4
"""Shorter than a command to the store may take."""
MAX_INTENTS: Final = 100_000
"""The oldest are dropped beyond it."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change an object."""

    bucket: str
    key: str
    event: str
    """In the words of notices: `ObjectCreated:Put`."""
    at: float
    """Epoch seconds."""
    request_id: str
    principal: str
    """Who asked, as events tell it."""
    address: str
    """From where."""
    trace: str | msgspec.UnsetType = msgspec.UNSET
    """The trace header it came with. Intents are found again by how they are written, so most have none."""

    @property
    def removes(self) -> bool:
        """Whether the object is to be gone."""
        return self.event.startswith("ObjectRemoved")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a request to change an object came to, as its client is told."""

    etag: str = ""
    """Without quotes; empty where the answer's head does not have it."""
    version: str = ""
    size: int = 0


KEPT_S: Final = 6 * 3600
"""By then a request that was noted is over, however slow, and has been looked into."""
_NOTE_OUTCOME: Final = f"""
if redis.call('ZSCORE', '{keys.INTENTS}', ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', {KEPT_S})
  redis.call('ZADD', '{keys.ANSWERED}', ARGV[3], ARGV[1])
end
"""


def outcome_key(intent: Intent) -> str:
    """Where the outcome of an intent is. One request may have several."""
    return keys.outcome(intent.request_id, intent.bucket, intent.key)


encode: Final = msgspec.json.encode
decode: Final = msgspec.json.Decoder(Intent).decode


class Intents:
    """Every method raises `ServiceUnavailable` when the store is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client
        """Untyped on purpose, as in `gateway.functions.store.Store`."""
        self._note_outcome: Any = client.register_script(_NOTE_OUTCOME)

    async def note(self, *noted: Intent) -> None:
        """Before the change, or the changes of one request."""
        async with reaching_store(), self._redis.pipeline() as commands:
            for intent in noted:
                written = encode(intent)
                hints = keys.hints(intent.bucket, intent.key)
                commands.zadd(keys.INTENTS, {written: intent.at})
                commands.rpush(hints, written)
                commands.expire(hints, HINT_S)
            commands.zremrangebyrank(keys.INTENTS, 0, -MAX_INTENTS - 1)
            await commands.execute()

    async def withdraw(self, *noted: Intent) -> None:
        """The change did not happen, or has been told."""
        async with reaching_store(), self._redis.pipeline() as commands:
            for intent in noted:
                written = encode(intent)
                commands.zrem(keys.INTENTS, written)
                commands.zrem(keys.ANSWERED, written)
                commands.lrem(keys.hints(intent.bucket, intent.key), 1, written)
                commands.delete(outcome_key(intent))
            await commands.execute()

    async def put_off(self, intent: Intent, now: float) -> None:
        """Nothing came of it yet: `before` has it again when it is twice as old. Of those that end well, nothing."""
        async with reaching_store():
            await self._redis.zadd(keys.INTENTS, {encode(intent): now + (now - intent.at)}, xx=True)

    async def answered(self, noted: Iterable[Intent], outcome: Outcome, now: float) -> None:
        """The changes are made, and their client is about to be told; nothing is noted of one that was told already."""
        written = msgspec.json.encode(outcome)
        async with reaching_store(), self._redis.pipeline(transaction=False) as commands:
            for intent in noted:
                await self._note_outcome(
                    keys=[outcome_key(intent)], args=[encode(intent), written, now], client=commands
                )
            await commands.execute()

    async def outcome(self, intent: Intent) -> Outcome | None:
        """What a request came to; `None` when its client was never told that it came to anything."""
        async with reaching_store():
            found = await self._redis.get(outcome_key(intent))
        return None if found is None else msgspec.json.decode(found, type=Outcome)

    async def happened(self, noted: Iterable[Intent]) -> None:
        """The changes are made, by a server that tells nobody of them."""
        async with reaching_store(), self._redis.pipeline() as commands:
            for intent in noted:
                commands.rpush(keys.HAPPENED, encode(intent))
            commands.ltrim(keys.HAPPENED, -MAX_INTENTS, -1)
            await commands.execute()

    async def next_happened(self) -> Intent | None:
        """The next change that was made by such a server; `None` when there is none for some seconds."""
        async with reaching_store():
            found = await self._redis.blpop(keys.HAPPENED, timeout=_WAIT_S)
        return None if found is None else decode(found[1])

    async def before(self, moment: float, limit: int = 1000) -> list[Intent]:
        """Intents noted, or put off to, before a moment (epoch seconds), of which nothing more was heard."""
        return await self._oldest(keys.INTENTS, moment, limit)

    async def answered_before(self, moment: float, limit: int = 1000) -> list[Intent]:
        """Those whose clients were answered before a moment, oldest first."""
        return await self._oldest(keys.ANSWERED, moment, limit)

    async def _oldest(self, key: str, moment: float, limit: int) -> list[Intent]:
        async with reaching_store():
            found = await self._redis.zrangebyscore(key, "-inf", moment, start=0, num=limit)
        return [decode(one) for one in found]
