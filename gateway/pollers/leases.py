"""Who polls what: of each mapping, every slot belongs to one process at a time, for as long as that renews its lease.

| key                       | type | holds                                                                      |
|---------------------------|------|----------------------------------------------------------------------------|
| `samovar:pollers:<UUID>`  | hash | slot → `until changed holder`: until when (epoch ms), of which change, who |

Times are the store's own, so that the clocks of hosts need not agree.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.mappings.mapping import Mapping
from gateway.mappings.mapping_store import MAPPINGS

POLL: Final = "samovar.poll"
"""The task that has some worker take a slot. Its arguments are those of `Slot`."""
LEASE_S: Final = 12.0
"""A slot whose process has died is free after this."""
RENEWAL_S: Final = 4.0
_POLLERS: Final = "samovar:pollers:"

_NOW: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
_HOLD: Final = f"""{_NOW}
local lease = redis.call('HGET', KEYS[1], ARGV[1])
if lease then
  local till, holder = string.match(lease, '^(%d+) %S+ (.+)$')
  if holder ~= ARGV[2] and tonumber(till) > now then return {{0, false}} end
end
local mapping = redis.call('HGET', KEYS[2], ARGV[5])
if not mapping then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return {{1, false}}
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[4]) .. ' ' .. ARGV[3] .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4] * 2)
return {{1, mapping}}
"""
_RELEASE: Final = """
local lease = redis.call('HGET', KEYS[1], ARGV[1])
if not lease or string.match(lease, '^%d+ %S+ (.+)$') ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
_HOLDERS: Final = f"""{_NOW}
return {{string.format('%.0f', now), redis.call('HGETALL', KEYS[1])}}
"""


class Slot(NamedTuple):
    """A share of the polling of a mapping. Slot 0 is there for as long as the mapping is enabled."""

    mapping: str
    """Its UUID."""
    number: int


class Holder(NamedTuple):
    """A lease that is in force."""

    slot: int
    changed: str
    """`stamp` of the mapping as its holder runs it."""
    name: str


class SlotTaken(Exception):
    """Another process has the slot."""


class Leases:
    """Every method raises `ServiceUnavailable` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._hold: Any = client.register_script(_HOLD)
        self._release: Any = client.register_script(_RELEASE)
        self._holders: Any = client.register_script(_HOLDERS)

    async def hold(self, slot: Slot, holder: str, stamp: str = "-") -> Mapping | None:
        """Take or renew the lease of a slot; the mapping as it is now, or `None` if it is gone. Raises `SlotTaken`."""
        arguments = [slot.number, holder, stamp, int(LEASE_S * 1000), slot.mapping]
        async with reaching_store():
            is_held, mapping = await self._hold(keys=[_POLLERS + slot.mapping, MAPPINGS], args=arguments)
        if not is_held:
            raise SlotTaken
        return None if mapping is None else msgspec.json.decode(mapping, type=Mapping)

    async def release(self, slot: Slot, holder: str) -> None:
        """Let go of a slot, if it is still the holder's."""
        async with reaching_store():
            await self._release(keys=[_POLLERS + slot.mapping], args=[slot.number, holder])

    async def holders(self, uuid: str) -> list[Holder]:
        """Who polls a mapping, by slots."""
        async with reaching_store():
            now, leases = await self._holders(keys=[_POLLERS + uuid])
        found = []
        for slot, lease in zip(leases[::2], leases[1::2], strict=True):
            until, changed, name = lease.decode().split(" ", 2)
            if int(until) > int(now):
                found.append(Holder(int(slot), changed, name))
        return sorted(found)


def stamp(mapping: Mapping) -> str:
    """What tells one state of a mapping's parameters from another; that it has settled changes nothing in it."""
    return f"{mapping.modified:.6f}:{int(mapping.enabled)}"
