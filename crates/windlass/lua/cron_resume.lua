-- Lets a paused cron entry go on.
-- KEYS: 1 cron, 2 cron-next
-- ARGV: 1 name, 2 the revision that was seen, 3 the next time, 4 the moment at which that is due
-- Answer: 1 when it goes on, 0 when it was not paused, -1 when it is not as it was seen.
-- Guarantee: it goes on with the given time, reckoned from the definition that it has.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return -1 end
local cut = string.find(record, '\n', 1, true)
local state = cjson.decode(string.sub(record, 1, cut - 1))
if state.rev ~= tonumber(ARGV[2]) then return -1 end
if not state.paused then return 0 end
state.paused = nil
state.due = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(state) .. string.sub(record, cut))
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
return 1
