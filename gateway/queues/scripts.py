"""The Lua scripts by which messages change their places: each change is one script, done whole or not at all.

What they share, and where a message can be, is in `places.py`. A command to Redis costs a script more than the words
in it, so what is done with many messages is done with one command for each place.
"""

from __future__ import annotations

from typing import Final

from gateway.queues.places import COMMON

SEND: Final = (
    COMMON
    + """
-- ARGV from 6 on, five a message: group, id for deduplication ('' without), delay (ms), message id, content. Answers,
-- two a message, with the message id and the number of what was sent, now or before.
local answer, soonest = {}, nil
local number = redis.call('INCRBY', q.counter, (#ARGV - 5) / 5) - (#ARGV - 5) / 5
local bodies, ages, order, ready, delayed, groups = {}, {}, {}, {}, {}, {}

local function add(to, one, other)
  to[#to + 1] = one
  to[#to + 1] = other
end

local function store(group, digits, body, delay)
  local id = digits
  if fifo then
    id = group .. '\\0' .. digits
    add(order, 0, id)
  end
  add(bodies, id, body)
  add(ages, now, id)
  if delay > 0 then
    add(delayed, now + delay, id)
  elseif fifo then
    if not groups[group] then groups[#groups + 1] = group end
    groups[group] = true
  else
    add(ready, number, id)
  end
end

for at = 6, #ARGV, 5 do
  local duplicate, delay, message_id = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local before = duplicate ~= '' and redis.call('GET', q.duplicate .. duplicate)
  number = number + 1
  if before then
    add(answer, string.sub(before, 13), string.sub(before, 1, 12))
  else
    local digits = string.format('%012d', number)
    store(ARGV[at], digits, bodied(now, message_id, '', ARGV[at + 4]), delay)
    if duplicate ~= '' then redis.call('SET', q.duplicate .. duplicate, digits .. message_id, 'PX', 300000) end
    if delay > 0 and (not soonest or delay < soonest) then soonest = delay end
    add(answer, message_id, digits)
  end
end
many('HSET', q.bodies, bodies)
many('ZADD', q.ages, ages)
many('ZADD', q.order, order)
many('ZADD', q.delayed, delayed)
many('ZADD', q.ready, ready)
q.arrived = #ready / 2
for _, group in ipairs(groups) do settle_group(q, group) end
tell(q, soonest)
return answer
"""
)
"""Put messages into a queue. Duplicates are known for five minutes (AWS SQS API reference, SendMessage)."""

