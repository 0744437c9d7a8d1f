"""What Redis holds of functions, behind one contract. Whether a change is allowed is the registry's business.

| key                           | type   | holds                                                     |
|-------------------------------|--------|-----------------------------------------------------------|
| `samovar:function:<ARN>`      | string | the `FunctionRecord` as JSON                              |
| `samovar:functions`           | zset   | ARNs, all with score 0, so that they list in their order  |
| `samovar:functions:ever`      | set    | ARNs of functions that exist or existed, for their usage  |
| `samovar:urls`                | hash   | URL id → ARN, of the function or of an alias              |
| `samovar:serial`              | string | the counter behind `FunctionVersion.serial`               |
| `samovar:changed`             | channel| the ARN of a function that was created, changed, deleted  |

Versions and aliases are in `qualified_store.py`, but go with their function.

Each change is one Lua script: compare, write, index and publish happen together or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, cast

import msgspec
import redis.asyncio
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.functions.record import FunctionRecord
from samovar.errors import ServiceUnavailable
from samovar.names import function_arn

COMMAND_TIMEOUT_S: Final = 5.0
"""Longest wait for one command, or one pipeline, including a new connection."""
RETRY_AFTER_S: Final = 1.0
CHANGED: Final = "samovar:changed"
FUNCTION: Final = "samovar:function:"
_INDEX: Final = "samovar:functions"
VERSIONS: Final = "samovar:versions:"
ALIASES: Final = "samovar:aliases:"
_EVER: Final = "samovar:functions:ever"
URLS: Final = "samovar:urls"
SERIAL: Final = "samovar:serial"
_PAGE: Final = 500

Written = Literal["ok", "missing", "exists", "changed"]

# A client repeats a script whose answer was lost; finding its own revision in place means it had worked.
_WRITE: Final = """
local current = redis.call('GET', KEYS[1])
local revision = current and cjson.decode(current).version.revision_id
if revision == ARGV[2] then return 'ok' end
if ARGV[1] == '' then
  if current then return 'exists' end
elseif not current then return 'missing'
elseif revision ~= ARGV[1] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('SADD', KEYS[3], ARGV[4])
if ARGV[5] ~= '' and ARGV[5] ~= ARGV[6] then redis.call('HDEL', KEYS[4], ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[4], ARGV[6], ARGV[4]) end
redis.call('PUBLISH', ARGV[7], ARGV[4])
return 'ok'
"""

_DELETE: Final = """
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
local url = cjson.decode(current).url
if type(url) == 'table' then redis.call('HDEL', KEYS[3], url.url_id) end
for _, raw in ipairs(redis.call('HVALS', KEYS[6])) do
  url = cjson.decode(raw).url
  if type(url) == 'table' then redis.call('HDEL', KEYS[3], url.url_id) end
end
redis.call('DEL', KEYS[1], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1])
return redis.call('INCR', KEYS[4])
"""


def connect(url: str, answers_within_s: float = COMMAND_TIMEOUT_S) -> redis.asyncio.Redis:
    """A client for `redis://`, `valkey://` (with or without TLS) or `unix://`; connects when first used."""
    if url.startswith("valkey"):
        url = "redis" + url.removeprefix("valkey")
    return redis.asyncio.Redis.from_url(url, socket_timeout=answers_within_s, socket_connect_timeout=COMMAND_TIMEOUT_S)


@asynccontextmanager
async def reaching_store() -> AsyncIterator[None]:
    """Put a deadline on what happens inside, and translate Redis being away into `ServiceUnavailable`."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            yield
    except (TimeoutError, RedisTimeoutError) as error:
        raise _unavailable(f"it did not answer within {COMMAND_TIMEOUT_S:g} s") from error
    except (BusyLoadingError, OutOfMemoryError, ReadOnlyError, ClusterDownError) as error:
        raise _unavailable(str(error)) from error
    except ResponseError as error:
        if not str(error).startswith(("MISCONF", "NOREPLICAS", "MASTERDOWN")):
            raise
        raise _unavailable(str(error)) from error
    except (RedisConnectionError, OSError) as error:
        raise _unavailable(str(error) or type(error).__name__) from error


def _unavailable(why: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"The store (Redis) cannot be used now: {why}. Functions that are loaded go on serving; "
        "try again, and look at `samovar status` if this persists.",
        retry_after=RETRY_AFTER_S,
    )


