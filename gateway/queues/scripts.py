"""The Lua scripts by which messages change their places: each change is one script, done whole or not at all.

A queue's record is in `store.py`; the messages of a queue are under its `uid`, which is made with it and dies with it.
All their keys are spelled in `_COMMON`, and nowhere else:

| key `samovar:messages:<uid>:…` | type    | holds                                                                   |
|--------------------------------|---------|-------------------------------------------------------------------------|
| `bodies`                       | hash    | id → what there is of a message that does not change                    |
| `receipts`                     | hash    | id → how often and when it was received, and the key of its last handle |
| `ages`                         | zset    | ids by the time they were sent (ms)                                     |
| `ready`                        | zset    | what may be received, by the order in which it became visible           |
| `flight`                       | zset    | ids of messages in flight, by the time they become visible again (ms)   |
| `delayed`                      | zset    | ids of messages that are not visible yet, by the time they will be (ms) |
| `order`                        | zset    | FIFO: all ids, which sort by group, then by number                      |
| `counter`                      | string  | the last number given out                                               |
| `duplicate:<id>`               | string  | FIFO: number and message id of what was sent under this id              |
| `attempt:<id>`                 | string  | FIFO: what was received under this id                                   |
| `arrivals`                     | channel | how many became visible, `@` and when one will (ms), or `gone`          |

An id is a number of twelve digits; in FIFO queues the group and a NUL stand before it, so that a group is a range of
`order`. `ready` has the ids of messages, in FIFO queues the names of groups: a group is ready while its first message
is visible. A body begins with the time it was sent (13 digits), the message id (36 characters), the length of the ARN
of its dead-letter source (3 digits), and that ARN.

What is visible has no time in it, so a clock that is set back delays what is delayed or in flight, and nothing else.

Every script begins with `ARGV`: uid, key of the record, its revision, now (ms), `1` for FIFO queues. It answers
`stale`, with nothing done, when the record is not of that revision any more.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "samovar:messages:"
ARRIVALS: Final = ":arrivals"

_COMMON: Final = """
local uid, record, revision, now, fifo = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
local BATCH = 100
local LONGEST_POLL = 20000

local function keys_of(of)
  local prefix, keys = 'samovar:messages:' .. of .. ':', {arrived = 0}
  for _, name in ipairs({'bodies', 'receipts', 'ages', 'ready', 'flight', 'delayed', 'order', 'counter'}) do
    keys[name] = prefix .. name
  end
  keys.duplicate, keys.attempt, keys.arrivals = prefix .. 'duplicate:', prefix .. 'attempt:', prefix .. 'arrivals'
  return keys
end

-- Tell those who wait. What becomes visible later than a poll lasts is found at the poll's end.
local function tell(q, within)
  if q.arrived > 0 then redis.call('PUBLISH', q.arrivals, q.arrived) end
  if within and within > 0 and within < LONGEST_POLL then redis.call('PUBLISH', q.arrivals, '@' .. (now + within)) end
end

local function group_of(id) return string.sub(id, 1, -14) end

local function first_of(q, group, count)
  return redis.call('ZRANGEBYLEX', q.order, '[' .. group .. '\\0', '(' .. group .. '\\1', 'LIMIT', 0, count)
end

local function is_hidden(q, id)
  return redis.call('ZSCORE', q.flight, id) or redis.call('ZSCORE', q.delayed, id)
end

local function settle_group(q, group)
  local first = first_of(q, group, 1)[1]
  if not first or is_hidden(q, first) then
    redis.call('ZREM', q.ready, group)
  elseif not redis.call('ZSCORE', q.ready, group) then
    redis.call('ZADD', q.ready, redis.call('INCR', q.counter), group)
    q.arrived = q.arrived + 1
  end
end

local function appear(q, id)
  if fifo then
    settle_group(q, group_of(id))
  else
    redis.call('ZADD', q.ready, redis.call('INCR', q.counter), id)
    q.arrived = q.arrived + 1
  end
end

local function drop(q, id)
  redis.call('HDEL', q.bodies, id)
  redis.call('HDEL', q.receipts, id)
  redis.call('ZREM', q.ages, id)
  if redis.call('ZREM', q.flight, id) == 0 then redis.call('ZREM', q.delayed, id) end
  if fifo then
    redis.call('ZREM', q.order, id)
    settle_group(q, group_of(id))
  else
    redis.call('ZREM', q.ready, id)
  end
