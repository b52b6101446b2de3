-- Ends one job of a chain or a batch that succeeded.
-- KEYS: 1 stream, 2 suspect, 3 moved, 4 stats, 5 result stream
-- ARGV: 1 consumer, 2 entry, 3 delivery count, 4 id when the job has a redirect or a queue is given, or "",
--       5 life of the result in ms or "0", 6 result JSON, 7 batch or "", 8 place in a group or "", 9 its item there,
--       10 queue of the next job of the chain or "", 11 envelope of that job,
--       and for a job of a queue with lanes or rules: 12 its queue
-- Answer: 1, or 0 when the consumer does not hold the job any more; as in hooks.lua.
-- Guarantee: the end, the next job of the chain, the count of the batch and the callbacks that are due with it
--       happen together, once.
if #fence(KEYS[1], ARGV[1], 2, 1) == 0 then return 0 end
redis.call('XACK', KEYS[1], 'w', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HINCRBY', KEYS[4], 'completed', 1)
if ARGV[4] ~= '' then redis.call('HDEL', KEYS[3], ARGV[4]) end
if ARGV[5] ~= '0' then
  redis.call('XADD', KEYS[5], '*', 'state', 'completed', 'v', ARGV[6])
  redis.call('PEXPIRE', KEYS[5], ARGV[5])
end
local batch = ARGV[7] ~= '' and ARGV[7]
-- The next job is counted before this one has ended, so that the batch of both does not end between them.
if ARGV[10] ~= '' then flow_push(ARGV[10], ARGV[11], nil, batch) end
local id = ARGV[4] ~= '' and ARGV[4] or string.match(KEYS[1], '}:q:(.*)$') .. '/' .. ARGV[2]
flow_ended(id, batch, tonumber(ARGV[8]), 'succeeded', ARGV[9])
-- Only the script that is called with a queue has the rules in front.
if ARGV[12] then rules_ended(ARGV[12], { ARGV[4] }) end
return with_told(1)
