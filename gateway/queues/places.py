"""Where the messages of a queue are in Redis, and how they come and go: the Lua that every script begins with.

A queue's record is in `store.py`; the messages of a queue are under its `uid`, which is made with it and dies with it.
All their keys are spelled here, and nowhere else:

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
of its dead-letter source (3 digits), and that ARN. Where a message was moved by a redrive policy, its receipt has how
often it had been received until then behind a `+`, and no key before the first receive.

What is visible has no time in it, so a clock that is set back delays what is delayed or in flight, and nothing else.

Every script begins with `ARGV`: uid, key of the record, its revision, now (ms), `1` for FIFO queues. It answers
`stale`, with nothing done, when the record is not of that revision any more.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "samovar:messages:"
ARRIVALS: Final = ":arrivals"

COMMON: Final = """
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

-- A command with any number of further words, which come in pairs.
local function many(command, key, words)
  for at = 1, #words, 2000 do redis.call(command, key, unpack(words, at, math.min(at + 1999, #words))) end
end

local function drop_all(q, ids)
  if #ids == 0 then return end
  redis.call('HDEL', q.bodies, unpack(ids))
  redis.call('HDEL', q.receipts, unpack(ids))
  redis.call('ZREM', q.ages, unpack(ids))
  if redis.call('ZREM', q.flight, unpack(ids)) < #ids then
    redis.call('ZREM', q.delayed, unpack(ids))
    if not fifo then redis.call('ZREM', q.ready, unpack(ids)) end
  end
  if not fifo then return end
  redis.call('ZREM', q.order, unpack(ids))
  local settled = {}
  for _, id in ipairs(ids) do
    local group = group_of(id)
    if not settled[group] then settle_group(q, group) end
    settled[group] = true
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
    drop_all(q, old)
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
  return id
end

local function bodied(sent, message_id, source, content)
  return string.format('%013d', sent) .. message_id .. string.format('%03d', #source) .. source .. content
end

local function source_of(body) return string.sub(body, 53, 52 + tonumber(string.sub(body, 50, 52))) end

local function content_of(body) return string.sub(body, 53 + tonumber(string.sub(body, 50, 52))) end

local q = keys_of(uid)
if redis.call('HGET', record, 'revision') ~= revision then return 'stale' end
"""
