-- Cancels what has not begun of a batch.
-- KEYS: 1 batch
-- Answer: 1, or 0 when there is no such batch or it has completed.
-- Guarantee: a job of the batch, or of one nested in it, that is taken from now on does not run.
local state, completed_at = unpack(redis.call('HMGET', KEYS[1], 'state', 'completed_at'))
if not state or completed_at then return 0 end
redis.call('HSET', KEYS[1], 'is_cancelled', 1)
return 1
