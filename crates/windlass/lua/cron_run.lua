-- Pushes the job of a cron entry by hand.
-- KEYS: 1 cron, 2 stream, 3 wake
-- ARGV: 1 name, 2 the revision that was seen, 3 queue, 4 envelope
-- Answer: the id, or "" when the entry is not as it was seen.
-- Guarantee: the entry's times stay as they are; the job counts as its last one.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return '' end
local cut = string.find(record, '\n', 1, true)
local state = cjson.decode(string.sub(record, 1, cut - 1))
if state.rev ~= tonumber(ARGV[2]) then return '' end
local id = lane_push(ARGV[3], ARGV[4]) or ARGV[3] .. '/' .. redis.call('XADD', KEYS[2], '*', 'j', ARGV[4])
redis.call('ZADD', KEYS[3], 0, 'w')
state.last_id = id
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(state) .. string.sub(record, cut))
return id
