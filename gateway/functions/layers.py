"""Layers: what the store has of them, and the rules by which a function uses them.

| key                           | type | holds                                                        |
|-------------------------------|------|--------------------------------------------------------------|
| `samovar:layer:<layer ARN>`   | hash | version number → the `LayerVersion` as JSON                  |
| `samovar:layers`              | zset | ARNs of layers that have versions, all with score 0          |
| `samovar:layers:numbers`      | hash | layer ARN → the last number given out, which is never reused |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.policy import Statements
from gateway.functions.record import LayerUse
from gateway.functions.records import Records
from gateway.functions.store import reaching_store
from samovar.errors import InvalidParameterValue
from samovar.names import new_request_id

MAX_LAYERS: Final = 5
_INDEX: Final = "samovar:layers"
_NUMBERS: Final = "samovar:layers:numbers"
_PREFIX: Final = "samovar:layer:"
_VERSION_ARN: Final = re.compile(r"(?P<layer>arn:[a-z-]+:lambda:(?P<region>[^:]+):\d{12}:layer:[^:]+):(?P<number>\d+)")

# A client repeats a script whose answer was lost; finding its own revision as the last one means it had worked.
_PUBLISH: Final = """
local last = redis.call('HGET', KEYS[2], ARGV[1])
local found = last and redis.call('HGET', KEYS[1], last)
if found and cjson.decode(found).revision_id == ARGV[2] then return tonumber(last) end
local number = redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('HSET', KEYS[1], number, ARGV[3])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return number
"""

_DELETE: Final = """
redis.call('HDEL', KEYS[1], ARGV[2])
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
"""


class LayerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One published version of a layer. Only its policy can change."""

    revision_id: str
    code_sha256: str
    code_size: int
    """Bytes of the package as uploaded."""
    created: str
    description: str = ""
    license_info: str | None = None
    compatible_runtimes: tuple[str, ...] | None = None
    compatible_architectures: tuple[str, ...] | None = None
    policy: Statements = ()

    def fits(self, runtime: str | None, architecture: str | None) -> bool:
        """Whether it says that it is made for a runtime and an architecture; `None` asks for none."""
        return (runtime is None or runtime in (self.compatible_runtimes or ())) and (
            architecture is None or architecture in (self.compatible_architectures or ())
        )


def check_regions(arns: Sequence[str], region: str) -> None:
    """Raise `InvalidParameterValue` for a layer version of another region. Needs no look at the store."""
    if any(named["region"] != region for arn in arns if (named := _VERSION_ARN.fullmatch(arn)) is not None):
        raise InvalidParameterValue(
            f"Layers are not in the same region as the function. Layers are expected to be in region {region}."
        )


class Layers:
    """The layers of all namespaces. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._redis: Any = client  # redis-py declares answers as unions with plain values
        self._publish = client.register_script(_PUBLISH)
        self._delete = client.register_script(_DELETE)

    async def publish(self, arn: str, version: LayerVersion) -> int:
        """Keep a version under the layer's next number, which it returns."""
        arguments: list[str | bytes] = [arn, version.revision_id, msgspec.json.encode(version)]
        async with reaching_store():
            return int(await self._publish(keys=[_PREFIX + arn, _NUMBERS, _INDEX], args=arguments))

    async def get(self, arn: str, number: int) -> LayerVersion | None:
        """A version of a layer, if there is one."""
        return await self._versions(arn).get(str(number))

    async def versions(self, arn: str) -> dict[int, LayerVersion]:
        """Every version of a layer by its number, the newest first."""
        found = {int(number): version for number, version in (await self._versions(arn).all()).items()}
        return dict(sorted(found.items(), reverse=True))

    async def arns(self, prefix: str) -> list[str]:
        """Layers whose ARN begins so, in the order of their names."""
        async with reaching_store():
            found = await self._redis.zrange(_INDEX, f"[{prefix}", f"({prefix}\xff", bylex=True)
        return [arn.decode() for arn in found]

    async def permit(self, arn: str, number: int, current: LayerVersion, policy: Statements) -> LayerVersion:
        """Give a version another policy. Raises `ResourceConflict` if somebody did so in between."""
        changed = msgspec.structs.replace(current, policy=policy, revision_id=new_request_id())
        await self._versions(arn).replace(str(number), current, changed)
        return changed

    async def delete(self, arn: str, number: int) -> None:
        """Remove a version, if it is there."""
        async with reaching_store():
            await self._delete(keys=[_PREFIX + arn, _INDEX], args=[arn, number])

    async def digests(self) -> set[str]:
        """Digests of the packages of all versions there are."""
        found = [await self.versions(arn) for arn in await self.arns("arn:")]
        return {version.code_sha256 for versions in found for version in versions.values()}

    async def code_size(self, prefix: str) -> int:
        """Bytes of the packages of all versions of layers whose ARN begins so, as they were uploaded."""
        found = [await self.versions(arn) for arn in await self.arns(prefix)]
        return sum(version.code_size for versions in found for version in versions.values())

    async def resolve(self, arns: Sequence[str], region: str) -> tuple[LayerUse, ...]:
        """The layer versions a function asks for, in its order. Raises `InvalidParameterValue` with AWS's words."""
        if len(arns) > MAX_LAYERS:
            raise InvalidParameterValue(f"Cannot reference more than {MAX_LAYERS} layers.")
        used: dict[str, LayerUse] = {}
        for arn in arns:
            layer, found = await self._resolve(arn, region)
            if layer in used:
                raise InvalidParameterValue(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. "
                    f"{used[layer].arn} and {arn} are versions of the same layer."
                )
            used[layer] = LayerUse(arn, found.code_size, found.code_sha256)
        return tuple(used.values())

    async def _resolve(self, arn: str, region: str) -> tuple[str, LayerVersion]:
        check_regions([arn], region)
        named = _VERSION_ARN.fullmatch(arn)
        found = None if named is None else await self.get(named["layer"], int(named["number"]))
        if named is None or found is None:
            raise InvalidParameterValue(f"Layer version {arn} does not exist.")
        return named["layer"], found

    def _versions(self, arn: str) -> Records[LayerVersion]:
        return Records(self._client, _PREFIX + arn, LayerVersion)
