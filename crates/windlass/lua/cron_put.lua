-- Adds a cron entry, or changes the one of its name.
-- KEYS: 1 cron, 2 cron-next, 3 seq
-- ARGV: 1 name, 2 definition, 3 what decides its times, 4 its next time, 5 the moment at which that is due,
--       6 queue, 7 how many entries there may be
-- Answer: 1 when something changed, 0 when it was so already, -1 when there are too many.
-- Guarantee: an entry that is as before keeps its times; a changed one keeps its pause, its last job and,
--       unless what decides its times is another, its times, so that a deploy loses no run. No two
--       definitions of an entry have the same revision, not even across its removal. The rules of kinds hold for its
--       queue. What cannot be read of an entry is replaced.
local function is_progress(read)
  return type(read) == 'table' and read.rev and is_count(read.rev) and read.due and is_count(read.due)
    and is_count(read.last) and (read.last_id == nil or type(read.last_id) == 'string')
    and (read.paused == nil or type(read.paused) == 'boolean')
end

local record = redis.call('HGET', KEYS[1], ARGV[1])
local state = {}
if record then
  local cut = string.find(record, '\n', 1, true) or 1
  local is_json, read = pcall(cjson.decode, string.sub(record, 1, cut - 1))
  if is_json and is_progress(read) then
    state = read
    if string.sub(record, cut + 1) == ARGV[2] then return 0 end
  end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[7]) then
  return -1
end
if state.times ~= ARGV[3] then
  state.times, state.due = ARGV[3], tonumber(ARGV[4])
  if not state.paused then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1]) end
end
state.rev = redis.call('INCR', KEYS[3])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(state) .. '\n' .. ARGV[2])
queue_add(ARGV[6])
return 1