RECEIVE: Final = (
    COMMON
    + """
-- ARGV from 6 on: how many, visibility (ms), retention (ms), bound of what is in flight, receives after which a message
-- goes to the dead-letter queue (0: never), key of that queue's record, own ARN, key for the handles, attempt id.
-- Answers: state (`ok`, `full`), when something becomes visible (ms, '' if nothing will), key of the handles, and four
-- a message: id, body, receives, time of the first.
local most, visibility, retention, bound = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local most_receives, dead_record, own_arn, key, attempt = tonumber(ARGV[10]), ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local answer, taken = {'ok', '', key}, {}
local receipts, flight = {}, {}

-- What a message was received before it was moved here is told of it, and does not count towards the next move.
local function carried(base) return base > 0 and ' +' .. base or '' end

local function give(id, body, count, first, base)
  local at, to = #receipts, #answer
  receipts[at + 1], receipts[at + 2] = id, count .. ' ' .. first .. ' ' .. now .. carried(base) .. ' ' .. key
  flight[at + 1], flight[at + 2] = now + visibility, id
  answer[to + 1], answer[to + 2], answer[to + 3], answer[to + 4] = id, body, tostring(count), tostring(first)
  taken[#taken + 1] = id
end

-- Write down what was given.
local function note()
  many('HSET', q.receipts, receipts)
  many('ZADD', q.flight, flight)
  receipts, flight = {}, {}
end

local function parts_of(receipt)
  if not receipt then return 0, now, 0 end
  local count, first = string.match(receipt, '^(%d+) (%d+)')
  return tonumber(count), tonumber(first), tonumber(string.match(receipt, ' %+(%d+) ') or 0)
end

-- The same messages as under this attempt id before, if nothing has happened to any of them since.
local function give_again()
  local before = attempt ~= '' and redis.call('GET', q.attempt .. attempt)
  if not before then return false end
  local found = cjson.decode(before)
  for _, id in ipairs(found.ids) do
    local receipt = redis.call('HGET', q.receipts, id) or ''
    local hidden = tonumber(redis.call('ZSCORE', q.flight, id) or 0)
    if string.sub(receipt, -#found.key) ~= found.key or hidden ~= found.hidden then return false end
  end
  answer[3], key = found.key, found.key
  for _, id in ipairs(found.ids) do
    local count, first, base = parts_of(redis.call('HGET', q.receipts, id))
    give(id, redis.call('HGET', q.bodies, id), count, first, base)
  end
  note()
  return true
end

local dead = most_receives > 0 and redis.call('HGET', dead_record, 'uid')
local d = dead and keys_of(dead)

-- FIFO queues count the time of a message anew, standard ones do not.
local function bury(id, body, count, first)
  local sent = fifo and now or tonumber(string.sub(body, 1, 13))
  drop_all(q, {id})
  local moved = bodied(sent, string.sub(body, 14, 49), own_arn, content_of(body))
  local there = put(d, fifo and group_of(id) or '', redis.call('INCR', d.counter), moved, 0)
  redis.call('HSET', d.receipts, there, count .. ' ' .. first .. ' ' .. now .. carried(count) .. ' ')
end

local function take(ids)
  if #ids == 0 then return end
  local bodies, before = redis.call('HMGET', q.bodies, unpack(ids)), redis.call('HMGET', q.receipts, unpack(ids))
  for place, id in ipairs(ids) do
    local body, count, first, base = bodies[place], parts_of(before[place])
    if tonumber(string.sub(body, 1, 13)) <= now - retention then
      drop_all(q, {id})
    elseif d and count - base >= most_receives then
      bury(id, body, count, first)
    else
      give(id, body, count + 1, first, base)
    end
  end
  note()
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
      local visible = {}
      for _, id in ipairs(first_of(q, group, most - #taken)) do
        if is_hidden(q, id) then break end
        visible[#visible + 1] = id
      end
      take(visible)
      settle_group(q, group)
    end
  else
    for _ = 1, BATCH do
      local popped, ids = redis.call('ZPOPMIN', q.ready, most - #taken), {}
      for at = 1, #popped, 2 do ids[#ids + 1] = popped[at] end
      take(ids)
      if #taken >= most or #ids == 0 then break end
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
    COMMON
    + """
-- ARGV from 6 on, two a message: id, key of the handle. Answers for each: `ok`, or `expired`, which FIFO queues refuse.
local answer, ids, gone = {}, {}, {}
for at = 6, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
local receipts = #ids > 0 and redis.call('HMGET', q.receipts, unpack(ids)) or {}
for place, id in ipairs(ids) do
  local key, receipt = ARGV[5 + 2 * place], receipts[place]
  local is_last = receipt and string.sub(receipt, -#key) == key
  local state = 'ok'
  if fifo and receipt and not (is_last and tonumber(redis.call('ZSCORE', q.flight, id) or 0) > now) then
    state = 'expired'
  elseif is_last then
    gone[#gone + 1] = id
  end
  answer[place] = state
end
drop_all(q, gone)
tell(q)
return answer
"""
)
"""Delete messages that were received. A handle that a later receive has replaced deletes nothing."""

CHANGE: Final = (
    COMMON
    + """
-- ARGV from 6 on, three a message: id, key of the handle, visibility from now on (ms). Answers for each: `ok`,
-- `missing`, `expired`, `beyond`.
local answer, soonest = {}, nil
for at = 6, #ARGV, 3 do
  local id, key, visibility = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local receipt = redis.call('HGET', q.receipts, id)
  local state = 'ok'
  if not receipt or (fifo and string.sub(receipt, -#key) ~= key) then
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
"""Change how long messages stay in flight: twelve hours at most since they were received. Standard queues take any
handle that a message ever had, as SQS does."""

COUNT: Final = (
    COMMON
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
    COMMON
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
    COMMON
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
  drop_all(q, {id})
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
