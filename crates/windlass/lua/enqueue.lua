-- Part of other scripts: puts a stored job into its queue, with its history and a redirect from its id.
-- Answers the bytes moved, or nil when there is no such job.
local function enqueue(id, queue, jobs, moved, stream, wake)
  local record = redis.call('HGET', jobs, id)
  if not record then return nil end
  local cut = string.find(record, '\n', 1, true)
  local entry = redis.call('XADD', stream, '*',
    'j', string.sub(record, cut + 1), 'i', id, 's', string.sub(record, 1, cut - 1))
  redis.call('HSET', moved, id, queue .. '/' .. entry)
  redis.call('HDEL', jobs, id)
  redis.call('ZADD', wake, 0, 'w')
  return #record
end

local function queue_of(id) return string.match(id, '^[^/]*') end
