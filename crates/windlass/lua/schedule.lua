-- Stores jobs of one queue that are due later.
-- KEYS: 1 seq, 2 scheduled, 3 jobs, 4 enqueue key (only with ARGV 3)
-- ARGV: 1 queue name, 2 state JSON, 3 life of the enqueue key in ms or "0",
--       then in turn: due ("+ms" from the store's now, or "=ms" since the epoch), envelope
-- Answer: {added, id...}; added is 0 when the enqueue key was known and the id is the first's.
-- Guarantee: every job is stored with its data, or the known one is answered and nothing changes.
local keyed = ARGV[3] ~= '0'
if keyed then
  local known = redis.call('GET', KEYS[4])
  if known then return { 0, known } end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = { (#ARGV - 3) / 2 }
for i = 4, #ARGV, 2 do
  local due = tonumber(string.sub(ARGV[i], 2))
  if string.sub(ARGV[i], 1, 1) == '+' then due = due + now end
  local id = ARGV[1] .. '/s' .. redis.call('INCR', KEYS[1])
  redis.call('ZADD', KEYS[2], string.format('%.0f', due), id)
  redis.call('HSET', KEYS[3], id, ARGV[2] .. '\n' .. ARGV[i + 1])
  if keyed then redis.call('SET', KEYS[4], id, 'PX', ARGV[3]) end
  answer[#answer + 1] = id
end
return answer
