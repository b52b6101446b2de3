-- Puts parked jobs of kinds that a worker knows back into their queues.
-- KEYS: 1 parked, 2 jobs, 3 moved, then stream and wake of each known queue
-- ARGV: 1 rank to look from, 2 how many to look at, 3 number of queues, then their names, then kinds
-- Answer: {looked at, moved}
-- Guarantee: a job moves with its data and history; one of another kind stays where it is.
local place, known = {}, {}
local queues = tonumber(ARGV[3])
for i = 1, queues do place[ARGV[3 + i]] = 4 + 2 * (i - 1) end
for i = 4 + queues, #ARGV do known[ARGV[i]] = true end
local ids = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1)
local moved = 0
for _, id in ipairs(ids) do
  local record = redis.call('HGET', KEYS[2], id)
  local at = place[queue_of(id)]
  if not record then
    redis.call('ZREM', KEYS[1], id)
    moved = moved + 1
  elseif at then
    local history, envelope = record_read(record, KEYS[1])
    -- What a history does not tell the job does.
    if known[history.kind or kind_of(envelope)] then
      enqueue(id, queue_of(id), KEYS[2], KEYS[3], KEYS[at], KEYS[at + 1])
      redis.call('ZREM', KEYS[1], id)
      moved = moved + 1
    end
  end
end
return { #ids, moved }
