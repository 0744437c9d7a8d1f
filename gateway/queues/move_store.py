"""What Redis holds of tasks that move messages out of dead-letter queues.

| key                              | type   | holds                                                         |
|----------------------------------|--------|---------------------------------------------------------------|
| `samovar:queues:move:<task>`     | hash   | the fields of a `Move`                                        |
| `samovar:queues:moves:<ARN>`     | list   | ids of the last tasks of a queue, the newest first            |
| `samovar:queues:moving`          | hash   | ARN of a queue → id of its task that is not finished          |
| `samovar:queues:mover:<task>`    | string | who carries the task out; gone when that one says nothing more |
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store

Status = Literal["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"]
KEPT: Final = 10
"""Tasks of a queue that are remembered: as many as ListMessageMoveTasks shows."""
KEPT_S: Final = 14 * 86_400
LEASE_S: Final = 10.0
_MOVE: Final = "samovar:queues:move:"
_MOVES: Final = "samovar:queues:moves:"
_MOVING: Final = "samovar:queues:moving"
_MOVER: Final = "samovar:queues:mover:"

_START: Final = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
for at = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('LTRIM', KEYS[3], 0, ARGV[3] - 1)
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
_CANCEL: Final = """
if redis.call('HGET', KEYS[1], 'status') ~= 'RUNNING' then return -1 end
redis.call('HSET', KEYS[1], 'status', 'CANCELLING')
return tonumber(redis.call('HGET', KEYS[1], 'moved'))
"""
_LEASE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    id: str
    source: str
    """ARN."""
    destination: str = ""
    """ARN; empty for the queue each message came from."""
    rate: int = 0
    """Messages a second; 0 for as many as there are."""
    to_move: int
    moved: int = 0
    status: Status = "RUNNING"
    started_ms: int
    reason: str = ""
    """Why it failed."""


class MoveStore:
    """Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client  # redis-py declares answers as unions with plain values
        self._start = client.register_script(_START)
        self._cancel = client.register_script(_CANCEL)
        self._lease = client.register_script(_LEASE)

    async def start(self, move: Move) -> bool:
        """Note a task; false when the queue has one that is not finished."""
        fields = [part for name, value in msgspec.structs.asdict(move).items() for part in (name, value)]
        keys = [_MOVING, _MOVE + move.id, _MOVES + move.source]
        async with reaching_store():
            return bool(await self._start(keys=keys, args=[move.source, move.id, KEPT, KEPT_S, *fields]))

    async def get(self, task: str) -> Move | None:
        """A task, if it is remembered."""
        async with reaching_store():
            found = await self._redis.hgetall(_MOVE + task)
        if not found:
            return None
        return msgspec.convert({name.decode(): value.decode() for name, value in found.items()}, Move, strict=False)

    async def latest(self, source: str, most: int) -> list[Move]:
        """The last tasks of a queue, the newest first."""
        async with reaching_store():
            tasks = await self._redis.lrange(_MOVES + source, 0, most - 1)
        found = [await self.get(task.decode()) for task in tasks]
        return [move for move in found if move is not None]

    async def unfinished(self) -> list[str]:
        """Ids of tasks that are not finished."""
        async with reaching_store():
            return [task.decode() for task in await self._redis.hvals(_MOVING)]

    async def cancel(self, task: str) -> int | None:
        """Have a task stop; how many messages it has moved, or `None` if it does not run."""
        async with reaching_store():
            moved = int(await self._cancel(keys=[_MOVE + task]))
        return moved if moved >= 0 else None

    async def hold(self, task: str, mover: str) -> bool:
        """Whether this one carries a task out for the next `LEASE_S`."""
        async with reaching_store():
            return bool(await self._lease(keys=[_MOVER + task], args=[mover, int(LEASE_S * 1000)]))

    async def add(self, task: str, moved: int) -> None:
        """So many more messages have been moved."""
        async with reaching_store():
            await self._redis.hincrby(_MOVE + task, "moved", moved)

    async def finish(self, move: Move, status: Status, reason: str = "") -> None:
        """A task has come to its end."""
        async with reaching_store(), self._redis.pipeline(transaction=True) as together:
            together.hset(_MOVE + move.id, mapping={"status": status, "reason": reason})
            together.hdel(_MOVING, move.source)
            together.delete(_MOVER + move.id)
            await together.execute()
