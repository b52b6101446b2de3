-- Part of other scripts: the room that a queue with `max_jobs` or `max_bytes` has.

-- What the queue has and may have, with what this script adds; read once.
local room

-- Takes the room of one more job in a queue. Answers nil, or what it lacks: the name of the limit, the limit, and what
-- the queue has. The bytes are what the store's own estimate says, so one call more or less may go by it.
local function room_take(queue, stream, bytes)
  if not room then
    local rule = redis.call('HGET', base .. 'rules', 'queue:' .. queue)
    local is_json, decoded = pcall(cjson.decode, rule or '')
    room = is_json and type(decoded) == 'table' and decoded or {}
    local waiting = tonumber(redis.call('HGET', base .. 'pace:' .. queue, 'size') or 0)
    room.jobs = redis.call('XLEN', stream) + waiting
    if room.max_bytes then
      room.bytes = redis.call('MEMORY', 'USAGE', stream) or 0
      if waiting > 0 then
        -- Jobs in lanes are records beside those of other queues, of which they are taken as the average.
        local records = base .. 'jobs'
        room.bytes = room.bytes
          + math.floor((redis.call('MEMORY', 'USAGE', records) or 0) / redis.call('HLEN', records) * waiting)
      end
    end
  end
  if room.max_jobs and room.jobs >= room.max_jobs then return { 'max_jobs', room.max_jobs, room.jobs } end
  if room.max_bytes and room.bytes + bytes > room.max_bytes then
    return { 'max_bytes', room.max_bytes, room.bytes }
  end
  room.jobs = room.jobs + 1
  if room.max_bytes then room.bytes = room.bytes + bytes end
  return nil
end
