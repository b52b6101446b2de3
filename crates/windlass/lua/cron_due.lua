-- Finds the cron entries that are due.
-- KEYS: 1 cron, 2 cron-next
-- ARGV: 1 how many of them to pass over, 2 how many to answer at most
-- Answer: {the store's now in ms, ms until the next later one is due or -1, then name, the moment at which
--       it is due and record of each}
-- Guarantee: one consistent view; nothing is changed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = string.format('%.0f', now)
local answer = { now, -1 }
local later = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. at, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if later[2] then answer[2] = tonumber(later[2]) - now end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
for i = 1, #due, 2 do
  answer[#answer + 1] = due[i]
  answer[#answer + 1] = due[i + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[1], due[i]) or ''
end
return answer