end

-- What is due, a batch at a time; the next call finds the rest.
local function bring_back(q)
  for _, hidden in ipairs({q.delayed, q.flight}) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', hidden, '-inf', now, 'LIMIT', 0, BATCH)) do
      redis.call('ZREM', hidden, id)
      appear(q, id)
    end
  end
end

-- What is too old, some of it; whether that was all.
local function forget_old(q, retention)
  for _ = 1, 10 do
    local old = redis.call('ZRANGEBYSCORE', q.ages, '-inf', now - retention, 'LIMIT', 0, BATCH)
    for _, id in ipairs(old) do drop(q, id) end
    if #old < BATCH then return true end
  end
  return false
end

local function put(q, group, number, body, delay)
  local id = string.format('%012d', number)
  if fifo then
    id = group .. '\\0' .. id
    redis.call('ZADD', q.order, 0, id)
  end
  redis.call('HSET', q.bodies, id, body)
  redis.call('ZADD', q.ages, tonumber(string.sub(body, 1, 13)), id)
  if delay > 0 then
    redis.call('ZADD', q.delayed, now + delay, id)
  elseif fifo then
    settle_group(q, group)
  else
    redis.call('ZADD', q.ready, number, id)
    q.arrived = q.arrived + 1
  end
end

local function bodied(sent, message_id, source, content)
  return string.format('%013d', sent) .. message_id .. string.format('%03d', #source) .. source .. content
end

local function source_of(body) return string.sub(body, 53, 52 + tonumber(string.sub(body, 50, 52))) end

local function content_of(body) return string.sub(body, 53 + tonumber(string.sub(body, 50, 52))) end

local q = keys_of(uid)
if redis.call('HGET', record, 'revision') ~= revision then return 'stale' end
"""

SEND: Final = (
    _COMMON
    + """
-- ARGV from 6 on, five a message: group, id for deduplication ('' without), delay (ms), message id, content. Answers,
-- two a message, with the message id and the number of what was sent, now or before.
local answer, soonest = {}, nil
local number = redis.call('INCRBY', q.counter, (#ARGV - 5) / 5) - (#ARGV - 5) / 5
for at = 6, #ARGV, 5 do
  local duplicate, delay, message_id = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local before = duplicate ~= '' and redis.call('GET', q.duplicate .. duplicate)
  number = number + 1
  if before then
    answer[#answer + 1] = string.sub(before, 13)
    answer[#answer + 1] = string.sub(before, 1, 12)
  else
    local digits = string.format('%012d', number)
    put(q, ARGV[at], number, bodied(now, message_id, '', ARGV[at + 4]), delay)
    if duplicate ~= '' then redis.call('SET', q.duplicate .. duplicate, digits .. message_id, 'PX', 300000) end
    if delay > 0 and (not soonest or delay < soonest) then soonest = delay end
    answer[#answer + 1] = message_id
    answer[#answer + 1] = digits
  end
end
tell(q, soonest)
return answer
"""
)
"""Put messages into a queue. Duplicates are known for five minutes (AWS SQS API reference, SendMessage)."""

RECEIVE: Final = (
    _COMMON
    + """
-- ARGV from 6 on: how many, visibility (ms), retention (ms), bound of what is in flight, receives after which a message
-- goes to the dead-letter queue (0: never), key of that queue's record, own ARN, key for the handles, attempt id.
-- Answers: state (`ok`, `full`), when something becomes visible (ms, '' if nothing will), key of the handles, and four
-- a message: id, body, receives, time of the first.
local most, visibility, retention, bound = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local most_receives, dead_record, own_arn, key, attempt = tonumber(ARGV[10]), ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local answer, taken = {'ok', '', key}, {}

local function give(id, body, count, first)
  redis.call('HSET', q.receipts, id, count .. ' ' .. first .. ' ' .. now .. ' ' .. key)
  redis.call('ZADD', q.flight, now + visibility, id)
  taken[#taken + 1] = id
  for _, part in ipairs({id, body, tostring(count), tostring(first)}) do answer[#answer + 1] = part end
end

local function received(id)
  local receipt = redis.call('HGET', q.receipts, id)
  if not receipt then return 0, now, '' end
  local count, first = string.match(receipt, '^(%d+) (%d+)')
  return tonumber(count), tonumber(first), receipt
end

-- The same messages as under this attempt id before, if nothing has happened to any of them since.
local function give_again()
  local before = attempt ~= '' and redis.call('GET', q.attempt .. attempt)
  if not before then return false end
  local found = cjson.decode(before)
  for _, id in ipairs(found.ids) do
    local _, _, receipt = received(id)
    local hidden = tonumber(redis.call('ZSCORE', q.flight, id) or 0)
    if string.sub(receipt, -#found.key) ~= found.key or hidden ~= found.hidden then return false end
  end
  answer[3], key = found.key, found.key
  for _, id in ipairs(found.ids) do
    local count, first = received(id)
    give(id, redis.call('HGET', q.bodies, id), count, first)
  end
  return true
end

local dead = most_receives > 0 and redis.call('HGET', dead_record, 'uid')
local d = dead and keys_of(dead)

-- FIFO queues count the time of a message anew, standard ones do not.
local function bury(id, body)
  local sent = fifo and now or tonumber(string.sub(body, 1, 13))
  drop(q, id)
  local moved = bodied(sent, string.sub(body, 14, 49), own_arn, content_of(body))
  put(d, fifo and group_of(id) or '', redis.call('INCR', d.counter), moved, 0)
end

local function take(id)
  local body = redis.call('HGET', q.bodies, id)
  local count, first = received(id)
  if tonumber(string.sub(body, 1, 13)) <= now - retention then
    drop(q, id)
  elseif d and count >= most_receives then
    bury(id, body)
  else
    give(id, body, count + 1, first)
  end
end

bring_back(q)
forget_old(q, retention)
if not give_again() then
  local room = bound - redis.call('ZCARD', q.flight)
  if room <= 0 then return {'full', '', key} end
  most = math.min(most, room)
  if fifo then
    for _, group in ipairs(redis.call('ZRANGE', q.ready, 0, most + BATCH)) do
      if #taken >= most then break end
      for _, id in ipairs(first_of(q, group, most - #taken)) do
        if is_hidden(q, id) then break end
        take(id)
      end
      settle_group(q, group)
    end
  else
    for _ = 1, BATCH do
      local popped = redis.call('ZPOPMIN', q.ready, most - #taken)
      for at = 1, #popped, 2 do take(popped[at]) end
      if #taken >= most or #popped == 0 then break end
    end
  end
end

if #taken > 0 then
  if attempt ~= '' then
    local kept = cjson.encode({key = key, ids = taken, hidden = now + visibility})
    redis.call('SET', q.attempt .. attempt, kept, 'PX', 300000)
  end
  q.arrived = visibility == 0 and #taken or 0
  tell(q, visibility)
elseif redis.call('ZCARD', q.ready) > 0 then
  answer[2] = tostring(now)
else
  for _, hidden in ipairs({q.delayed, q.flight}) do
    local due = redis.call('ZRANGE', hidden, 0, 0, 'WITHSCORES')[2]
    if due and (answer[2] == '' or tonumber(due) < tonumber(answer[2])) then answer[2] = due end
  end
end
if d then tell(d) end
return answer
"""
)
"""Take messages out of a queue, until they are deleted or their time in flight is over."""

DELETE: Final = (
    _COMMON
    + """
-- ARGV from 6 on, two a message: id, key of the handle. Answers for each: `ok`, or `expired`, which FIFO queues refuse.
local answer = {}
for at = 6, #ARGV, 2 do
  local id, key = ARGV[at], ARGV[at + 1]
  local receipt = redis.call('HGET', q.receipts, id)
  local is_last = receipt and string.sub(receipt, -#key) == key
  local state = 'ok'
  if fifo and receipt and not (is_last and tonumber(redis.call('ZSCORE', q.flight, id) or 0) > now) then
    state = 'expired'
  elseif is_last then
    drop(q, id)
  end
  answer[#answer + 1] = state
end
tell(q)
return answer
"""
)
"""Delete messages that were received. A handle that a later receive has replaced deletes nothing."""

CHANGE: Final = (
    _COMMON
    + """
-- ARGV from 6 on, three a message: id, key of the handle, visibility from now on (ms). Answers for each: `ok`,
-- `missing`, `expired`, `beyond`.
local answer, soonest = {}, nil
for at = 6, #ARGV, 3 do
  local id, key, visibility = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local receipt = redis.call('HGET', q.receipts, id)
  local state = 'ok'
  if not receipt or string.sub(receipt, -#key) ~= key then
    state = 'missing'
  elseif fifo and tonumber(redis.call('ZSCORE', q.flight, id) or 0) <= now then
    state = 'expired'
  elseif now + visibility - tonumber(string.match(receipt, '^%d+ %d+ (%d+)')) > 43200000 then
    state = 'beyond'
  elseif visibility > 0 then
    redis.call('ZADD', q.flight, now + visibility, id)
    if fifo then settle_group(q, group_of(id)) else redis.call('ZREM', q.ready, id) end
    if not soonest or visibility < soonest then soonest = visibility end
  elseif redis.call('ZREM', q.flight, id) == 1 then
    appear(q, id)
  end
  answer[#answer + 1] = state
end
tell(q, soonest)
return answer
"""
)
"""Change how long messages stay in flight: twelve hours at most since they were received."""

COUNT: Final = (
    _COMMON
    + """
-- ARGV 6: retention (ms). Answers: all there are, those in flight, those delayed, when the oldest was sent (ms, or ''),
-- and whether all that is too old is forgotten.
local clean = forget_old(q, tonumber(ARGV[6]))
local flight = redis.call('ZCOUNT', q.flight, '(' .. now, '+inf')
local delayed = redis.call('ZCOUNT', q.delayed, '(' .. now, '+inf')
local oldest = redis.call('ZRANGE', q.ages, 0, 0, 'WITHSCORES')[2] or ''
return {redis.call('HLEN', q.bodies), flight, delayed, oldest, clean and 1 or 0}
"""
)
"""Count messages, after those that are too old have been forgotten."""

EMPTY: Final = (
    _COMMON
    + """
-- ARGV from 6 on, for a purge: the uid from now on, revision and content of the record; otherwise the queue goes.
redis.call('UNLINK', q.bodies, q.receipts, q.ages, q.ready, q.flight, q.delayed, q.order)
redis.call('PUBLISH', q.arrivals, 'gone')
if ARGV[6] then
  redis.call('HSET', record, 'uid', ARGV[6], 'revision', ARGV[7], 'content', ARGV[8])
  if redis.call('EXISTS', q.counter) == 1 then redis.call('RENAME', q.counter, keys_of(ARGV[6]).counter) end
else
  redis.call('UNLINK', q.counter, record)
end
return 'ok'
"""
)
"""Forget all messages, and what was sent or received under which id."""

MOVE: Final = (
    _COMMON
    + """
-- ARGV from 6 on: how many, retention (ms), key of the record of the queue they go to ('' for where each came from),
-- prefix of such keys, and as many new message ids.
-- Answers: how many were moved, and the key of a record that does not exist (`''` if none was missed).
local most, retention, target, prefix = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9]
local count, missing, places = 0, '', {}

local function place_of(body)
  local to = target
  if to == '' then to = prefix .. source_of(body) end
  if places[to] == nil then
    local there = redis.call('HGET', to, 'uid')
    places[to] = there and keys_of(there)
  end
  if not places[to] then missing = to end
  return places[to]
end

local function move(id)
  local body = redis.call('HGET', q.bodies, id)
  local t = place_of(body)
  if not t then return false end
  count = count + 1
  drop(q, id)
  local renewed = bodied(now, ARGV[9 + count], '', content_of(body))
  put(t, fifo and group_of(id) or '', redis.call('INCR', t.counter), renewed, 0)
  return true
end

bring_back(q)
forget_old(q, retention)
if fifo then
  for _, group in ipairs(redis.call('ZRANGE', q.ready, 0, most)) do
    for _, id in ipairs(first_of(q, group, most - count)) do
      if is_hidden(q, id) or not move(id) then break end
    end
    if missing ~= '' or count >= most then break end
  end
else
  for _, id in ipairs(redis.call('ZRANGE', q.ready, 0, most - 1)) do
    if not move(id) then break end
  end
end
for _, place in pairs(places) do
  if place then tell(place) end
end
return {count, missing}
"""
)
"""Move messages from a dead-letter queue, as new ones (Amazon SQS developer guide, "Dead-letter queue redrive")."""
