-- Takes a worker that has stopped off the lists.
-- KEYS: 1 workers, 2 hash of the worker, then stream, gate, wake and suspect of each queue
-- ARGV: 1 worker, 2 how many entries to give back per queue at most
-- Answer: how many entries are still pending under it; the caller goes on while it is not 0.
-- Guarantee: what the worker did not give back, because the reply that carried it was lost, goes back
--       uncounted, since it cannot have begun. A consumer is deleted only when nothing is pending under it,
--       since deleting it would lose that.
local left = 0
for base = 3, #KEYS, 4 do
  local stream, gate, wake, suspect = KEYS[base], KEYS[base + 1], KEYS[base + 2], KEYS[base + 3]
  local pending = redis.pcall('XPENDING', stream, 'w', '-', '+', ARGV[2], ARGV[1])
  if not pending.err then
    for _, item in ipairs(pending) do
      local mark = redis.call('HGET', suspect, item[1])
      if mark then redis.call('HSET', suspect, item[1], string.match(mark, '^%d+') or '0') end
      local field = mark and 'suspect' or 'recovered'
      local count = math.max(0, item[4] - 1)
      redis.call('XCLAIM', stream, 'w', '~' .. field, 0, item[1], 'RETRYCOUNT', count, 'JUSTID')
      redis.call('HSET', gate, field, 1)
    end
    if #pending > 0 then redis.call('ZADD', wake, 0, 'w') end
    local rest = #redis.call('XPENDING', stream, 'w', '-', '+', 1, ARGV[1])
    if rest == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, 'w', ARGV[1]) end
    left = left + rest
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return left
