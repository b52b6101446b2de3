-- Pauses a cron entry.
-- KEYS: 1 cron, 2 cron-next
-- ARGV: 1 name
-- Answer: 1 when it is paused now, 0 when it was, -1 when there is none.
-- Guarantee: nothing is pushed for its times from here on.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return -1 end
local cut = string.find(record, '\n', 1, true)
local state = cjson.decode(string.sub(record, 1, cut - 1))
redis.call('ZREM', KEYS[2], ARGV[1])
if state.paused then return 0 end
state.paused = true
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(state) .. string.sub(record, cut))
return 1
