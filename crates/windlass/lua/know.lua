-- Says which kinds a worker knows, and takes back what was handed over to workers that are gone.
-- KEYS: 1 by-kind, then for each queue of the worker in turn: knows, stream, gate, wake
-- ARGV: 1 lease in ms, 2 how many jobs to take back at most from each consumer, then the queues, then each kind that the
--       worker knows, a colon, and its version
-- Answer: the numbers of those of its queues that ask for kinds
-- Guarantee: a job that was handed over is taken back once no worker of its queue that knows its kind has called this
--         for a lease, or the queue does not ask any more or has lanes or rules now. It is in front of the queue again, uncounted.
local lease, queues = tonumber(ARGV[1]), (#KEYS - 1) / 4
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}

-- Answers whether everything that no kind in `known` fits was taken back.
local function take_back(stream, gate, wake, known)
  local pending = redis.pcall('XPENDING', stream, 'w')
  local consumers = not pending.err and pending[4] or {}
  local is_done = true
  for i = 1, #consumers do
    local kind, version = string.match(consumers[i][1], '^~kind:(.*):(%d+)$')
    if kind and (known[kind] or -1) < tonumber(version) then
      local page = redis.call('XPENDING', stream, 'w', '-', '+', ARGV[2], consumers[i][1])
      for j = 1, #page do
        redis.call('XCLAIM', stream, 'w', '~recovered', 0, page[j][1], 'RETRYCOUNT', page[j][4], 'JUSTID')
      end
      if #page < tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', stream, 'w', consumers[i][1])
      else
        is_done = false
      end
      if #page > 0 then
        redis.call('HSET', gate, 'recovered', 1)
        redis.call('ZADD', wake, 0, 'w')
      end
    end
  end
  return is_done
end

for i = 1, queues do
  local knows, stream, gate, wake = unpack(KEYS, 4 * i - 2, 4 * i + 1)
  local known = {}
  if redis.call('SISMEMBER', KEYS[1], ARGV[2 + i]) == 1 and redis.call('HEXISTS', gate, 'ruled') == 0 then
    answer[#answer + 1] = i
    for at = 3 + queues, #ARGV do redis.call('ZADD', knows, string.format('%.0f', now), ARGV[at]) end
    redis.call('ZREMRANGEBYSCORE', knows, '-inf', string.format('(%.0f', now - lease))
    local members = redis.call('ZRANGE', knows, 0, -1)
    for at = 1, #members do
      local kind, version = string.match(members[at], '^(.*):(%d+)$')
      known[kind] = math.max(known[kind] or 0, tonumber(version))
    end
    take_back(stream, gate, wake, known)
  elseif redis.call('EXISTS', knows) == 1 then
    -- It asked once.
    if take_back(stream, gate, wake, known) then redis.call('DEL', knows) end
  end
end
return answer
