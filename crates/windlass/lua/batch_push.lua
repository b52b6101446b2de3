-- Opens a batch, adds jobs of one queue to it, closes it: any of the three.
-- KEYS: 1 batch, 2 queues, 3 stream, 4 wake, 5 seq, 6 scheduled, 7 jobs: those of the queue that jobs go to
-- ARGV: 1 id of the batch, 2 queue name, 3 when due: "" for now, "+ms" from the store's now, "=ms" since the epoch,
--       4 history JSON of a scheduled job, 5 "1" when the jobs are those of a group, 6 "1" to close,
--       7 how deep batches may be nested, 8 "1" when the queue has a limit to be kept, 9 the number of the first of the
--       jobs among all that are pushed to a batch with a key, or "", 10 how many of the next are fields and values of
--       the batch to be opened or "0", then these, then envelopes
-- Answer: {1, id...}; {0} when there is no such batch or it is over, {-1} when it or its parent is cancelled,
--       {-2} when its parent is over, {-3} when it would be nested too deep, {-4, what the queue lacks...} as in
--       room.lua; as in hooks.lua.
-- Guarantee: all of it happens or nothing; the batch does not end before the jobs that were added. To open what is
--       open changes nothing, and jobs with numbers that were added before are not added again.
local id, queue, due = ARGV[1], ARGV[2], ARGV[3]
local from, fields = tonumber(ARGV[9]), tonumber(ARGV[10])
local first = 11 + fields
local last = from and from + #ARGV - first + 1
if from then
  local before = tonumber(redis.call('HGET', KEYS[1], 'pushed') or 0)
  first = math.min(first + math.max(0, before - from), #ARGV + 1)
end

-- Whether jobs may be added to a batch: it is open, or something in it has not ended.
local function is_going(batch)
  local state, pending, children = unpack(redis.call('HMGET', batch_key(batch), 'state', 'pending', 'children'))
  return state and (state == 'open' or pending ~= '0' or children ~= '0')
end

local function is_cancelled(batch) return redis.call('HEXISTS', batch_key(batch), 'is_cancelled') == 1 end

if ARGV[8] == '1' then
  for i = first, #ARGV do
    local lack = room_take(queue, KEYS[3], #ARGV[i])
    if lack then return { -4, unpack(lack) } end
  end
end
local has_changed = false
if fields > 0 and not batch_exists(id) then
  local given = {}
  has_changed = true
  for i = 11, 10 + fields, 2 do given[ARGV[i]] = ARGV[i + 1] end
  local depth = 0
  if given.parent then
    if not is_going(given.parent) then return { -2 } end
    if is_cancelled(given.parent) then return { -1 } end
    depth = tonumber(redis.call('HGET', batch_key(given.parent), 'depth')) + 1
    if depth >= tonumber(ARGV[7]) then return { -3 } end
    redis.call('HINCRBY', batch_key(given.parent), 'children', 1)
    redis.call('HINCRBY', batch_key(given.parent), 'unsuccessful', 1)
    redis.call('PERSIST', batch_key(given.parent))
    if ARGV[6] ~= '1' then
      redis.call('ZADD', nested_open, flow_now(), id)
      if given.opener then
        redis.call('SADD', nested_key(given.opener), id)
        redis.call('PEXPIRE', nested_key(given.opener), given.wait)
      end
    end
  end
  redis.call('HSET', KEYS[1], 'state', 'open', 'total', 0, 'pending', 0, 'succeeded', 0, 'dead', 0, 'cancelled', 0,
    'children', 0, 'unsuccessful', 0, 'depth', depth, 'created_at', flow_now(), unpack(ARGV, 11, 10 + fields))
end
if #ARGV >= first then
  if not is_going(id) then return { 0 } end
  if is_cancelled(id) then return { -1 } end
elseif not batch_exists(id) then
  return { 0 }
end
local answer = { 1 }
local added = #ARGV - first + 1
if added > 0 then
  queue_add(queue)
  local at = due ~= '' and tonumber(string.sub(due, 2))
  if at and string.sub(due, 1, 1) == '+' then at = at + flow_now() end
  for i = first, #ARGV do
    if at then
      local job = queue .. '/s' .. redis.call('INCR', KEYS[5])
      redis.call('ZADD', KEYS[6], string.format('%.0f', at), job)
      redis.call('HSET', KEYS[7], job, ARGV[4] .. '\n' .. ARGV[i])
      answer[#answer + 1] = job
    else
      answer[#answer + 1] = lane_push(queue, ARGV[i])
        or queue .. '/' .. redis.call('XADD', KEYS[3], '*', 'j', ARGV[i])
    end
  end
  if not at then redis.call('ZADD', KEYS[4], 0, 'w') end
  redis.call('HINCRBY', KEYS[1], 'total', added)
  if ARGV[5] == '1' then redis.call('HINCRBY', KEYS[1], 'items', added) end
  batch_grow(id, added)
  if last then redis.call('HSET', KEYS[1], 'pushed', whole(last)) end
  has_changed = true
end
if ARGV[6] == '1' and redis.call('HGET', KEYS[1], 'state') == 'open' then
  batch_close(id)
  has_changed = true
end
-- One that is as it was lives no longer by that.
if has_changed then batch_check(id) end
return with_told(answer)
