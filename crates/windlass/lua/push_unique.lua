-- Adds jobs of one queue, each unless an equal one is there.
-- KEYS: 1 to 10 as in find.lua, 11 wake, 12 seq, then the lock of each job
-- ARGV: 1 queue, 2 how long they are unique: "window", "ever", "started" or "done", 3 life of a lock in ms or "0" for
--       any, 4 "replace" or "keep", 5 due ("+ms" from the store's now, "=ms" since the epoch, or "" for at once),
--       6 history of a scheduled job, 7.. envelopes
-- Answer: {what, id} of each in turn; what is 1 for a new job, 2 for the one that was there with another envelope and
--         due time now, 0 for the one that was there, unchanged; or {-1, what the queue lacks...} as in room.lua for a new
--         one that was not added.
-- Guarantee: no two jobs are there for one lock. Whatever ends or begins a job leaves its lock alone: a lock counts
--       only as long as the job that it names is as the second argument says, and that is found out here. So no
--       crash leaves one behind that keeps others out.
local queue, scope, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local is_woken = false
local has_window = scope == 'window' or scope == 'ever'
local due
if ARGV[5] ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  due = tonumber(string.sub(ARGV[5], 2))
  if string.sub(ARGV[5], 1, 1) == '+' then due = due + now end
  -- What waits for its time is not forgotten before that.
  if life > 0 and not has_window then life = life + math.max(0, due - now) end
end

local function blocks(job)
  if has_window then return true end
  if job.place == 'none' or job.set == KEYS[8] or job.set == KEYS[9] or job.set == KEYS[10] then return false end
  if scope == 'done' then return true end
  return job.place ~= 'active' and (history_read(job.history).attempts or 0) + job.count == 0
end

local function is_waiting(job)
  local is_in_lane = job.place == 'stored' and not job.set
  return is_in_lane or job.place == 'queued' or job.set == KEYS[5] or job.set == KEYS[6] or job.set == KEYS[7]
end

local function hold(lock, id)
  if life > 0 then
    redis.call('SET', lock, id, 'PX', string.format('%.0f', life))
  else
    redis.call('SET', lock, id)
  end
end

local function schedule(id, envelope)
  redis.call('HSET', KEYS[1], id, ARGV[6] .. '\n' .. envelope)
  redis.call('ZADD', KEYS[5], string.format('%.0f', due), id)
end

local function add(envelope)
  if due then
    local id = queue .. '/s' .. redis.call('INCR', KEYS[12])
    schedule(id, envelope)
    return id
  end
  is_woken = true
  return lane_push(queue, envelope) or queue .. '/' .. redis.call('XADD', KEYS[3], '*', 'j', envelope)
end

-- The job keeps its id, so that whoever has it still finds the job.
local function replace(job, envelope)
  take_out(job)
  if due then
    schedule(job.id, envelope)
  else
    redis.call('HSET', KEYS[1], job.id, '{"state":"enqueued"}\n' .. envelope)
    enqueue(job.id, queue, KEYS[1], KEYS[2], KEYS[3], KEYS[11])
  end
end

-- The locks as they were, all at once, and those that are held since.
local answer, held = {}, {}
local locks = #KEYS > 12 and redis.call('MGET', unpack(KEYS, 13)) or {}
for i = 7, #ARGV do
  local lock, envelope = KEYS[i + 6], ARGV[i]
  local known = held[lock] or locks[i - 6]
  local job = known and find(known)
  if not job or not blocks(job) then
    local lack = not due and room_take(queue, KEYS[3], #envelope)
    if lack then
      answer[#answer + 1] = { -1, unpack(lack) }
    else
      local id = add(envelope)
      hold(lock, id)
      held[lock] = id
      answer[#answer + 1] = { 1, id }
    end
  elseif ARGV[4] == 'replace' and is_waiting(job) then
    replace(job, envelope)
    if not has_window then hold(lock, job.id) end
    answer[#answer + 1] = { 2, job.id }
  else
    answer[#answer + 1] = { 0, known }
  end
end
if is_woken then redis.call('ZADD', KEYS[11], 0, 'w') end
return answer
