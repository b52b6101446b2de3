-- Adds ready jobs to a queue that has a limit, as many as fit.
-- KEYS: 1 stream, 2 wake, 3 rules
-- ARGV: 1 queue name, then rank ("" for a job without a lane), key and envelope of each
-- Answer: {{}, id...} when all were added; or {what the next one lacks, as in room.lua, id...}
-- Guarantee: a push adds no more than the limits leave room for; the first of the jobs that fit are added, in order.
local queue, answer = ARGV[1], { {} }
for i = 2, #ARGV, 3 do
  local rank, key, envelope = unpack(ARGV, i, i + 2)
  local lack = room_take(queue, KEYS[1], #envelope)
  if lack then
    answer[1] = lack
    break
  end
  if rank == '' then
    answer[#answer + 1] = queue .. '/' .. redis.call('XADD', KEYS[1], '*', 'j', envelope)
  else
    local number = redis.call('INCR', base .. 'seq')
    local id = queue .. '/s' .. whole(number)
    redis.call('HSET', base .. 'jobs', id, '{"state":"enqueued"}\n' .. envelope)
    lane_put(queue, tonumber(rank), '', key, number, id)
    answer[#answer + 1] = id
  end
end
if #answer > 1 then redis.call('ZADD', KEYS[2], 0, 'w') end
return answer
