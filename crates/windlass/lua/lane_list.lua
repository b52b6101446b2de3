-- Lists jobs that wait in the lanes of one queue: first those whose turn comes, then those that wait for something.
-- KEYS: 1 turns, 2 waits
-- ARGV: 1 how many to pass over, 2 how many to answer at most, 3 how many lanes of either sort to look at
-- Answer: list of ids.
-- Guarantee: one consistent view; nothing is changed.
local skip, left = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = {}

local function look(lane)
  local key = base .. 'lane:' .. lane
  local size = redis.call('ZCARD', key)
  if size > skip and left > 0 then
    for _, id in ipairs(redis.call('ZRANGE', key, skip, skip + left - 1)) do
      ids[#ids + 1] = id
      left = left - 1
    end
  end
  skip = math.max(0, skip - size)
end

for _, lane in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[3] - 1)) do look(lane) end
local cursor, looked = '0', 0
repeat
  local page = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 100)
  cursor, looked = page[1], looked + #page[2] / 2
  for i = 1, #page[2], 2 do look(page[2][i]) end
until cursor == '0' or left <= 0 or looked >= tonumber(ARGV[3])
return ids
