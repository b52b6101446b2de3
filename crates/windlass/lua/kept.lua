-- Part of other scripts: how many ended jobs of each queue are stored in each state, and how many bytes their records take.
-- The hash `kept` has a field for each state and queue that has such jobs: `STATE/QUEUE` → `COUNT BYTES`.
local function kept_read(text)
  local jobs, bytes = string.match(text or '', '^(%d+) (%d+)$')
  return tonumber(jobs or 0), tonumber(bytes or 0)
end

-- Counts jobs of the queue of `id`, and bytes of their records, that come into a set or leave it. Answers what there is
-- then; a set whose jobs have not ended is not counted.
local function kept_count(set, id, jobs, bytes)
  local prefix, state = string.match(set or '', '^(.-}:)(.*)$')
  if state ~= 'dead' and state ~= 'discarded' and state ~= 'cancelled' then return 0, 0 end
  local key, field = prefix .. 'kept', state .. '/' .. string.match(id, '^[^/]*')
  local had_jobs, had_bytes = kept_read(redis.call('HGET', key, field))
  jobs, bytes = had_jobs + jobs, math.max(0, had_bytes + bytes)
  if jobs > 0 then
    redis.call('HSET', key, field, string.format('%.0f %.0f', jobs, bytes))
  else
    redis.call('HDEL', key, field)
  end
  return jobs, bytes
end

-- Stores a job in a set. Answers what there is then of its queue.
local function kept_add(set, store, id, record, score)
  redis.call('HSET', store, id, record)
  redis.call('ZADD', set, string.format('%.0f', score), id)
  return kept_count(set, id, 1, #record)
end

-- Whether that is too much. The last one stays, however large it is.
local function kept_is_over(jobs, bytes, max_jobs, max_bytes)
  return jobs > max_jobs or (bytes > max_bytes and jobs > 1)
end

-- Drops jobs of a queue that has too much, `jobs` of `bytes`, from its oldest on, as far as they are among the oldest of
-- all queues. The others are for retain.lua.
local function kept_trim(set, store, id, jobs, bytes, max_jobs, max_bytes)
  if not kept_is_over(jobs, bytes, max_jobs, max_bytes) then return end
  local queue = string.match(id, '^[^/]*')
  for _, old in ipairs(redis.call('ZRANGE', set, 0, 19)) do
    if string.match(old, '^[^/]*') == queue and kept_is_over(jobs, bytes, max_jobs, max_bytes) then
      jobs, bytes = kept_count(set, old, -1, -redis.call('HSTRLEN', store, old))
      redis.call('ZREM', set, old)
      redis.call('HDEL', store, old)
    end
  end
end
