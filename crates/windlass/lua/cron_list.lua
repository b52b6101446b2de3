-- Lists cron entries, a page at a time.
-- KEYS: 1 cron, 2 cron-next
-- ARGV: 1 cursor, 0 at first, 2 how many to look at
-- Answer: {next cursor or 0, then name, record and the moment at which it is due or "" of each}
-- Guarantee: each entry is shown as it is at one moment; one that is there throughout is shown.
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local answer = { found[1] }
for i = 1, #found[2], 2 do
  answer[#answer + 1] = found[2][i]
  answer[#answer + 1] = found[2][i + 1]
  answer[#answer + 1] = redis.call('ZSCORE', KEYS[2], found[2][i]) or ''
end
return answer
