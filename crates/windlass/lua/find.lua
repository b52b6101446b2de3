-- Part of scripts that move jobs by their ids: where one is, and how it is taken out of there.
-- KEYS: 1 jobs, 2 moved, 3 stream, 4 suspect, 5 to 10 the sets in which it may wait, in the order of the states

-- Answers a table: place is 'stored', 'queued', 'active' or 'none'; then id, history, envelope, and set or entry. One
-- that is stored and in no set waits in a lane.
local function find(id)
  local record = redis.call('HGET', KEYS[1], id)
  if record then
    local job = { place = 'stored', id = id, count = 0 }
    job.history, job.envelope = record_split(record)
    for i = 5, 10 do
      if redis.call('ZSCORE', KEYS[i], id) then job.set = KEYS[i] end
    end
    return job
  end
  local entry = string.match(id, '/(%d+%-%d+)$')
  local redirect = redis.call('HGET', KEYS[2], id)
  if redirect then entry = string.match(redirect, '/(%d+%-%d+)$') end
  local found = entry and redis.call('XRANGE', KEYS[3], entry, entry)[1]
  if not found then return { place = 'none' } end
  local job = { place = 'queued', id = id, entry = entry, history = '{}', envelope = '', count = 0 }
  for i = 1, #found[2], 2 do
    local name, value = found[2][i], found[2][i + 1]
    if name == 'j' then job.envelope = value end
    if name == 's' then job.history = value end
    -- Whoever names a later entry of the job means the job.
    if name == 'i' then job.id = value end
  end
  local pending = redis.pcall('XPENDING', KEYS[3], 'w', entry, entry, 1)
  local item = not pending.err and pending[1]
  if item then
    job.is_pending, job.count = true, item[4]
    if string.sub(item[2], 1, 1) ~= '~' then job.place = 'active' end
  end
  return job
end

-- Takes a job out of its set or its queue; it is nowhere then, so that the caller puts it somewhere.
local function take_out(job)
  if job.place == 'stored' then
    if job.set then
      redis.call('ZREM', job.set, job.id)
    else
      lane_leave(string.match(job.id, '^[^/]*'), job.id, job.envelope)
    end
    permits_release(string.match(job.id, '^[^/]*'), { job.id })
    redis.call('HDEL', KEYS[1], job.id)
    return
  end
  if job.is_pending then redis.call('XACK', KEYS[3], 'w', job.entry) end
  redis.call('XDEL', KEYS[3], job.entry)
  redis.call('HDEL', KEYS[4], job.entry)
  redis.call('HDEL', KEYS[2], job.id)
  permits_release(string.match(job.id, '^[^/]*'), { job.id })
end

-- The history of a job that goes to another state.
local function history_in(job, state, reason)
  local history = history_read(job.history, job.set)
  history.state, history.reason, history.kind = state, reason, nil
  if job.count > 0 then history.attempts = (history.attempts or 0) + job.count end
  return cjson.encode(history)
end