class Store:
    """The functions of an account, in every region. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis, account: str, region: str) -> None:
        self.redis: Any = client
        """Untyped on purpose: redis-py declares answers of its asynchronous commands as unions with plain values."""
        self.account = account
        self.region = region
        """The one that is meant where none is named."""
        self._write = client.register_script(_WRITE)
        self._delete = client.register_script(_DELETE)

    def arn(self, name: str, region: str | None = None) -> str:
        """The ARN of a function of this account."""
        return function_arn(self.account, region or self.region, name)

    async def ping(self) -> str:
        """The version of the server, when it answers."""
        async with reaching_store():
            info = await self.redis.info("server")
        return str(info.get("valkey_version") or info.get("redis_version") or "unknown")

    async def next_serial(self) -> int:
        """A number greater than all given out before."""
        async with reaching_store():
            return int(await self.redis.incr(SERIAL))

    async def get(self, arn: str) -> FunctionRecord | None:
        """The function's record, if it exists."""
        async with reaching_store():
            found = await self.redis.get(FUNCTION + arn)
        return None if found is None else _decode(found)

    async def by_url(self, url: str) -> FunctionRecord | None:
        """The function that has this URL (id and region, joined by a dot), if one has."""
        url_id, _, region = url.partition(".")
        arn = await self.url_owner(url_id)
        if arn is None:
            return None
        record = await self.get(arn)
        # Between the two reads the URL may have moved or gone.
        if record is None or record.url is None or (record.url.url_id, record.version.region) != (url_id, region):
            return None
        return record

    async def url_owner(self, url_id: str) -> str | None:
        """The ARN of the function or alias that has this URL id, if one has."""
        async with reaching_store():
            arn = await self.redis.hget(URLS, url_id)
        return None if arn is None else str(arn.decode())

    async def page(
        self, after: str | None, limit: int, region: str | None = None
    ) -> tuple[list[FunctionRecord], str | None]:
        """Up to `limit` functions of a region in the order of their names, from behind the name `after`.

        The second part is the name to continue behind, or `None` at the end.
        """
        prefix = self.arn("", region)
        arns, more = await self._arns(f"[{prefix}" if after is None else f"({prefix}{after}", f"[{prefix}\xff", limit)
        async with reaching_store():
            records = await self._read(arns)
        return records, arns[-1].decode().rpartition(":")[2] if more else None

    async def _arns(self, start: str, end: str, limit: int) -> tuple[list[bytes], bool]:
        """Up to `limit` ARNs between two, and whether there are more."""
        async with reaching_store():
            arns = await self.redis.zrange(_INDEX, start, end, bylex=True, offset=0, num=limit + 1)
        return arns[:limit], len(arns) > limit

    async def count(self) -> int:
        """How many functions there are."""
        async with reaching_store():
            return int(await self.redis.zcard(_INDEX))

    async def all(self) -> list[FunctionRecord]:
        """Every function of every region, read in pages so that no single command is long."""
        records: list[FunctionRecord] = []
        start, more = "-", True
        while more:
            arns, more = await self._arns(start, "+", _PAGE)
            async with reaching_store():
                records += await self._read(arns)
            start = f"({arns[-1].decode()}" if arns else "+"
        return records

    async def ever(self, region: str | None = None) -> list[str]:
        """ARNs of all functions of a region that exist or existed, in order."""
        async with reaching_store():
            arns = await self.redis.smembers(_EVER)
        return sorted(text for arn in arns if (text := arn.decode()).startswith(self.arn("", region)))

    async def existed(self, arn: str) -> bool:
        """Whether a function of that ARN exists or ever existed."""
        async with reaching_store():
            return bool(await self.redis.sismember(_EVER, arn))

    async def create(self, record: FunctionRecord) -> Written:
        """Write a new function: `ok`, or `exists`."""
        return await self._put(record, "", None)

    async def replace(self, current: FunctionRecord, record: FunctionRecord) -> Written:
        """Write `record` if the stored one still has `current`'s revision: `ok`, `missing` or `changed`."""
        return await self._put(record, current.version.revision_id, current)

    async def delete(self, arn: str) -> int | None:
        """Delete a function with its versions, aliases and URL.

        Returns a serial greater than any the function had, or `None` if absent.
        """
        async with reaching_store():
            serial = await self._delete(
                keys=[FUNCTION + arn, _INDEX, URLS, SERIAL, VERSIONS + arn, ALIASES + arn], args=[arn, CHANGED]
            )
        return int(serial) or None

    async def _put(self, record: FunctionRecord, expected: str, current: FunctionRecord | None) -> Written:
        arn = record.version.arn
        arguments: list[str | bytes] = [
            expected,
            record.version.revision_id,
            msgspec.json.encode(record),
            arn,
            current.url.url_id if current is not None and current.url is not None else "",
            record.url.url_id if record.url is not None else "",
            CHANGED,
        ]
        async with reaching_store():
            answer = await self._write(keys=[FUNCTION + arn, _INDEX, _EVER, URLS], args=arguments)
        return cast(Written, answer.decode())

    async def _read(self, arns: Sequence[bytes]) -> list[FunctionRecord]:
        if not arns:
            return []
        found = await self.redis.mget([FUNCTION.encode() + arn for arn in arns])
        return [_decode(raw) for raw in found if raw is not None]


def _decode(raw: bytes) -> FunctionRecord:
    return msgspec.json.decode(raw, type=FunctionRecord)
