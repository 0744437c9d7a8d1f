"""What Redis holds of event source mappings. Whether a change is allowed is said in `mapping.py`.

| key                        | type | holds                                                         |
|----------------------------|------|---------------------------------------------------------------|
| `samovar:mappings`         | hash | UUID → the `Mapping` as JSON                                  |
| `samovar:mappings:sources` | hash | `function ARN source` → UUID: a source feeds a function once  |
| `samovar:mappings:results` | hash | UUID → what came of the last batch, once there was one        |
| `samovar:mappings:changed` | channel | the UUID of a mapping that was made, changed or removed    |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.mappings.mapping import Mapping
from samovar.errors import ResourceConflict

MAPPINGS: Final = "samovar:mappings"
CHANGED: Final = "samovar:mappings:changed"
_RESULTS: Final = "samovar:mappings:results"
_SOURCES: Final = "samovar:mappings:sources"

# A client repeats a script whose answer was lost; finding its own revision in place means it had worked.
_PUT: Final = """
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = current and cjson.decode(current).revision_id or ''
if revision == ARGV[3] then return '' end
if revision ~= ARGV[2] then return 'changed' end
local before, after = cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
for _, source in ipairs(after) do
  local taken = redis.call('HGET', KEYS[2], source)
  if taken and taken ~= ARGV[1] then return taken end
end
for _, source in ipairs(before) do redis.call('HDEL', KEYS[2], source) end
for _, source in ipairs(after) do redis.call('HSET', KEYS[2], source, ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
redis.call('PUBLISH', ARGV[7], ARGV[1])
return ''
"""


_NOTE: Final = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
"""


class SourceTaken(Exception):
    """Another mapping ties the same source to the same function."""

    def __init__(self, uuid: str) -> None:
        super().__init__(f"mapping {uuid} has it")
        self.uuid = uuid


class MappingStore:
    """The mappings of all namespaces. Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis: Any = client  # redis-py declares answers as unions with plain values
        self._put = client.register_script(_PUT)
        self._note = client.register_script(_NOTE)

    async def get(self, uuid: str) -> Mapping | None:
        """The mapping of that UUID, if there is one."""
        async with reaching_store():
            found = await self._redis.hget(MAPPINGS, uuid)
        return None if found is None else msgspec.json.decode(found, type=Mapping)

    async def all(self) -> list[Mapping]:
        """Every mapping, in the order of their UUIDs."""
        async with reaching_store():
            found = await self._redis.hgetall(MAPPINGS)
        return [msgspec.json.decode(found[uuid], type=Mapping) for uuid in sorted(found)]

    async def put(self, current: Mapping | None, mapping: Mapping) -> None:
        """Write a new mapping, or `mapping` over `current`.

        Raises `SourceTaken`, and `ResourceConflict` if somebody changed or removed it in between.
        """
        arguments: list[str | bytes] = [
            mapping.uuid,
            current.revision_id if current is not None else "",
            mapping.revision_id,
            msgspec.json.encode(mapping),
            msgspec.json.encode([] if current is None else _sources(current)),
            msgspec.json.encode(_sources(mapping)),
            CHANGED,
        ]
        async with reaching_store():
            refused = (await self._put(keys=[MAPPINGS, _SOURCES], args=arguments)).decode()
        if refused == "changed":
            raise ResourceConflict("The event source mapping is being changed by another call. Try again.")
        if refused:
            raise SourceTaken(refused)

    async def remove(self, mapping: Mapping) -> None:
        """Remove a mapping that has let go of its sources."""
        async with reaching_store(), self._redis.pipeline() as pipeline:
            pipeline.hdel(MAPPINGS, mapping.uuid)
            pipeline.hdel(_RESULTS, mapping.uuid)
            pipeline.publish(CHANGED, mapping.uuid)
            await pipeline.execute()

    async def results(self, uuids: Sequence[str]) -> dict[str, str]:
        """What came of the last batches of these mappings, of those that had one."""
        if not uuids:
            return {}
        async with reaching_store():
            found = await self._redis.hmget(_RESULTS, list(uuids))
        return {uuid: raw.decode() for uuid, raw in zip(uuids, found, strict=True) if raw is not None}

    async def note_result(self, uuid: str, result: str) -> None:
        """Keep what came of a batch. Nothing is kept of a mapping that is gone."""
        async with reaching_store():
            await self._note(keys=[MAPPINGS, _RESULTS], args=[uuid, result])


def _sources(mapping: Mapping) -> Sequence[str]:
    """What nobody else may tie to the same function; a mapping that is being deleted has let go of it."""
    if mapping.state == "Deleting":
        return []
    config = mapping.config
    if config.event_source_arn is not None:
        return [f"{mapping.function_arn} {config.event_source_arn} {' '.join(config.topics or config.queues or [])}"]
    endpoints = (config.self_managed_event_source or {}).get("Endpoints", {}).get("KAFKA_BOOTSTRAP_SERVERS", [])
    return [f"{mapping.function_arn} {endpoint} {topic}" for endpoint in endpoints for topic in config.topics or []]
