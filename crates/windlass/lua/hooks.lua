-- Part of other scripts: what the end of a job of a chain or a batch brings about, in the same step as the end.
-- The queues of callbacks and the parents of a batch are known to the store alone, so their keys are built here from
-- the prefix of the namespace; all of them share its slot.
-- An envelope is only ever read, and only for its `flow`. What is pushed from there are strings, byte by byte.
local prefix = string.match(KEYS[1], '^.-}:')

-- Steps of jobs of which nobody but the store knows, for those who listen where the script is called.
local told = {}

local function tell(step, id, envelope)
  for _, word in ipairs({ step, id, kind_of(envelope) }) do told[#told + 1] = word end
end

-- What a script with this part answers: its answer, or {"told", the same, {step, id, kind of each job...}}.
local function with_told(answer)
  if #told == 0 then return answer end
  return { 'told', answer, told }
end

local function batch_key(id) return prefix .. 'batch:' .. id end

local function batch_items(id) return prefix .. 'batch:' .. id .. ':r' end

local function batch_exists(id) return redis.call('HEXISTS', batch_key(id), 'state') == 1 end

-- One more job, or one again, of a batch: it cannot end before that job has.
local function batch_grow(id, by)
  redis.call('HINCRBY', batch_key(id), 'pending', by)
  redis.call('PERSIST', batch_key(id))
  redis.call('PERSIST', batch_items(id))
end

-- Pushes a job, with `prev` put in as the last field of its envelope, as one more job of `batch` if there is one.
local function flow_push(queue, envelope, prev, batch)
  if prev then envelope = string.sub(envelope, 1, -2) .. ',"prev":' .. prev .. '}' end
  queue_add(queue)
  local id = lane_push(queue, envelope)
  if not id then
    id = queue .. '/' .. redis.call('XADD', prefix .. 'q:' .. queue, '*', 'j', envelope)
    redis.call('ZADD', prefix .. 'wake:' .. queue, 0, 'w')
  end
  tell('enqueued', id, envelope)
  if batch and batch_exists(batch) then
    redis.call('HINCRBY', batch_key(batch), 'total', 1)
    batch_grow(batch, 1)
  end
end

local function flow_now()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end

local function batch_status(id)
  local counts = redis.call('HMGET', batch_key(id), 'total', 'pending', 'succeeded', 'dead', 'cancelled')
  local text = '{"id":"%s","total":%s,"pending":%s,"succeeded":%s,"dead":%s,"cancelled":%s}'
  return string.format(text, id, unpack(counts))
end

-- The results of a group in the order of its jobs, as a JSON list.
local function batch_list(id, count)
  local list = {}
  for from = 0, count - 1, 500 do
    local names = {}
    for n = from, math.min(from + 499, count - 1) do names[#names + 1] = string.format('%.0f', n) end
    local found = redis.call('HMGET', batch_items(id), unpack(names))
    for i = 1, #names do
      list[#list + 1] = found[i] or '{"e":{"state":"completed","class":"Lost","message":"its result is not kept"}}'
    end
  end
  return '[' .. table.concat(list, ',') .. ']'
end

-- Pushes a callback, if the batch has it. Those of a nested batch are jobs of the parent, which so waits for them.
local function batch_call(id, name, prev)
  local job, parent = unpack(redis.call('HMGET', batch_key(id), 'on_' .. name, 'parent'))
  if not job then return false end
  local cut = string.find(job, '\n', 1, true)
  flow_push(string.sub(job, 1, cut - 1), string.sub(job, cut + 1), prev or batch_status(id), parent)
  return true
end

-- Fires what is due of a batch and of those around it, each once.
local function batch_check(id)
  local key = batch_key(id)
  local b = redis.call('HMGET', key, 'state', 'total', 'pending', 'succeeded', 'children', 'unsuccessful',
    'completed_at', 'succeeded_at', 'parent', 'items', 'keep', 'wait')
  local state, total, pending, succeeded, children, unsuccessful = unpack(b, 1, 6)
  local completed_at, succeeded_at, parent, items, keep, wait = unpack(b, 7, 12)
  if not state or pending ~= '0' or children ~= '0' then return end
  if parent and not batch_exists(parent) then parent = false end
  local has_changed = false
  if state == 'closed' and not completed_at then
    has_changed = true
    redis.call('HSET', key, 'completed_at', flow_now())
    local list = items and batch_list(id, tonumber(items))
    if succeeded == total or not batch_call(id, 'catch', list) then batch_call(id, 'complete', list) end
    if parent then redis.call('HINCRBY', batch_key(parent), 'children', -1) end
  end
  if state == 'closed' and succeeded == total and unsuccessful == '0' and not succeeded_at then
    has_changed, succeeded_at = true, true
    redis.call('HSET', key, 'succeeded_at', flow_now())
    batch_call(id, 'success')
    if parent then redis.call('HINCRBY', batch_key(parent), 'unsuccessful', -1) end
  end
  -- A batch that is still open, or has dead jobs that may be tried again, waits longer.
  -- One that is nested and open holds another one open, so that it does not go by itself.
  if parent and state == 'open' then return end
  local life = succeeded_at and keep or wait
  redis.call('PEXPIRE', key, life)
  redis.call('PEXPIRE', batch_items(id), life)
  if has_changed and parent then batch_check(parent) end
end

-- Nested batches that are open: all of them by when they were opened, and those of one job.
local nested_open = prefix .. 'nested'

local function nested_key(opener) return prefix .. 'opened:' .. opener end

-- Closes a batch; the caller checks it then.
local function batch_close(id)
  local parent, opener = unpack(redis.call('HMGET', batch_key(id), 'parent', 'opener'))
  redis.call('HSET', batch_key(id), 'state', 'closed')
  if parent then redis.call('ZREM', nested_open, id) end
  if opener then redis.call('SREM', nested_key(opener), id) end
end

-- A job has ended: what it opened and did not close is closed, since its process may have died in between, and another
-- attempt has made batches of its own.
local function nested_close(opener)
  local opened = redis.call('SMEMBERS', nested_key(opener))
  table.sort(opened)
  for _, id in ipairs(opened) do
    if batch_exists(id) then
      batch_close(id)
      batch_check(id)
    end
  end
end

-- The first death in a batch is also one in those around it.
local function batch_died(id)
  while id and batch_exists(id) do
    if redis.call('HSETNX', batch_key(id), 'died_at', flow_now()) == 0 then return end
    batch_call(id, 'dead')
    id = redis.call('HGET', batch_key(id), 'parent')
  end
end

-- Keeps what one job of a group answered, within the room that the group has for all.
local function batch_keep(id, n, item)
  local name = string.format('%.0f', n)
  local room, bytes = unpack(redis.call('HMGET', batch_key(id), 'room', 'bytes'))
  local others = tonumber(bytes or '0') - redis.call('HSTRLEN', batch_items(id), name)
  if others + #item > tonumber(room or '0') then
    item = '{"e":{"state":"completed","class":"TooLarge","message":"the results of its group take too much room"}}'
  end
  redis.call('HSET', batch_key(id), 'bytes', others + #item)
  redis.call('HSET', batch_items(id), name, item)
end

-- The job `id` has ended: `counter` is succeeded, dead or cancelled. `item` is its result, for a job of a group.
local function flow_ended(id, batch, n, counter, item)
  if not batch or not batch_exists(batch) then return end
  redis.call('HINCRBY', batch_key(batch), 'pending', -1)
  redis.call('HINCRBY', batch_key(batch), counter, 1)
  if n then batch_keep(batch, n, item) end
  if counter == 'dead' then batch_died(batch) end
  nested_close(id)
  batch_check(batch)
end

-- The job `id` has ended in `state`, without success; `failure` is JSON.
local function flow_failed(id, flow, state, failure)
  if flow.catch then flow_push(flow.catch.queue, flow.catch.job, failure, flow.batch) end
  flow_ended(id, flow.batch, flow.n, state == 'dead' and 'dead' or 'cancelled', '{"e":' .. failure .. '}')
end
