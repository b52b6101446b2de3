-- Drops ended jobs of one state that are too old, or too many of their queue.
-- KEYS: 1 set, 2 jobs, 3 kept
-- ARGV: 1 what is kept of a queue as JSON: name → [how many, greatest age in ms, how many bytes], "" for queues without a
--       name there; 2 how many of the set to pass over, 3 how many to look at
-- Answer: {looked at, dropped}; the caller goes on behind those that stay until nothing is looked at.
-- Guarantee: what is dropped of a queue is its oldest, and no more than is too much. While no queue has too many and
--       nothing is too old, nothing is looked at but what is counted.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keeps, there, has_too_many = cjson.decode(ARGV[1]), {}, false

local function is_over(queue)
  local jobs, bytes = unpack(there[queue] or { 0, 0 })
  local keep = keeps[queue] or keeps['']
  return kept_is_over(jobs, bytes, keep[1], keep[3])
end

local flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
  local state, queue = string.match(flat[i], '^(.-)/(.*)$')
  if state == string.match(KEYS[1], '[^:]*$') then
    there[queue] = { kept_read(flat[i + 1]) }
    has_too_many = has_too_many or is_over(queue)
  end
end

local ids
if has_too_many then
  ids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1, 'WITHSCORES')
else
  local latest = -math.huge
  for _, keep in pairs(keeps) do latest = math.max(latest, now - keep[2]) end
  latest = string.format('(%.0f', latest)
  ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', latest, 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
end
local dropped = 0
for i = 1, #ids, 2 do
  local id, queue = ids[i], string.match(ids[i], '^[^/]*')
  local keep = keeps[queue] or keeps['']
  if tonumber(ids[i + 1]) < now - keep[2] or is_over(queue) then
    there[queue] = { kept_count(KEYS[1], id, -1, -redis.call('HSTRLEN', KEYS[2], id)) }
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    dropped = dropped + 1
  end
end
return { #ids / 2, dropped }
