-- Moves one active job out of its stream: to retry, scheduled, parked, dead, discarded or cancelled.
-- KEYS: 1 stream, 2 jobs, 3 set of the new state, 4 moved, 5 suspect, 6 stats, 7 result stream
-- ARGV: 1 consumer, 2 entry, 3 delivery count, 4 id, 5 state JSON, 6 ms from now (the score in the set),
--       7 how many of its queue are kept in an ended state or "0" for another one, 8 how many bytes of them,
--       9 counter to raise,
--       10 life of the result in ms or "0", 11 state, 12 error JSON,
--       and for a job of a chain or a batch that ends: 13 its flow as JSON, 14 the failure as JSON, or "" for both,
--       and for a job of a queue with lanes or rules: 15 its queue
-- Answer: 1, or 0 when the consumer does not hold the job any more; for one with a flow as in hooks.lua.
-- Guarantee: the job is in exactly one place afterwards, with its data and its history. One that has ended has no lock any
--       more: later it might be put back, and have it again.
if #fence(KEYS[1], ARGV[1], 2, 1) == 0 then return 0 end
local flow = ARGV[13] and ARGV[13] ~= '' and cjson.decode(ARGV[13])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
redis.call('XACK', KEYS[1], 'w', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[4], ARGV[4])
redis.call('HDEL', KEYS[5], ARGV[2])
if not found then
  -- Somebody deleted its entry: nothing is left to be moved, and what it held of limits is free.
  if ARGV[15] then permits_release(ARGV[15], { ARGV[4] }) end
  return 0
end
-- The envelope goes over byte by byte: decoding it here would change its numbers.
local envelope = ''
for i = 1, #found[2], 2 do
  if found[2][i] == 'j' then envelope = found[2][i + 1] end
end
local jobs, bytes = kept_add(KEYS[3], KEYS[2], ARGV[4], ARGV[5] .. '\n' .. envelope, now + ARGV[6])
redis.call('HINCRBY', KEYS[6], ARGV[9], 1)
if ARGV[7] ~= '0' and string.find(envelope, '"unique":"', 1, true) then
  local is_json, read = pcall(cjson.decode, envelope)
  local lock = is_json and type(read) == 'table' and read.unique
  local key = type(lock) == 'string' and string.match(KEYS[1], '^.-}:') .. 'unique:' .. lock
  if key and redis.call('GET', key) == ARGV[4] then redis.call('DEL', key) end
end
if ARGV[7] ~= '0' then kept_trim(KEYS[3], KEYS[2], ARGV[4], jobs, bytes, tonumber(ARGV[7]), tonumber(ARGV[8])) end
if ARGV[10] ~= '0' then
  redis.call('XADD', KEYS[7], '*', 'state', ARGV[11], 'e', ARGV[12])
  redis.call('PEXPIRE', KEYS[7], ARGV[10])
end
-- Only the script that is called with a flow has the hooks in front; other jobs pay nothing for them.
if flow then flow_failed(ARGV[4], flow, ARGV[11], ARGV[14]) end
-- And only the one that is called with a queue has the rules.
if ARGV[15] then rules_failed(ARGV[15], ARGV[4], ARGV[11]) end
return flow and with_told(1) or 1
