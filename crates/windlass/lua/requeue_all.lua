-- Puts stored jobs of one state that fit a filter into their queues.
-- KEYS: 1 the set of the state, 2 jobs, 3 moved, then stream and wake of each known queue
-- ARGV: 1 how many to pass over, 2 how many to look at, 3 how many bytes to move at most,
--       4 latest score in ms, "" for the store's now, or "+inf" for a set that is ordered by when its jobs are due,
--       5 kind or "", 6 queue or "", 7.. names of the known queues
-- Answer: {looked at, moved, latest score, kept out by equal ones}; the caller goes on with that score until nothing is
--         looked at; as in hooks.lua.
-- Guarantee: a job moves with its data and history; what comes into the set meanwhile stays there, so that
--       jobs which fail at once do not keep the caller busy for ever; with "+inf" the caller looks at no more than there
--       were.
local latest = ARGV[4]
if latest == '' then
  local time = redis.call('TIME')
  latest = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
local place = {}
for i = 7, #ARGV do place[ARGV[i]] = 4 + 2 * (i - 7) end

local function fits(id, record)
  if ARGV[6] ~= '' and queue_of(id) ~= ARGV[6] then return false end
  if ARGV[5] == '' then return true end
  local _, text = record_split(record)
  local is_json, envelope = pcall(cjson.decode, text)
  return is_json and type(envelope) == 'table' and envelope.kind == ARGV[5]
end

local looked, moved, kept_out, bytes = 0, 0, 0, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', latest, 'LIMIT', ARGV[1], ARGV[2])) do
  looked = looked + 1
  local record = redis.call('HGET', KEYS[2], id)
  local at = place[queue_of(id)]
  if not record then
    kept_count(KEYS[1], id, -1, 0)
    redis.call('ZREM', KEYS[1], id)
    moved = moved + 1
  elseif at and fits(id, record) then
    if unread_again(id, record, KEYS[1]) then
      kept_out = kept_out + 1
    else
      kept_count(KEYS[1], id, -1, -#record)
      local _, envelope = record_split(record)
      tell('enqueued', id, envelope)
      bytes = bytes + enqueue(id, queue_of(id), KEYS[2], KEYS[3], KEYS[at], KEYS[at + 1])
      redis.call('ZREM', KEYS[1], id)
      moved = moved + 1
    end
    if bytes >= tonumber(ARGV[3]) then break end
  end
end
return with_told({ looked, moved, latest, kept_out })
