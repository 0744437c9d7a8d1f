"""The lines of events in the store: claimed, settled, delayed, woken. Each step is one script, so it happens or not.

An event leaves its stream with the acknowledgement that makes it something else, and only the first acknowledgement
counts: a worker that was thought dead, and settles what another has taken over, is not heard. Keys are in `keys.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import redis.asyncio
from redis.exceptions import ResponseError

from gateway.events import keys
from gateway.events.event import EventHead, decode_head, encode_head
from gateway.events.intake import ASKED, ASKED_MS
from gateway.events.lifecycle import Happening, State, after
from gateway.events.rules import LONGEST_PAUSE_S
from samovar.settings import Settings

ALIVE_MS: Final = 10_000
"""A worker that has not been heard of for so long is dead."""
RECLAIMED_AT_ONCE: Final = 500
BEYOND_MS: Final = LONGEST_PAUSE_S * 1000 + 60_000
"""Nothing is put off for so long: what is due later than that was put off by a clock that has been set back since."""
_WOKEN_AT_ONCE: Final = 200
_DROPPED_AT_ONCE: Final = 1000
"""Far below what Lua can hand to one command."""

_ADD: Final = f"""
local asked = {{}}
local function ask(line)
  if redis.call('SET', '{keys.drain("")}' .. line, '{ASKED}', 'NX', 'PX', {ASKED_MS}) then
    asked[#asked + 1] = line
  end
end
local added = {{}}
local function add(line, head, payload)
  redis.call('XADD', '{keys.line("")}' .. line, '*', 'h', head, 'p', payload)
  if added[line] then return end
  added[line] = true
  redis.call('SADD', '{keys.LINES}', line)
  ask(line)
end
"""

_SETTLE: Final = f"""{_ADD}
local line, now = ARGV[1], ARGV[2]
local most = {{ok = tonumber(ARGV[3]), failed = tonumber(ARGV[4])}}
local most_bytes = tonumber(ARGV[5])
local stream, i = '{keys.line("")}' .. line, 6

local function drop_oldest(kept, kind, count)
  local popped, ids, size = redis.call('ZPOPMIN', '{keys.PREFIX}' .. kind .. ':' .. kept, count), {{}}, 0
  local heads, payloads = '{keys.past("")}' .. kept, '{keys.past_payloads("")}' .. kept
  for at = 1, #popped, 2 do
    local id = popped[at]
    size = size + redis.call('HSTRLEN', heads, id) + redis.call('HSTRLEN', payloads, id)
    ids[#ids + 1] = id
  end
  redis.call('HDEL', heads, unpack(ids))
  redis.call('HDEL', payloads, unpack(ids))
  return redis.call('HINCRBY', '{keys.sizes("")}' .. kept, kind, -size)
end

-- What has ended goes among the past at the end, with one command for all of it that is kept in one place.
local ends = {{}}
local function keep(kept, kind, id, head, payload)
  if redis.call('HSETNX', '{keys.past("")}' .. kept, id, head) == 0 then return end
  local name = kind .. kept
  local one = ends[name]
  if not one then
    one = {{kept = kept, kind = kind, payloads = {{}}, scores = {{}}, bytes = 0}}
    ends[name] = one
    ends[#ends + 1] = one
  end
  local at = #one.scores
  one.payloads[at + 1], one.payloads[at + 2] = id, payload
  one.scores[at + 1], one.scores[at + 2] = now, id
  one.bytes = one.bytes + #head + #payload
end

local function keep_all()
  for _, one in ipairs(ends) do
    local kept, kind = one.kept, one.kind
    local index = '{keys.PREFIX}' .. kind .. ':' .. kept
    redis.call('HSET', '{keys.past_payloads("")}' .. kept, unpack(one.payloads))
    redis.call('ZADD', index, unpack(one.scores))
    redis.call('SADD', '{keys.KEPT}', kept)
    local bytes = redis.call('HINCRBY', '{keys.sizes("")}' .. kept, kind, one.bytes)
    local count = redis.call('ZCARD', index)
    while count > most[kind] do
      local some = math.min(count - most[kind], {_DROPPED_AT_ONCE})
      bytes = drop_oldest(kept, kind, some)
      count = count - some
    end
    while bytes > most_bytes and count > 1 do
      bytes = drop_oldest(kept, kind, 1)
      count = count - 1
    end
  end
end

local gone = {{}}
while i <= #ARGV do
  local entry, kind, id, head, payload, due, kept, more = unpack(ARGV, i, i + 7)
  i = i + 8
  local first = redis.call('XACK', stream, '{keys.GROUP}', entry) == 1
  if first then
    gone[#gone + 1] = entry
    if kind == 'delayed' then
      redis.call('ZADD', '{keys.delayed("")}' .. line, due, id)
      redis.call('HSET', '{keys.held("")}' .. line, id, head)
      redis.call('HSET', '{keys.held_payloads("")}' .. line, id, payload)
      redis.call('ZADD', '{keys.DUE}', 'LT', due, line)
    elseif kept ~= '' then
      keep(kept, kind, id, head, payload)
    end
  end
  for _ = 1, tonumber(more) do
    if first then add(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
    i = i + 3
  end
end
if #gone > 0 then redis.call('XDEL', stream, unpack(gone)) end
keep_all()
return asked
"""
"""Settle a batch of a line's events; answers with lines that have something to be drained now."""

_WAKE: Final = f"""
local line = ARGV[1]
local index = '{keys.delayed("")}' .. line
local heads, payloads = '{keys.held("")}' .. line, '{keys.held_payloads("")}' .. line
local ids = redis.call('ZRANGE', index, '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
local beyond = '(' .. (ARGV[2] + {BEYOND_MS})
for _, id in ipairs(redis.call('ZRANGE', index, beyond, '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[3] - #ids)) do
  ids[#ids + 1] = id
end
for _, id in ipairs(ids) do
  local head = redis.call('HGET', heads, id)
  if head then
    redis.call('XADD', '{keys.line("")}' .. line, '*', 'h', head, 'p', redis.call('HGET', payloads, id))
  end
  redis.call('ZREM', index, id)
  redis.call('HDEL', heads, id)
  redis.call('HDEL', payloads, id)
end
local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
if first[2] then
  redis.call('ZADD', '{keys.DUE}', first[2], line)
  return first[2]
end
redis.call('ZREM', '{keys.DUE}', line)
return ''
"""
"""Put what is due back into the stream; answers with when the next one is."""

_RECLAIM: Final = f"""
local stream, me, found = '{keys.line("")}' .. ARGV[1], ARGV[2], {{}}
if redis.call('EXISTS', stream) == 0 then return found end
for _, told in ipairs(redis.call('XINFO', 'CONSUMERS', stream, '{keys.GROUP}')) do
  local consumer = {{}}
  for i = 1, #told, 2 do consumer[told[i]] = told[i + 1] end
  local is_me = consumer.name == me
  local is_dead = not is_me and redis.call('EXISTS', '{keys.worker("")}' .. consumer.name) == 0
  if is_dead or (is_me and ARGV[3] == '1') then
    for _, one in ipairs(redis.call('XPENDING', stream, '{keys.GROUP}', '-', '+', ARGV[4], consumer.name)) do
      local claimed = redis.call('XCLAIM', stream, '{keys.GROUP}', me, 0, one[1])
      if claimed[1] then
        found[#found + 1] = {{one[1], one[4] + 1, claimed[1][2]}}
      end
    end
    if is_dead and redis.call('XPENDING', stream, '{keys.GROUP}', '-', '+', 1, consumer.name)[1] == nil then
      redis.call('XGROUP', 'DELCONSUMER', stream, '{keys.GROUP}', consumer.name)
    end
  end
end
return found
"""
"""Take over what dead workers hold, and what this one holds from an earlier turn at the line."""

_TAKE: Final = f"""
local key = '{keys.drain("")}' .. ARGV[1]
local holder = redis.call('GET', key)
if holder and holder ~= '{ASKED}' and holder ~= ARGV[2] then return 0 end
redis.call('SET', key, ARGV[2], 'PX', {ALIVE_MS})
redis.call('SET', '{keys.worker("")}' .. ARGV[2], '1', 'PX', {ALIVE_MS})
return 1
"""

_RENEW: Final = f"""
redis.call('SET', '{keys.worker("")}' .. ARGV[1], '1', 'PX', {ALIVE_MS})
local lost = {{}}
for i = 2, #ARGV do
  local key = '{keys.drain("")}' .. ARGV[i]
  if redis.call('GET', key) == ARGV[1] then
    redis.call('PEXPIRE', key, {ALIVE_MS})
  elseif not redis.call('SET', key, ARGV[1], 'NX', 'PX', {ALIVE_MS}) then
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
"""

_LEAVE: Final = f"""
local line, me = ARGV[1], ARGV[2]
local stream, key = '{keys.line("")}' .. line, '{keys.drain("")}' .. line
if redis.call('EXISTS', stream) == 1 then
  local last = '0-0'
  for _, told in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #told, 2 do
      if told[i] == 'last-delivered-id' then last = told[i + 1] end
    end
  end
  if ARGV[3] ~= '1' and redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1] then return 0 end
  if redis.call('XLEN', stream) == 0 then redis.call('DEL', stream) end
end
if redis.call('GET', key) == me then redis.call('DEL', key) end
if redis.call('EXISTS', stream) == 0 and redis.call('EXISTS', '{keys.delayed("")}' .. line) == 0 then
  redis.call('SREM', '{keys.LINES}', line)
end
return 1
"""
"""Stop draining a line, unless something waits in it (or in any case, if the third argument says so)."""

_DECLINE: Final = f"""
local key = '{keys.drain("")}' .. ARGV[1]
if redis.call('GET', key) == '{ASKED}' then redis.call('DEL', key) end
"""

_UNATTENDED: Final = f"""{_ADD}
for _, line in ipairs(redis.call('SMEMBERS', '{keys.LINES}')) do
  local due = redis.call('ZSCORE', '{keys.DUE}', line)
  local wait = due and due - ARGV[1]
  if redis.call('XLEN', '{keys.line("")}' .. line) > 0 or (wait and (wait <= 0 or wait > {BEYOND_MS})) then
    ask(line)
  elseif not due then
    redis.call('SREM', '{keys.LINES}', line)
  end
end
return asked
"""
"""The lines that have something to do and nobody who does it; from now on they count as asked for."""


class Claimed(NamedTuple):
    """An event that a worker has."""

    entry: bytes
    """Its id in the stream."""
    head: EventHead
    """`runs` counts the run that is about to begin."""
    payload: bytes


class Message(NamedTuple):
    """Something to be put on a line together with the settling of what it comes from."""

    line: str
    head: EventHead
    payload: bytes


class Settlement(NamedTuple):
    """What an event has become."""

    claimed: Claimed
    happening: Happening
    head: EventHead
    due_ms: int = 0
    kept_for: str = ""
    """The line under which its end is kept; empty keeps nothing."""
    messages: Sequence[Message] = ()


class Keeping(NamedTuple):
    """How much is kept of events that have ended, for each line."""

    succeeded: int
    failed: int
    each_bytes: int
    """For either."""


def keeping(settings: Settings) -> Keeping:
    """How much of the past is kept."""
    return Keeping(settings.kept_events, settings.kept_failed_events, settings.kept_event_mb * 2**20)


_KINDS: Final = {State.DELAYED: "delayed", State.SUCCEEDED: "ok", State.FAILED: "failed"}


class Lines:
    """The lines, as a worker sees them. Methods raise what redis-py raises."""

    def __init__(self, client: redis.asyncio.Redis, keeping: Keeping) -> None:
        self._redis: Any = client
        self._keeping = keeping
        self._settle = client.register_script(_SETTLE)
        self._wake = client.register_script(_WAKE)
        self._reclaim = client.register_script(_RECLAIM)
        self._take = client.register_script(_TAKE)
        self._renew = client.register_script(_RENEW)
        self._leave = client.register_script(_LEAVE)
        self._decline = client.register_script(_DECLINE)
        self._unattended = client.register_script(_UNATTENDED)

    async def take(self, line: str, worker: str) -> bool:
        """Become the one who drains a line; false when somebody else is, who lives."""
        return bool(await self._take(args=[line, worker]))

    async def renew(self, worker: str, lines: Iterable[str]) -> list[str]:
        """Say that a worker lives and drains these lines; answers with those that are somebody else's by now."""
        return [line.decode() for line in await self._renew(args=[worker, *lines])]

    async def leave(self, line: str, worker: str, *, anyhow: bool = False) -> bool:
        """Stop draining; false when something waits, unless `anyhow`: then the sweep finds it."""
        return bool(await self._leave(args=[line, worker, "1" if anyhow else "0"]))

    async def decline(self, line: str) -> None:
        """Somebody who was asked to drain a line will not: the next sweep need not wait for them and asks another."""
        await self._decline(args=[line])

    async def claim(self, line: str, worker: str, count: int, block_ms: int) -> list[Claimed]:
        """Up to `count` waiting events; waits for the first one for at most so long."""
        stream = keys.line(line)
        try:
            found = await self._redis.xreadgroup(keys.GROUP, worker, {stream: ">"}, count, block_ms or None)
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._open(stream)
            return []
        entries = found[0][1] if found else []
        return [_claimed(entry, 1, fields[b"h"], fields[b"p"]) for entry, fields in entries]

    async def _open(self, stream: str) -> None:
        try:
            await self._redis.xgroup_create(stream, keys.GROUP, "0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def reclaim(self, line: str, worker: str, *, own: bool) -> list[Claimed]:
        """Take over what dead workers hold; with `own` also what this one still holds."""
        await self._open(keys.line(line))
        found = await self._reclaim(args=[line, worker, "1" if own else "0", RECLAIMED_AT_ONCE])
        return [_claimed(entry, int(count), fields[1], fields[3]) for entry, count, fields in found]

    async def settle(self, line: str, settlements: Sequence[Settlement], now_ms: int) -> list[str]:
        """Make what has become of claimed events stand; answers with lines that somebody is to be asked to drain.

        An event that was settled before, by whomever, is left as it is.
        """
        arguments: list[str | bytes | int] = [line, now_ms, *self._keeping]
        for one in settlements:
            kind = _KINDS[after(State.CLAIMED, one.happening)]
            head, payload = encode_head(one.head), one.claimed.payload
            arguments += (one.claimed.entry, kind, one.head.id, head, payload, one.due_ms, one.kept_for)
            arguments.append(len(one.messages))
            for message in one.messages:
                arguments += (message.line, encode_head(message.head), message.payload)
        return [asked.decode() for asked in await self._settle(args=arguments)]

    async def wake(self, line: str, now_ms: int) -> int | None:
        """Let events wait again whose time has come; when the next one is due, if there is one."""
        due = await self._wake(args=[line, now_ms, _WOKEN_AT_ONCE])
        return int(float(due)) if due else None

    async def waiting(self, line: str) -> int:
        """How many events are in a line's stream, claimed ones too."""
        return int(await self._redis.xlen(keys.line(line)))

    async def unattended(self, now_ms: int) -> list[str]:
        """The lines that somebody has to be asked to drain."""
        return [line.decode() for line in await self._unattended(args=[now_ms])]


def _claimed(entry: bytes, count: int, head: bytes, payload: bytes) -> Claimed:
    decoded = decode_head(head)
    return Claimed(entry, msgspec.structs.replace(decoded, runs=decoded.runs + count), payload)
