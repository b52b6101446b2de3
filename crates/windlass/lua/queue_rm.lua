-- Forgets a queue that has no jobs.
-- KEYS: 1 queues, 2 stream, 3 workers, 4 by-kind, 5 wake, then what goes with the queue, the stream's group among it
-- ARGV: 1 queue name, 2 lease in ms
-- Answer: {1} when it is forgotten; {0} when there is no such queue; {-1, how many jobs wait or run in it};
--       {-2, how many live workers take from it}
-- Guarantee: nothing is forgotten of a queue that has jobs or workers. Jobs of it that are stored stay where they are; one
--       that comes back makes the queue known again.
-- Who lists queues looks whether there are jobs in those that were forgotten last: a push does not ask each time whether its
-- queue is known.
local FORGOTTEN_MAX, FORGOTTEN_LIFE_MS = 1000, 24 * 3600 * 1000
local queue = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local jobs = redis.call('XLEN', KEYS[2]) + tonumber(redis.call('HGET', base .. 'pace:' .. queue, 'size') or 0)
if jobs > 0 then return { -1, jobs } end
local workers = 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], string.format('(%.0f', now - ARGV[2]), '+inf')) do
  local served = ' ' .. (redis.call('HGET', base .. 'worker:' .. worker, 'queues') or '') .. ' '
  if string.find(served, ' ' .. queue .. ' ', 1, true) then workers = workers + 1 end
end
if workers > 0 then return { -2, workers } end
-- A push to a queue that was forgotten just before may have left its stream alone.
local was_known = math.max(redis.call('SREM', KEYS[1], queue), redis.call('EXISTS', KEYS[2]))
redis.call('SREM', KEYS[4], queue)
-- Lanes that are empty by now may still wait for a limit.
for _, member in ipairs(redis.call('HVALS', base .. 'waits:' .. queue)) do
  redis.call('ZREM', base .. 'blocked', member)
end
redis.call('DEL', KEYS[2], unpack(KEYS, 5))
if was_known == 1 then
  local forgotten = base .. 'forgotten'
  redis.call('ZADD', forgotten, string.format('%.0f', now), queue)
  redis.call('ZREMRANGEBYRANK', forgotten, 0, -1 - FORGOTTEN_MAX)
  redis.call('PEXPIRE', forgotten, FORGOTTEN_LIFE_MS)
end
return { was_known }
