-- Counts the jobs that wait in the lanes of one queue.
-- KEYS: 1 turns, 2 waits
-- ARGV: 1 how many lanes of either sort to look at
-- Answer: how many jobs wait in them.
-- Guarantee: one consistent view; nothing is changed.
local total, looked, cursor = 0, 0, '0'
for _, lane in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  total = total + redis.call('ZCARD', base .. 'lane:' .. lane)
end
repeat
  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 100)
  cursor = page[1]
  for i = 1, #page[2], 2 do total = total + redis.call('ZCARD', base .. 'lane:' .. page[2][i]) end
  looked = looked + #page[2] / 2
until cursor == '0' or looked >= tonumber(ARGV[1])
return total
