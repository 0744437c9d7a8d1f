"""A Redis stream as a source: a consumer group for each mapping, whose pending entries are what pollers have taken.

An entry that was not acknowledged is taken again when it has been idle for `HOLD_S`. All consumers have one name, so
that a group does not grow with each process there ever was; who has an entry is told by how long it has been idle.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.pollers.redis_names import RedisName, text_of
from gateway.pollers.source import HOLD_S, SourceProblem, Taken, encoded
from gateway.pollers.spent import Condition, GivenUp, Tells
from samovar.errors import ServiceUnavailable

RETRY_S: Final = 5.0
"""After this, an entry that failed is tried again."""
_CONSUMER: Final = "samovar"


class StreamRules(NamedTuple):
    """What a mapping says of a stream. Negative numbers are no limit."""

    start: str = "0"
    """The id behind which reading begins; `$` is the end."""
    retries: int = -1
    age_s: int = -1


class StreamSource:
    """See `gateway.pollers.source.Source`. The client has to wait for answers longer than a long poll takes."""

    body = "data"

    def __init__(
        self, client: redis.asyncio.Redis, name: RedisName, mapping: str, rules: StreamRules, spent: Tells
    ) -> None:
        """`spent` is told of entries that are given up."""
        self._spent = spent
        self._redis: Any = client
        self._name = name
        self._group = f"samovar:{mapping}"
        self._rules = rules
        self._is_open = False

    async def receive(self, most: int, wait_s: float) -> list[tuple[Taken, Mapping[str, Any]]]:
        """What waited for another try first, then what is new."""
        try:
            await self._open()
            again, pending = await self._again(most)
            if again:
                return again
            # Somebody has entries that may fail: those are to be found in time.
            wait_s = min(wait_s, RETRY_S) if pending else wait_s
            found = await self._redis.xreadgroup(
                self._group, _CONSUMER, {self._name.key: ">"}, count=most, block=max(1, int(wait_s * 1000))
            )
        except ResponseError as error:
            self._is_open = False
            raise SourceProblem(f"The stream {self._name.key} cannot be read: {error}") from error
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise _away(error) from error
        return [self._taken(identifier, fields) for _, entries in found for identifier, fields in entries]

    async def _open(self) -> None:
        if self._is_open:
            return
        try:
            await self._redis.xgroup_create(self._name.key, self._group, id=self._rules.start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._is_open = True

    async def _again(self, most: int) -> tuple[list[tuple[Taken, Mapping[str, Any]]], int]:
        """Entries whose time to be tried again has come, and how many are pending in all."""
        key, group = self._name.key, self._group
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xpending(key, group)
            pipeline.xpending_range(key, group, "-", "+", most, idle=int(HOLD_S * 1000))
            summary, idle = await pipeline.execute()
        if not idle:
            return [], summary["pending"]
        spent = {
            one["message_id"]: (one["times_delivered"], condition)
            for one in idle
            if (condition := self._condition(one["message_id"], one["times_delivered"])) is not None
        }
        if spent:
            await self._give_up(spent)
        due = [one["message_id"] for one in idle if one["message_id"] not in spent]
        # Of several pollers, the first one gets it: for the others it is not idle any more.
        entries = await self._redis.xclaim(key, group, _CONSUMER, int(HOLD_S * 1000), due) if due else []
        return [self._taken(identifier, fields) for identifier, fields in entries], summary["pending"]

    def _condition(self, identifier: bytes, tries: int) -> Condition | None:
        """Why an entry is given up, if it is."""
        rules = self._rules
        age_s = time.time() - _milliseconds(identifier) / 1000
        if 0 <= rules.retries < tries:
            return "RetryAttemptsExhausted"
        return "RecordAgeExceeded" if 0 <= rules.age_s < age_s else None

    async def _give_up(self, spent: Mapping[bytes, tuple[int, Condition]]) -> None:
        """Tell of entries, and acknowledge them. What has been trimmed from the stream is nowhere any more."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for identifier in spent:
                pipeline.xrange(self._name.key, identifier, identifier)
            found = [entry for entries in await pipeline.execute() for entry in entries]
        told = []
        for identifier, fields in found:
            taken, record = self._taken(identifier, fields)
            told.append(GivenUp(taken.id, record, *spent[identifier]))
        if told:
            await self._spent.tell(told)
        await self._redis.xack(self._name.key, self._group, *spent)

    def _taken(self, identifier: bytes, fields: Mapping[bytes, bytes]) -> tuple[Taken, Mapping[str, Any]]:
        name = identifier.decode()
        texts = {text_of(field): text_of(value) for field, value in fields.items()}
        record = {
            "eventID": name,
            "eventSource": "redis:stream",
            "eventSourceARN": self._name.arn,
            "awsRegion": self._name.region,
            "approximateArrivalTimestamp": _milliseconds(identifier) / 1000,
            "data": texts,
        }
        return Taken(name, None, encoded(record), identifier, time.monotonic()), record

    async def done(self, records: Sequence[Taken]) -> None:
        """See `Source`. The entries stay in the stream, whose length is its producers' affair."""
        try:
            await self._redis.xack(self._name.key, self._group, *[record.handle for record in records])
        except RedisError as error:
            raise _away(error) from error

    async def failed(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._idle(records, HOLD_S - RETRY_S)

    async def give_back(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._idle(records, HOLD_S)

    async def keep(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._idle(records, 0)

    async def _idle(self, records: Sequence[Taken], seconds: float) -> None:
        """Have entries look as if they had been idle for so long, which is not counted as another try."""
        handles = [record.handle for record in records]
        try:
            await self._redis.xclaim(
                self._name.key, self._group, _CONSUMER, 0, handles, idle=int(seconds * 1000), justid=True
            )
        except RedisError as error:
            raise _away(error) from error

    def deadline(self, record: Taken) -> float:
        """See `Source`: nobody else waits for it."""
        return record.at + HOLD_S * 3

    async def forget(self) -> None:
        """See `Source`."""
        try:
            await self._redis.xgroup_destroy(self._name.key, self._group)
        except ResponseError:
            return  # the stream is gone, and its groups with it
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise _away(error) from error

    async def close(self) -> None:
        """See `Source`. The client belongs to whoever made it."""


def _milliseconds(identifier: bytes) -> int:
    return int(identifier.partition(b"-")[0])


def _away(error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"Redis cannot be read now: {error}")
