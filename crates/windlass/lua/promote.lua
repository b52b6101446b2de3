-- Moves due jobs into their queues.
-- KEYS: 1 the set (scheduled or retry), 2 jobs, 3 moved, then stream and wake of each known queue
-- ARGV: 1 how many at most, 2 how many bytes at most, 3.. names of the known queues
-- Answer: {moved, ms until the next is due or -1, unknown queue names...}
-- Guarantee: no job moves before the store's clock reaches its time, and none moves twice.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local place = {}
for i = 3, #ARGV do place[ARGV[i]] = 4 + 2 * (i - 3) end
local answer, seen, moved, bytes = { 0, -1 }, {}, 0, 0
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local queue = queue_of(id)
  local at = place[queue]
  if at then
    bytes = bytes + (enqueue(id, queue, KEYS[2], KEYS[3], KEYS[at], KEYS[at + 1]) or 0)
    redis.call('ZREM', KEYS[1], id)
    moved = moved + 1
    if bytes >= tonumber(ARGV[2]) then break end
  elseif not seen[queue] then
    seen[queue] = true
    answer[#answer + 1] = queue
  end
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
answer[1] = moved
if head[2] then answer[2] = math.max(0, tonumber(head[2]) - now) end
return answer
