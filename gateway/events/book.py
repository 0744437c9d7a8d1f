"""The events of a function as the operator sees them, and what he may do with them. Keys are in `keys.py`."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import redis.asyncio

from gateway.events import keys
from gateway.events.event import EventHead, NewEvent, decode_head, encode_head
from gateway.events.intake import ASKED, ASKED_MS, Intake, Ring
from gateway.functions.store import reaching_store
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.events import EventCounts, EventDetail, EventPage, EventsDone, EventSelection, EventState, EventView
from samovar.names import new_request_id

AT_ONCE: Final = 1000
"""Events one request is about at most."""
_SCANNED: Final = 10_000
"""Waiting events among which one is looked for by its id."""

_UNDER_WAY: Final = f"""
local stream, found, last = '{keys.line("")}' .. ARGV[1], {{}}, '0-0'
if redis.call('EXISTS', stream) == 0 then return found end
for _, told in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  for i = 1, #told, 2 do
    if told[i] == 'last-delivered-id' then last = told[i + 1] end
  end
end
local function collect(from, to, state)
  if #found >= tonumber(ARGV[2]) then return end
  for _, one in ipairs(redis.call('XRANGE', stream, from, to, 'COUNT', tonumber(ARGV[2]) - #found)) do
    if ARGV[3] == '' or string.find(one[2][2], ARGV[3], 1, true) then
      found[#found + 1] = {{state, one[2][2], ARGV[3] ~= '' and one[2][4] or '', one[1]}}
    end
  end
end
collect('-', last, 'running')
collect('(' .. last, '+', 'waiting')
return found
"""
"""The heads of events in a stream, in their order; with a third argument only those that have it in their heads."""

_REDRIVE: Final = f"""
local kept, line, moved = ARGV[1], ARGV[2], 0
local heads, payloads = '{keys.past("")}' .. kept, '{keys.past_payloads("")}' .. kept
for i = 3, #ARGV, 3 do
  local id, before, head = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('HGET', heads, id) == before then
    local payload = redis.call('HGET', payloads, id)
    redis.call('XADD', '{keys.line("")}' .. line, '*', 'h', head, 'p', payload)
    redis.call('HDEL', heads, id)
    redis.call('HDEL', payloads, id)
    redis.call('ZREM', '{keys.ended("failed", "")}' .. kept, id)
    redis.call('HINCRBY', '{keys.sizes("")}' .. kept, 'failed', -(#before + #payload))
    moved = moved + 1
  end
end
if moved > 0 then redis.call('SADD', '{keys.LINES}', line) end
if moved > 0 and redis.call('SET', '{keys.drain("")}' .. line, '{ASKED}', 'NX', 'PX', {ASKED_MS}) then return 1 end
return 0
"""

_FORGET: Final = f"""
local kept = ARGV[1]
local heads, payloads = '{keys.past("")}' .. kept, '{keys.past_payloads("")}' .. kept
local done = {{}}
for i = 2, #ARGV do
  local id = ARGV[i]
  local size = redis.call('HSTRLEN', heads, id) + redis.call('HSTRLEN', payloads, id)
  for _, kind in ipairs({{'ok', 'failed'}}) do
    if redis.call('ZREM', '{keys.PREFIX}' .. kind .. ':' .. kept, id) == 1 then
      redis.call('HINCRBY', '{keys.sizes("")}' .. kept, kind, -size)
      done[#done + 1] = id
    end
  end
  redis.call('HDEL', heads, id)
  redis.call('HDEL', payloads, id)
  if redis.call('ZREM', '{keys.delayed("")}' .. kept, id) == 1 then
    redis.call('HDEL', '{keys.held("")}' .. kept, id)
    redis.call('HDEL', '{keys.held_payloads("")}' .. kept, id)
    done[#done + 1] = id
  end
end
return done
"""

_STATES: Final[dict[str, EventState]] = {"ok": "succeeded", "failed": "failed"}


class Book:
    """Reads and changes what the store has of events. Methods raise `ServiceUnavailable` when it is away."""

    def __init__(self, client: redis.asyncio.Redis, intake: Intake, ring: Ring) -> None:
        self._redis: Any = client
        self._intake = intake
        self._ring = ring
        self._under_way = client.register_script(_UNDER_WAY)
        self._redrive = client.register_script(_REDRIVE)
        self._forget = client.register_script(_FORGET)

    async def counts(self, line: str) -> EventCounts:
        """How many there are in each state."""
        async with reaching_store(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xlen(keys.line(line))
            pipeline.zcard(keys.delayed(line))
            pipeline.zcard(keys.ended("ok", line))
            pipeline.zcard(keys.ended("failed", line))
            pipeline.exists(keys.line(line))
            stream, delayed, succeeded, failed, is_there = await pipeline.execute()
            groups = await self._redis.xinfo_groups(keys.line(line)) if is_there else []
        running = sum(int(group["pending"]) for group in groups)
        return EventCounts(
            waiting=max(0, stream - running), running=running, delayed=delayed, succeeded=succeeded, failed=failed
        )

    async def page(self, line: str, state: EventState | None, since_ms: int, limit: int) -> EventPage:
        """Events of a state, or of all states; those that ended before `since_ms` are left out."""
        counts = await self.counts(line)
        found: list[EventView] = []
        async with reaching_store():
            if state in (None, "waiting", "running"):
                found += [view for view, _ in await self._in_stream(line, limit) if state in (None, view.state)]
            if state in (None, "delayed"):
                found += await self._delayed(line, limit)
            ended: list[EventView] = []
            for kind in ("ok", "failed"):
                if state in (None, _STATES[kind]):
                    ended += await self._ended(line, kind, since_ms, limit)
        ended.sort(key=lambda view: view.ended_ms, reverse=True)
        return EventPage(counts=counts, events=(found + ended)[:limit])

    async def find(self, line: str, event_id: str) -> EventDetail:
        """One event. Raises `ResourceNotFound`."""
        async with reaching_store():
            found = await self._find(line, event_id)
        if found is None:
            raise ResourceNotFound(
                f"No event {event_id} of {line} is known: it has not been accepted, or it ended and was given up "
                "(settings kept_events, kept_failed_events, kept_event_mb, event_retention_h)"
            )
        view, payload = found
        return EventDetail(event=view, payload=msgspec.Raw(payload))

    async def replay(self, line: str, selection: EventSelection) -> EventsDone:
        """Run past events once more, as new events with ids of their own, also those that succeeded."""
        ids, more = await self._selected(line, selection)
        done: dict[str, str] = {}
        for one in ids:
            async with reaching_store():
                found = await self._find(line, one)
            if found is None or found[0].target:
                continue  # it was given up meanwhile, or is a message rather than an event
            view, payload = found
            event = NewEvent(
                arn=line,
                qualifier=selection.qualifier or view.qualifier,
                payload=payload,
                request_id=new_request_id(),
                source=view.source,
            )
            await self._intake.accept(event)
            done[one] = event.request_id
        self._check_found(selection, done)
        return EventsDone(ids=done, more=more)

    async def redrive(self, line: str, selection: EventSelection, now_ms: int) -> EventsDone:
        """Have failed events run again under their own ids, and messages delivered that no destination took."""
        ids, more = await self._selected(line, msgspec.structs.replace(selection, failed=True, all=False))
        done: dict[str, str] = {}
        asked: set[str] = set()
        async with reaching_store():
            by_line: dict[str, list[str | bytes]] = {}
            for one, raw in zip(ids, await self._redis.hmget(keys.past(line), ids) if ids else [], strict=True):
                if raw is None or await self._redis.zscore(keys.ended("failed", line), one) is None:
                    continue
                head = decode_head(raw)
                goal = keys.DELIVERIES if head.target else line
                by_line.setdefault(goal, []).extend((one, raw, encode_head(_anew(head, now_ms))))
                done[one] = one
            for goal, arguments in by_line.items():
                if await self._redrive(args=[line, goal, *arguments]):
                    asked.add(goal)
        self._check_found(selection, done)
        if asked:
            self._ring(asked)
        return EventsDone(ids=done, more=more)

    async def purge(self, line: str, selection: EventSelection) -> EventsDone:
        """Forget events: those of ids, those that failed, or all that are not running."""
        if not (selection.ids or selection.failed or selection.all):
            raise InvalidParameterValue("say which events are to be purged: ids, failed or all")
        done: dict[str, str] = {}
        ids, more = await self._selected(line, selection)
        async with reaching_store():
            forgotten = await self._forget(args=[line, *ids]) if ids else []
            done |= {one.decode(): "" for one in forgotten}
            if selection.all or selection.ids:
                waiting = [
                    (view.id, entry)
                    for view, entry in await self._in_stream(line, AT_ONCE)
                    if view.state == "waiting" and (selection.all or view.id in selection.ids)
                ]
                if waiting:
                    await self._redis.xdel(keys.line(line), *(entry for _, entry in waiting))
                done |= {name: "" for name, _ in waiting}
                more = more or len(waiting) >= AT_ONCE
        self._check_found(selection, done)
        return EventsDone(ids=done, more=more)

    async def forget_before(self, before_ms: int) -> int:
        """Forget the ends of events before a moment, of every function; how many."""
        forgotten = 0
        async with reaching_store():
            kept = [line.decode() for line in await self._redis.smembers(keys.KEPT)]
        for line in kept:
            async with reaching_store():
                ids: list[bytes] = []
                for kind in _STATES:
                    ids += await self._redis.zrange(
                        keys.ended(kind, line), "-inf", f"({before_ms}", byscore=True, offset=0, num=AT_ONCE
                    )
                forgotten += len(await self._forget(args=[line, *ids])) if ids else 0
                if not await self._redis.exists(keys.past(line)):
                    await self._redis.srem(keys.KEPT, line)
        return forgotten

    # Which events.

    async def _selected(self, line: str, selection: EventSelection) -> tuple[list[str], bool]:
        """The ids of past and delayed events that are meant, oldest first, and whether there are more."""
        if selection.ids:
            if len(selection.ids) > AT_ONCE:
                raise InvalidParameterValue(f"at most {AT_ONCE} ids may be given at once")
            return list(selection.ids), False
        kinds = [keys.ended("failed", line)]
        if not selection.failed:
            kinds.append(keys.ended("ok", line))
        if selection.all:
            kinds.append(keys.delayed(line))
        found: list[bytes] = []
        async with reaching_store():
            for key in kinds:
                found += await self._redis.zrange(
                    key, selection.since_ms, "+inf", byscore=True, offset=0, num=AT_ONCE + 1 - len(found)
                )
        return [one.decode() for one in found[:AT_ONCE]], len(found) > AT_ONCE

    @staticmethod
    def _check_found(selection: EventSelection, done: dict[str, str]) -> None:
        missing = [one for one in selection.ids if one not in done]
        if missing and len(missing) == len(selection.ids):
            raise ResourceNotFound(f"No such event to do this with: {', '.join(missing[:10])}")

    # Reading.

    async def _in_stream(self, line: str, limit: int) -> list[tuple[EventView, bytes]]:
        found = await self._under_way(args=[line, limit, ""])
        return [(_view(decode_head(head), _under_way_state(state)), entry) for state, head, _, entry in found]

    async def _delayed(self, line: str, limit: int) -> list[EventView]:
        ids = await self._redis.zrange(keys.delayed(line), 0, limit - 1, withscores=True)
        heads = await self._redis.hmget(keys.held(line), [one for one, _ in ids]) if ids else []
        return [
            _view(decode_head(raw), "delayed", due_ms=int(due))
            for raw, (_, due) in zip(heads, ids, strict=True)
            if raw is not None
        ]

    async def _ended(self, line: str, kind: str, since_ms: int, limit: int) -> list[EventView]:
        key = keys.ended(kind, line)
        ids = await self._redis.zrange(key, "+inf", since_ms, byscore=True, desc=True, offset=0, num=limit)
        heads = await self._redis.hmget(keys.past(line), ids) if ids else []
        return [
            _view(decode_head(raw), _STATES[kind], shown_as=one.decode())
            for raw, one in zip(heads, ids, strict=True)
            if raw is not None
        ]

    async def _find(self, line: str, event_id: str) -> tuple[EventView, bytes] | None:
        """One event, wherever it is: looked for in the order in which it moves, and again, as it may move back."""
        for _ in range(2):
            for look in (self._find_in_stream, self._find_delayed, self._find_ended):
                found = await look(line, event_id)
                if found is not None:
                    return found
        return None

    async def _find_in_stream(self, line: str, event_id: str) -> tuple[EventView, bytes] | None:
        for state, raw, payload, _ in await self._under_way(args=[line, _SCANNED, f'["{event_id}"']):
            return _view(decode_head(raw), _under_way_state(state)), payload
        return None

    async def _find_delayed(self, line: str, event_id: str) -> tuple[EventView, bytes] | None:
        raw, payload, due = await self._read(keys.held(line), keys.held_payloads(line), keys.delayed(line), event_id)
        return None if raw is None else (_view(decode_head(raw), "delayed", due_ms=int(due or 0)), payload)

    async def _find_ended(self, line: str, event_id: str) -> tuple[EventView, bytes] | None:
        raw, payload, failed = await self._read(
            keys.past(line), keys.past_payloads(line), keys.ended("failed", line), event_id
        )
        if raw is None:
            return None
        return _view(decode_head(raw), "succeeded" if failed is None else "failed", shown_as=event_id), payload

    async def _read(self, heads: str, payloads: str, index: str, event_id: str) -> list[Any]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hget(heads, event_id)
            pipeline.hget(payloads, event_id)
            pipeline.zscore(index, event_id)
            found: list[Any] = await pipeline.execute()
        return found


def _anew(head: EventHead, now_ms: int) -> EventHead:
    """A failed event as if it had just been accepted; its readings go on counting."""
    return msgspec.structs.replace(
        head,
        id=head.id.partition(".")[0],
        accepted_ms=now_ms,
        attempts=0,
        pauses=0,
        ended_ms=0,
        condition="",
        error="",
    )


def _under_way_state(state: bytes) -> EventState:
    return "running" if state == b"running" else "waiting"


def _view(head: EventHead, state: EventState, due_ms: int = 0, shown_as: str = "") -> EventView:
    return EventView(
        id=shown_as or head.id,
        state=state,
        qualifier=head.qualifier,
        source=head.source,
        accepted_ms=head.accepted_ms,
        due_ms=due_ms,
        ended_ms=head.ended_ms,
        attempts=head.attempts,
        runs=head.runs,
        condition=head.condition,
        error=head.error,
        version=head.version,
        target=head.target,
    )
