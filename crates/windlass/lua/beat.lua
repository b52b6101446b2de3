-- Notes that a worker lives.
-- KEYS: 1 workers, 2 hash of the worker
-- ARGV: 1 worker, 2 life of the hash in ms, 3.. fields and values
-- Answer: the store's now in ms.
-- Guarantee: a worker that is listed has a fresh description; one that is gone expires by itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return now
