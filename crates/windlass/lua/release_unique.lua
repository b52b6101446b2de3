-- Forgets locks of ended jobs before their time, to save memory.
-- KEYS: locks
-- ARGV: the id of the job that each was for
-- Answer: how many were forgotten.
-- Guarantee: a lock that names another job by now is not touched.
if #KEYS == 0 then return 0 end
local found, locks = redis.call('MGET', unpack(KEYS)), {}
for i = 1, #KEYS do
  if found[i] == ARGV[i] then locks[#locks + 1] = KEYS[i] end
end
if #locks == 0 then return 0 end
return redis.call('DEL', unpack(locks))
