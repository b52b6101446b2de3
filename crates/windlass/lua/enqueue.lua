-- Part of other scripts: puts a stored job into its queue, with its history and a redirect from its id, or into its
-- lane, where it stays a record.
-- Answers the bytes moved, or nil when there is no such job.
local function enqueue(id, queue, jobs, moved, stream, wake)
  local record = redis.call('HGET', jobs, id)
  if not record then return nil end
  local history, envelope = record_split(record)
  local rank, key = lane_asked(envelope)
  if rank then
    lane_return(queue, id, rank, key, history, envelope)
    redis.call('ZADD', wake, 0, 'w')
    return #record
  end
  local entry = redis.call('XADD', stream, '*', 'j', envelope, 'i', id, 's', history)
  redis.call('HSET', moved, id, queue .. '/' .. entry)
  redis.call('HDEL', jobs, id)
  redis.call('ZADD', wake, 0, 'w')
  return #record
end

local function queue_of(id) return string.match(id, '^[^/]*') end
