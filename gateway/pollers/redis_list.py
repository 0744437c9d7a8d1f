"""A Redis list as a source: elements are taken from its head, where `LPUSH` and `RPUSH` keep what comes next.

What has been taken is kept beside the list until it is settled, under keys of the mapping's:

| key                            | type   | holds                                                     |
|--------------------------------|--------|-----------------------------------------------------------|
| `samovar:list:<UUID>:taken`    | hash   | id → the element                                          |
| `samovar:list:<UUID>:tries`    | hash   | id → how often it was handed over                         |
| `samovar:list:<UUID>:due`      | zset   | ids by the time (epoch ms) at which they are handed again |
| `samovar:list:<UUID>:counter`  | string | the last id                                               |
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.pollers.redis_names import RedisName, text_of
from gateway.pollers.redis_stream import RETRY_S
from gateway.pollers.source import HOLD_S, SourceProblem, Taken, encoded
from gateway.pollers.spent import GivenUp, Tells
from samovar.errors import ServiceUnavailable

_NOW: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
# KEYS of all scripts: the list, taken, tries, due, counter.
_TAKE: Final = f"""{_NOW}
local most, till, found = tonumber(ARGV[1]), now + ARGV[2], {{}}
local function give(id, element)
  redis.call('ZADD', KEYS[4], till, id)
  found[#found + 1] = {{id, redis.call('HINCRBY', KEYS[3], id, 1), element}}
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)) do
  give(id, redis.call('HGET', KEYS[2], id))
end
if #found < most then
  for _, element in ipairs(redis.call('LPOP', KEYS[1], most - #found) or {{}}) do
    local id = tostring(redis.call('INCR', KEYS[5]))
    redis.call('HSET', KEYS[2], id, element)
    give(id, element)
  end
end
return {{redis.call('ZCARD', KEYS[4]), found}}
"""
_DONE: Final = """
redis.call('HDEL', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[3], unpack(ARGV))
redis.call('ZREM', KEYS[4], unpack(ARGV))
"""
_DUE: Final = f"""{_NOW}
for i = 2, #ARGV do redis.call('ZADD', KEYS[4], 'XX', now + ARGV[1], ARGV[i]) end
"""
_FORGET: Final = """
local ids = redis.call('HKEYS', KEYS[2])
table.sort(ids, function(a, b) return tonumber(a) > tonumber(b) end)
for _, id in ipairs(ids) do redis.call('LPUSH', KEYS[1], redis.call('HGET', KEYS[2], id)) end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
"""


class ListSource:
    """See `gateway.pollers.source.Source`. The client has to wait for answers longer than a long poll takes."""

    body = "body"

    def __init__(
        self, client: redis.asyncio.Redis, name: RedisName, mapping: str, spent: Tells, retries: int = -1
    ) -> None:
        """`retries`: how often an element is tried again; negative is for ever. `spent` is told of those given up."""
        self._spent = spent
        self._redis: Any = client
        self._name = name
        self._retries = retries
        own = f"samovar:list:{mapping}:"
        self._keys = [name.key, f"{own}taken", f"{own}tries", f"{own}due", f"{own}counter"]
        self._scripts: dict[str, Any] = {text: client.register_script(text) for text in (_TAKE, _DONE, _DUE, _FORGET)}

    async def receive(self, most: int, wait_s: float) -> list[tuple[Taken, Mapping[str, Any]]]:
        """What waited for another try first, then the head of the list."""
        found, taken = await self._take(most)
        if not found and wait_s > 0:
            # Somebody has elements that may fail: those are to be found in time.
            await self._wait(min(wait_s, RETRY_S) if taken else wait_s)
            found, _ = await self._take(most)
        return found

    async def _take(self, most: int) -> tuple[list[tuple[Taken, Mapping[str, Any]]], int]:
        taken, found = await self._run(_TAKE, most, int(HOLD_S * 1000))
        spent = [one for one in found if 0 <= self._retries < one[1] - 1]
        if spent:
            taken_again = [(self._taken(*one), one[1] - 1) for one in spent]
            await self._spent.tell(
                [GivenUp(one.id, record, tries, "RetryAttemptsExhausted") for (one, record), tries in taken_again]
            )
            await self._run(_DONE, *[one[0] for one in spent])
        return [self._taken(*one) for one in found if one not in spent], int(taken)

    async def _wait(self, seconds: float) -> None:
        """Until the list has something in it: its head is moved to where it is."""
        key = self._name.key
        try:
            await self._redis.blmove(key, key, seconds, "LEFT", "LEFT")
        except ResponseError as error:
            raise self._problem(error) from error
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise _away(error) from error

    def _taken(self, identifier: bytes, tries: int, element: bytes) -> tuple[Taken, Mapping[str, Any]]:
        name = identifier.decode()
        record = {
            "messageId": name,
            "body": text_of(element),
            "attributes": {"ApproximateReceiveCount": str(tries)},
            "eventSource": "redis:list",
            "eventSourceARN": self._name.arn,
            "awsRegion": self._name.region,
        }
        return Taken(name, None, encoded(record), identifier, time.monotonic()), record

    async def done(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._run(_DONE, *[record.handle for record in records])

    async def failed(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._due(records, RETRY_S)

    async def give_back(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._due(records, 0)

    async def keep(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._due(records, HOLD_S)

    async def _due(self, records: Sequence[Taken], seconds: float) -> None:
        await self._run(_DUE, int(seconds * 1000), *[record.handle for record in records])

    def deadline(self, record: Taken) -> float:
        """See `Source`: nobody else waits for it."""
        return record.at + HOLD_S * 3

    async def forget(self) -> None:
        """See `Source`: what was taken and not settled goes back to the head of the list."""
        await self._run(_FORGET)

    async def close(self) -> None:
        """See `Source`. The client belongs to whoever made it."""

    async def _run(self, script: str, *arguments: object) -> Any:
        try:
            return await self._scripts[script](keys=self._keys, args=arguments)
        except ResponseError as error:
            raise self._problem(error) from error
        except (RedisError, OSError) as error:
            raise _away(error) from error

    def _problem(self, error: ResponseError) -> SourceProblem:
        return SourceProblem(f"The list {self._name.key} cannot be read: {error}")


def _away(error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"Redis cannot be read now: {error}")
