-- Ends jobs of cancelled batches that are stored, as cancelled.
-- KEYS: 1 jobs, 2 the set to look through, 3 cancelled, 4 stats, 5 batch whose cancelling this is for
-- ARGV: 1 how many of the set to pass over, 2 how many to look at, 3 reason
-- Answer: {how many were looked at, how many were ended}; {0, 0} when nothing is left to be done; as in hooks.lua.
-- Guarantee: a job that is in the set and of a batch that is cancelled, or nested in one, is among the cancelled with its
--       data and history; its batch has counted it, and whoever waits for its result is told. Nothing is dropped from the
--       cancelled, as in cancel.lua.
local pending, children = unpack(redis.call('HMGET', KEYS[5], 'pending', 'children'))
if (pending or '0') == '0' and (children or '0') == '0' then return { 0, 0 } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = {}

-- Whether a batch, or one that it is nested in, was cancelled.
local function is_cancelled(id)
  if known[id] == nil then
    local cancelled, parent = unpack(redis.call('HMGET', batch_key(id), 'is_cancelled', 'parent'))
    known[id] = false
    known[id] = cancelled and true or (parent and is_cancelled(parent) or false)
  end
  return known[id]
end

local ids = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[1] + ARGV[2] - 1)
local ended = 0
for _, id in ipairs(ids) do
  local record = redis.call('HGET', KEYS[1], id)
  local text, envelope = record_split(record or '')
  local flow = flow_of(envelope_read(envelope))
  if flow and flow.batch and is_cancelled(flow.batch) then
    local history = history_read(text, KEYS[2])
    history.state, history.reason, history.kind = 'cancelled', ARGV[3], nil
    tell('cancelled', id, envelope)
    unread_ended(envelope, id, 'cancelled', 'Cancel', ARGV[3], history)
    redis.call('ZREM', KEYS[2], id)
    permits_release(string.match(id, '^[^/]*'), { id })
    kept_add(KEYS[3], KEYS[1], id, cjson.encode(history) .. '\n' .. envelope, now)
    redis.call('HINCRBY', KEYS[4], 'cancelled', 1)
    ended = ended + 1
  end
end
return with_told({ #ids, ended })
