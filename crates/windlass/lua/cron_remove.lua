-- Removes a cron entry.
-- KEYS: 1 cron, 2 cron-next
-- ARGV: 1 name
-- Answer: 1, or 0 when there was none.
-- Guarantee: nothing is pushed for it any more; what it has pushed stays.
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
