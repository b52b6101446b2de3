-- Lets a paused queue go on.
-- KEYS: 1 gate, 2 wake
-- Answer: 1 when it was paused.
-- Guarantee: an idle worker comes at once.
redis.call('ZADD', KEYS[2], 0, 'w')
return redis.call('HDEL', KEYS[1], 'paused')
