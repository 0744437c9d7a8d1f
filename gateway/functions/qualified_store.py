"""What Redis holds of functions beside `$LATEST`: published versions and aliases.

| key                      | type | holds                                             |
|--------------------------|------|---------------------------------------------------|
| `samovar:versions:<ARN>` | hash | number → the `FunctionRecord` it was published as |
| `samovar:aliases:<ARN>`  | hash | name → `Alias`                                    |

`<ARN>` is the function's, without a qualifier. As in `store.py`, each change is one script, and what has changed is
told on the same channel: the ARN of the function, or of the version or alias.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import redis.asyncio

from gateway.functions.record import Alias, FunctionRecord
from gateway.functions.store import ALIASES, CHANGED, FUNCTION, SERIAL, URLS, VERSIONS, reaching_store

_PUBLISH: Final = """
local current = redis.call('GET', KEYS[1])
if not current then return 'missing' end
local revision = cjson.decode(current).version.revision_id
if revision == ARGV[2] then return 'ok' end
if revision ~= ARGV[1] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 'ok'
"""

_DELETE_VERSION: Final = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {0} end
local used = {}
for _, raw in ipairs(redis.call('HVALS', KEYS[2])) do
  local alias = cjson.decode(raw)
  if alias.version == ARGV[1] or (alias.weights and alias.weights[ARGV[1]]) then table.insert(used, alias.name) end
end
if #used > 0 then return {-1, unpack(used)} end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return {redis.call('INCR', KEYS[3])}
"""

# ARGV: revision that is expected ('' for a new one), name, revision to be, JSON, channel, qualified ARN, the ids of the
# URL it had and of the one it is to have, versions meant
_PUT_ALIAS: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
for i = 9, #ARGV do
  if ARGV[i] ~= '$LATEST' and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then return 'version:' .. ARGV[i] end
end
local current = redis.call('HGET', KEYS[3], ARGV[2])
local revision = current and cjson.decode(current).revision_id
if revision == ARGV[3] then return 'ok' end
if ARGV[1] == '' then
  if current then return 'exists' end
elseif not current then return 'missing'
elseif revision ~= ARGV[1] then return 'changed' end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
if ARGV[7] ~= '' and ARGV[7] ~= ARGV[8] then redis.call('HDEL', KEYS[4], ARGV[7]) end
if ARGV[8] ~= '' then redis.call('HSET', KEYS[4], ARGV[8], ARGV[6]) end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'ok'
"""

_DELETE_ALIAS: Final = """
local current = redis.call('HGET', KEYS[1], ARGV[1])
if not current then return end
local url = cjson.decode(current).url
if type(url) == 'table' then redis.call('HDEL', KEYS[2], url.url_id) end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
"""


class VersionInUse(Exception):
    """Aliases point to the version that was to be deleted."""

    def __init__(self, aliases: list[str]) -> None:
        super().__init__(f"used by the aliases {', '.join(aliases)}")
        self.aliases = aliases


class QualifiedStore:
    """Versions and aliases. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis: Any = client
        self._publish = client.register_script(_PUBLISH)
        self._delete_version = client.register_script(_DELETE_VERSION)
        self._put_alias = client.register_script(_PUT_ALIAS)
        self._delete_alias = client.register_script(_DELETE_ALIAS)

    async def version(self, arn: str, number: str) -> FunctionRecord | None:
        """A published version as it was published."""
        async with reaching_store():
            found = await self.redis.hget(VERSIONS + arn, number)
        return None if found is None else msgspec.json.decode(found, type=FunctionRecord)

    async def numbers(self, arn: str) -> list[int]:
        """The numbers of a function's published versions, in order."""
        async with reaching_store():
            return sorted(int(number) for number in await self.redis.hkeys(VERSIONS + arn))

    async def versions(self, arn: str, numbers: list[int]) -> list[FunctionRecord]:
        """Those of the published versions that exist, in the order of `numbers`."""
        if not numbers:
            return []
        async with reaching_store():
            found = await self.redis.hmget(VERSIONS + arn, [str(number) for number in numbers])
        return [msgspec.json.decode(raw, type=FunctionRecord) for raw in found if raw is not None]

    async def publish(
        self, current: FunctionRecord, latest: FunctionRecord, version: FunctionRecord
    ) -> Literal["ok", "missing", "changed"]:
        """Write a new version, and `$LATEST` as it is after that if it still has `current`'s revision."""
        arguments: list[str | bytes] = [
            current.version.revision_id,
            latest.version.revision_id,
            msgspec.json.encode(latest),
            version.version.version,
            msgspec.json.encode(version),
            CHANGED,
            current.arn,
        ]
        async with reaching_store():
            answer = await self._publish(keys=[FUNCTION + current.arn, VERSIONS + current.arn], args=arguments)
        written: Literal["ok", "missing", "changed"] = answer.decode()
        return written

    async def delete_version(self, arn: str, number: str) -> int | None:
        """Delete a version. Returns a serial greater than any it had, or `None` if absent. Raises `VersionInUse`."""
        keys = [VERSIONS + arn, ALIASES + arn, SERIAL]
        async with reaching_store():
            serial, *used = await self._delete_version(keys=keys, args=[number, CHANGED, f"{arn}:{number}"])
        if serial < 0:
            raise VersionInUse(sorted(name.decode() for name in used))
        return int(serial) or None

    async def alias(self, arn: str, name: str) -> Alias | None:
        """An alias, if it exists."""
        async with reaching_store():
            found = await self.redis.hget(ALIASES + arn, name)
        return None if found is None else msgspec.json.decode(found, type=Alias)

    async def aliases(self, arn: str) -> list[Alias]:
        """All aliases of a function, in the order of their names."""
        async with reaching_store():
            found = await self.redis.hvals(ALIASES + arn)
        return sorted((msgspec.json.decode(raw, type=Alias) for raw in found), key=lambda alias: alias.name)

    async def put_alias(self, arn: str, current: Alias | None, alias: Alias) -> str:
        """Write an alias if it is still as `current`.

        Answers `ok`, `exists`, `changed`, `missing` (the function or the alias), or `version:N` when it points to a
        version that does not exist.
        """
        arguments: list[str | bytes] = [
            "" if current is None else current.revision_id,
            alias.name,
            alias.revision_id,
            msgspec.json.encode(alias),
            CHANGED,
            f"{arn}:{alias.name}",
            current.url.url_id if current is not None and current.url is not None else "",
            alias.url.url_id if alias.url is not None else "",
            alias.version,
            *alias.weights,
        ]
        async with reaching_store():
            answer = await self._put_alias(keys=[FUNCTION + arn, VERSIONS + arn, ALIASES + arn, URLS], args=arguments)
        return str(answer.decode())

    async def delete_alias(self, arn: str, name: str) -> None:
        """Delete an alias with its URL; one that is not there is no error."""
        async with reaching_store():
            await self._delete_alias(keys=[ALIASES + arn, URLS], args=[name, CHANGED, f"{arn}:{name}"])

    async def code_digests(self, arn: str) -> set[str]:
        """The packages and layers that a function's published versions use."""
        versions = [record.version for record in await self.versions(arn, await self.numbers(arn))]
        return {digest for version in versions for digest in (version.code_sha256, version.layers_sha256)}
