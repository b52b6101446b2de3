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
local count = (#ARGV - 3) / 2
local last = redis.call('INCRBY', KEYS[1], count)
local answer, order, data = { count }, {}, {}
for n = 1, count do
  local word = ARGV[2 + 2 * n]
  local due = tonumber(string.sub(word, 2))
  if string.sub(word, 1, 1) == '+' then due = due + now end
  local id = ARGV[1] .. '/s' .. string.format('%.0f', last - count + n)
  answer[n + 1] = id
  order[#order + 1], order[#order + 2] = string.format('%.0f', due), id
  data[#data + 1], data[#data + 2] = id, ARGV[2] .. '\n' .. ARGV[3 + 2 * n]
  -- One command for many jobs: the log holds one record for them, and it is what a start reads. Lua hands over so many
  -- words at once.
  if #order == 1000 or n == count then
    redis.call('ZADD', KEYS[2], unpack(order))
    redis.call('HSET', KEYS[3], unpack(data))
    order, data = {}, {}
  end
end
if keyed then redis.call('SET', KEYS[4], answer[2], 'PX', ARGV[3]) end
return answer
