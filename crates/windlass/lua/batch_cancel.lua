-- Cancels what has not ended of a batch.
-- KEYS: 1 batch, 2 cancels
-- ARGV: 1 id of the batch, 2 how long the request to workers stands in ms, 3 how many requests may stand
-- Answer: 1, or 0 when there is no such batch or it has completed.
-- Guarantee: a job of the batch, or of one nested in it, that is taken from now on does not run, and workers that run one
--       learn of it. Those that are stored are for batch_end.lua.
local state, completed_at = unpack(redis.call('HMGET', KEYS[1], 'state', 'completed_at'))
if not state or completed_at then return 0 end
redis.call('HSET', KEYS[1], 'is_cancelled', 1)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
ask_to_stop(KEYS[2], 'batch:' .. ARGV[1], now, tonumber(ARGV[2]), tonumber(ARGV[3]))
return 1
