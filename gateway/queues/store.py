"""What Redis holds of queues beside their messages, which `scripts.py` has.

| key                            | type | holds                                                                     |
|--------------------------------|------|---------------------------------------------------------------------------|
| `samovar:queue:<ARN>`          | hash | `content`, the `Queue` as JSON; its `uid` and `revision`, for the scripts |
| `samovar:queues`               | zset | ARNs, all with score 0, so that they list in their order                  |
| `samovar:queues:sources:<ARN>` | set  | ARNs of the queues that have it as dead-letter queue                      |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.queues.queue import Queue

RECORD: Final = "samovar:queue:"
_INDEX: Final = "samovar:queues"
_SOURCES: Final = "samovar:queues:sources:"

# A client repeats a script whose answer was lost; finding its own revision in place means it had worked.
_WRITE: Final = """
local current = redis.call('HGET', KEYS[1], 'revision')
if current == ARGV[2] then return 1 end
if (current or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'uid', ARGV[3], 'content', ARGV[4])
redis.call('ZADD', KEYS[2], 0, ARGV[5])
if ARGV[6] ~= ARGV[7] then
  if ARGV[6] ~= '' then redis.call('SREM', ARGV[6], ARGV[5]) end
  if ARGV[7] ~= '' then redis.call('SADD', ARGV[7], ARGV[5]) end
end
return 1
"""


class QueueStore:
    """The records of all queues of an account. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client  # redis-py declares answers as unions with plain values
        self._write = client.register_script(_WRITE)

    async def get(self, arn: str) -> Queue | None:
        """The queue's record, if it exists."""
        async with reaching_store():
            found = await self._redis.hget(RECORD + arn, "content")
        return None if found is None else msgspec.json.decode(found, type=Queue)

    async def put(self, current: Queue | None, queue: Queue) -> bool:
        """Write a new queue, or `queue` over `current`; false if somebody else wrote or removed it in between."""
        arguments: list[str | bytes] = [
            "" if current is None else current.revision,
            queue.revision,
            queue.uid,
            msgspec.json.encode(queue),
            queue.arn,
            "" if current is None else _feeds(current),
            _feeds(queue),
        ]
        async with reaching_store():
            return bool(await self._write(keys=[RECORD + queue.arn, _INDEX], args=arguments))

    async def unlist(self, queue: Queue) -> None:
        """Forget that there was a queue, whose record is gone."""
        async with reaching_store():
            await self._redis.zrem(_INDEX, queue.arn)
            if _feeds(queue):
                await self._redis.srem(_feeds(queue), queue.arn)
            await self._redis.delete(_SOURCES + queue.arn)

    async def page(self, prefix: str, after: str, limit: int) -> tuple[list[str], bool]:
        """Up to `limit` ARNs that begin with `prefix`, from behind `after` unless empty; whether there are more."""
        async with reaching_store():
            arns = await self._redis.zrange(
                _INDEX, f"({after}" if after else f"[{prefix}", f"[{prefix}\xff", bylex=True, offset=0, num=limit + 1
            )
        return [arn.decode() for arn in arns[:limit]], len(arns) > limit

    async def sources(self, arn: str) -> Sequence[str]:
        """ARNs of the queues that have this one as dead-letter queue, in order."""
        async with reaching_store():
            found = await self._redis.smembers(_SOURCES + arn)
        return sorted(one.decode() for one in found)


def _feeds(queue: Queue) -> str:
    redrive = queue.rules.redrive
    return "" if redrive is None else f"{_SOURCES}{redrive.target}"
