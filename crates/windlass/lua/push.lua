-- Adds ready jobs to one queue.
-- KEYS: 1 stream, 2 wake
-- ARGV: 1 "ids" to answer the entry ids or "count" to answer their number, 2.. envelopes
-- Answer: list of entry ids, or the number added.
-- Guarantee: all of them are added, in order, and one wake mark is left for an idle worker.
local wants_ids = ARGV[1] == 'ids'
local ids = {}
for i = 2, #ARGV do
  local id = redis.call('XADD', KEYS[1], '*', 'j', ARGV[i])
  if wants_ids then ids[i - 1] = id end
end
redis.call('ZADD', KEYS[2], 0, 'w')
if wants_ids then return ids end
return #ARGV - 1
