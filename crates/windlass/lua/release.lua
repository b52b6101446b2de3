-- Gives back what a stopping worker holds in one queue.
-- KEYS: 1 stream, 2 gate, 3 wake, 4 suspect
-- ARGV: 1 consumer, 2 number of jobs, then (entry, delivery count) of each, sorted by entry
-- Answer: how many went back.
-- Guarantee: the next taker gets them at once and first; the run that was cut short is not counted. A job
--       that was a suspect stays one.
local n = tonumber(ARGV[2])
local held = fence(KEYS[1], ARGV[1], 3, n)
local count_of = {}
for i = 3, 2 + 2 * n, 2 do count_of[ARGV[i]] = tonumber(ARGV[i + 1]) end
for _, entry in ipairs(held) do
  local mark = redis.call('HGET', KEYS[4], entry)
  if mark then redis.call('HSET', KEYS[4], entry, string.match(mark, '^%d+') or '0') end
  local field = mark and 'suspect' or 'recovered'
  redis.call('XCLAIM', KEYS[1], 'w', '~' .. field, 0, entry, 'RETRYCOUNT', count_of[entry] - 1, 'JUSTID')
  redis.call('HSET', KEYS[2], field, 1)
end
if #held > 0 then redis.call('ZADD', KEYS[3], 0, 'w') end
return #held
