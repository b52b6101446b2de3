-- Adds one ready job unless its enqueue key was already used.
-- KEYS: 1 stream, 2 wake, 3 enqueue key
-- ARGV: 1 envelope, 2 queue name, 3 life of the key in ms, 4 "1" when the queue has a limit
-- Answer: {1, id} when it was added, {0, id of the first} when the key was known, {-1, what the queue lacks...} as in
--         room.lua.
-- Guarantee: within the life of the key one job exists for it, however often the push is repeated.
local known = redis.call('GET', KEYS[3])
if known then return { 0, known } end
if ARGV[4] == '1' then
  local lack = room_take(ARGV[2], KEYS[1], #ARGV[1])
  if lack then return { -1, unpack(lack) } end
end
local id = lane_push(ARGV[2], ARGV[1]) or ARGV[2] .. '/' .. redis.call('XADD', KEYS[1], '*', 'j', ARGV[1])
redis.call('SET', KEYS[3], id, 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], 0, 'w')
return { 1, id }
