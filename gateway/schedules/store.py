"""Schedules in the store; `keys.py` says under which keys. What has to happen at once is a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.schedules.keys import CHANGED, DUE, GROUPS, NEXT, RECORDS, TAGS
from gateway.schedules.schedule import Schedule
from samovar.errors import ResourceConflict

MAX_SCHEDULES: Final = 10_000

_MOVE: Final = f"""
local function move(arn, due, fires)
  if due == '' then
    redis.call('HDEL', '{NEXT}', arn)
    redis.call('ZREM', '{DUE}', arn)
  else
    redis.call('HSET', '{NEXT}', arn, due)
    redis.call('ZADD', '{DUE}', fires, arn)
  end
end
"""
_PUT: Final = f"""{_MOVE}
local before = redis.call('HGET', '{RECORDS}', ARGV[1])
if (ARGV[2] == '') ~= (not before) or (before and ARGV[2] ~= before) then return 0 end
if not before and redis.call('HLEN', '{RECORDS}') >= {MAX_SCHEDULES} then return -1 end
redis.call('HSET', '{RECORDS}', ARGV[1], ARGV[3])
move(ARGV[1], ARGV[4], ARGV[5])
redis.call('LPUSH', '{CHANGED}', '1')
redis.call('LTRIM', '{CHANGED}', 0, 0)
return 1
"""
_ADVANCE: Final = f"""{_MOVE}
if redis.call('HGET', '{NEXT}', ARGV[1]) ~= ARGV[2] then return 0 end
move(ARGV[1], ARGV[3], ARGV[4])
return 1
"""
_DUE: Final = f"""
local found = {{}}
for _, arn in ipairs(redis.call('ZRANGEBYSCORE', '{DUE}', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local record, moment = redis.call('HGET', '{RECORDS}', arn), redis.call('HGET', '{NEXT}', arn)
  if record and moment then
    found[#found + 1] = record
    found[#found + 1] = moment
  else
    redis.call('ZREM', '{DUE}', arn)
  end
end
return found
"""
_DELETE: Final = f"""
redis.call('HDEL', '{NEXT}', ARGV[1])
redis.call('ZREM', '{DUE}', ARGV[1])
return redis.call('HDEL', '{RECORDS}', ARGV[1])
"""


class Due(NamedTuple):
    """A schedule whose next moment's time has come."""

    schedule: Schedule
    moment: float


class ScheduleStore:
    """Every method raises `ServiceUnavailable` when the store is away."""

    def __init__(self, client: redis.asyncio.Redis, wake: Callable[[], None] | None = None) -> None:
        """`wake` has a worker there that looks at the clock; when a schedule is made it may have nothing else to do."""
        self._redis: Any = client
        self._wake = wake
        self._put = client.register_script(_PUT)
        self._advance = client.register_script(_ADVANCE)
        self._due: Any = client.register_script(_DUE)
        self._delete = client.register_script(_DELETE)

    async def get(self, arn: str) -> Schedule | None:
        """One schedule, if it exists."""
        async with reaching_store():
            found = await self._redis.hget(RECORDS, arn)
        return None if found is None else _decode(found)

    async def all(self) -> list[Schedule]:
        """Every schedule of every region, by ARN."""
        async with reaching_store():
            found = await self._redis.hgetall(RECORDS)
        return [_decode(found[arn]) for arn in sorted(found)]

    async def moments(self) -> dict[str, float]:
        """When each schedule is due next, by ARN; epoch seconds."""
        async with reaching_store():
            found = await self._redis.hgetall(NEXT)
        return {arn.decode(): int(moment) / 1000 for arn, moment in found.items()}

    async def put(self, before: Schedule | None, after: Schedule, due: float | None) -> bool:
        """Write a schedule over `before`, or anew, and when it is due next; false if it is not `before` any more.

        Raises `ResourceConflict` when there are too many.
        """
        fires = "" if due is None else _ms(after.fires(due))
        told = "" if before is None else msgspec.json.encode(before)
        arguments: list[Any] = [after.arn, told, msgspec.json.encode(after), "" if due is None else _ms(due), fires]
        async with reaching_store():
            done = await self._put(args=arguments)
        if done < 0:
            raise ResourceConflict(f"There are {MAX_SCHEDULES} schedules already; delete some first")
        if self._wake is not None:
            self._wake()
        return bool(done)

    async def delete(self, arn: str) -> bool:
        """Remove a schedule; false when there is none."""
        async with reaching_store():
            return bool(await self._delete(args=[arn]))

    async def due(self, now: float, limit: int) -> list[Due]:
        """Schedules whose time has come, those that wait longest first."""
        async with reaching_store():
            found = await self._due(args=[_ms(now), limit])
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Due(_decode(record), int(moment) / 1000) for record, moment in pairs]

    async def advance(self, schedule: Schedule, moment: float, following: float | None) -> bool:
        """Have the next moment be `following`; false when it is not `moment` any more."""
        fires = "" if following is None else _ms(schedule.fires(following))
        arguments: list[Any] = [schedule.arn, _ms(moment), "" if following is None else _ms(following), fires]
        async with reaching_store():
            return bool(await self._advance(args=arguments))

    async def put_off(self, schedule: Schedule, until: float) -> None:
        """Try the moment that could not be run again, but not before then."""
        async with reaching_store():
            await self._redis.zadd(DUE, {schedule.arn: _ms(until)}, xx=True)

    async def groups(self) -> dict[str, float]:
        """ARN of each group that was made, and when."""
        async with reaching_store():
            found = await self._redis.hgetall(GROUPS)
        return {arn.decode(): float(made.partition(b" ")[0]) for arn, made in found.items()}

    async def make_group(self, arn: str, now: float, token: str = "") -> bool:
        """Make a group; false when there is one, unless the request with this client token made it."""
        async with reaching_store():
            if await self._redis.hsetnx(GROUPS, arn, f"{now} {token}".rstrip()):
                return True
            found = await self._redis.hget(GROUPS, arn) or b""
        return bool(token) and found.partition(b" ")[2].decode() == token

    async def remove_group(self, arn: str) -> bool:
        """Remove a group, not what is in it; false when there is none."""
        async with reaching_store(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(GROUPS, arn)
            pipe.hdel(TAGS, arn)
            removed, _ = await pipe.execute()
        return bool(removed)

    async def tags(self, arn: str) -> dict[str, str]:
        """The tags of a group; none of one that has none, or is not there."""
        async with reaching_store():
            found = await self._redis.hget(TAGS, arn)
        return {} if found is None else msgspec.json.decode(found, type=dict[str, str])

    async def put_tags(self, arn: str, tags: dict[str, str]) -> None:
        """Have these be the tags of a group. Of two who change them at once the later one wins."""
        async with reaching_store():
            await self._redis.hset(TAGS, arn, msgspec.json.encode(tags))


def _ms(moment: float) -> int:
    return round(moment * 1000)


def _decode(stored: bytes) -> Schedule:
    return msgspec.json.decode(stored, type=Schedule)
