-- Adds ready jobs to a queue that has a limit, as many as fit.
-- KEYS: 1 stream, 2 wake, 3 rules
-- ARGV: 1 queue name, then rank ("" for a job without a lane), key and envelope of each
-- Answer: {limit or -1, how many jobs the queue has with these, id...}; jobs without an id were not added.
-- Guarantee: the queue has no more jobs, waiting and active, than its limit says; those that fit are added, in order.
local queue, count = ARGV[1], (#ARGV - 1) / 3
local rule = redis.call('HGET', KEYS[3], 'queue:' .. queue)
local max = rule and cjson.decode(rule).max_jobs
local waiting = tonumber(redis.call('HGET', base .. 'pace:' .. queue, 'size') or 0)
local size = redis.call('XLEN', KEYS[1]) + waiting
if max then count = math.max(0, math.min(count, max - size)) end
local answer = { max or -1, size + count }
for i = 1, count do
  local rank, key, envelope = unpack(ARGV, 3 * i - 1, 3 * i + 1)
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
if count > 0 then redis.call('ZADD', KEYS[2], 0, 'w') end
return answer
