-- Forgets locks of ended jobs before their time, to save memory.
-- KEYS: locks
-- ARGV: the id of the job that each was for
-- Answer: how many were forgotten.
-- Guarantee: a lock that names another job by now is not touched.
local count = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i] then count = count + redis.call('DEL', KEYS[i]) end
end
return count
