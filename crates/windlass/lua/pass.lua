-- Hands a taken job over to workers that know its kind.
-- KEYS: 1 stream, 2 by-kind, 3 knows, 4 wake, 5 gate
-- ARGV: 1 consumer, 2 queue, 3 kind, 4 version of the kind, 5 lease in ms, 6 entry, 7 delivery count
-- Answer: 0 when the consumer does not hold the job any more; 1 when its queue does not ask for kinds or has lanes or
--         rules, or no live worker of the queue knows this one: then nothing is changed; 2 when it is handed over.
-- Guarantee: what is handed over waits under a consumer of its kind, which only `adopt` takes from, with its delivery
--         count as if it had not been taken. A wake mark tells one worker for each version that fits.
local held = fence(KEYS[1], ARGV[1], 6, 1)
if #held == 0 then return 0 end
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 0 then return 1 end
-- What is handed over passes by the rules.
if redis.call('HEXISTS', KEYS[5], 'ruled') == 1 then return 1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZRANGEBYSCORE', KEYS[3], string.format('%.0f', now - ARGV[5]), '+inf')
local answer = 1
for i = 1, #known do
  local kind, version = string.match(known[i], '^(.*):(%d+)$')
  if kind == ARGV[3] and tonumber(version) >= tonumber(ARGV[4]) then
    redis.call('ZADD', KEYS[4] .. '/' .. known[i], 0, 'w')
    answer = 2
  end
end
if answer == 2 then
  local consumer = '~kind:' .. ARGV[3] .. ':' .. ARGV[4]
  redis.call('XCLAIM', KEYS[1], 'w', consumer, 0, ARGV[6], 'RETRYCOUNT', ARGV[7] - 1, 'JUSTID')
end
return answer
