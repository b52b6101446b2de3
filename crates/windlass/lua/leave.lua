-- Takes a worker that has stopped off the lists.
-- KEYS: 1 workers, 2 hash of the worker, 3.. streams
-- ARGV: 1 worker
-- Answer: in how many queues something is still pending under it.
-- Guarantee: a consumer is deleted only when nothing is pending under it, since deleting it would lose that.
local left = 0
for i = 3, #KEYS do
  local pending = redis.pcall('XPENDING', KEYS[i], 'w', '-', '+', 1, ARGV[1])
  if not pending.err then
    if #pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[i], 'w', ARGV[1])
    else
      left = left + 1
    end
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return left
