-- Removes one job that does not run.
-- KEYS: 1 jobs, 2 moved, 3 stream, 4 suspect, 5.. the sets in which it may wait
-- ARGV: 1 id, 2 the entry that the id names, or ""
-- Answer: 1 when it was removed, 0 when there is no such job, -1 when a worker has it; as in hooks.lua.
-- Guarantee: a job that a worker has is not touched. To a chain, to a batch and to whoever waits for its
--       result it is one that was cancelled.
local function lost(envelope, history)
  unread_ended(envelope, ARGV[1], 'cancelled', 'Removed', 'it was removed', history)
end

local entry = ARGV[2]
local redirect = redis.call('HGET', KEYS[2], ARGV[1])
if redirect then entry = string.match(redirect, '/(.*)$') end
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then
  local set
  for i = 5, #KEYS do
    if redis.call('ZSCORE', KEYS[i], ARGV[1]) then set = KEYS[i] end
  end
  local history, envelope = record_read(record, set)
  redis.call('HDEL', KEYS[1], ARGV[1])
  kept_count(set, ARGV[1], -1, -#record)
  for i = 5, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
  local queue = string.match(ARGV[1], '^[^/]*')
  if not set then lane_leave(queue, ARGV[1], envelope) end
  permits_release(queue, { ARGV[1] })
  tell('removed', ARGV[1], envelope)
  if not has_ended(history) then lost(envelope, history) end
  return with_told(1)
end
if entry == '' then return 0 end
local pending = redis.pcall('XPENDING', KEYS[3], 'w', entry, entry, 1)
local holder = not pending.err and pending[1] and pending[1][2]
if holder and string.sub(holder, 1, 1) ~= '~' then return -1 end
local found = redis.call('XRANGE', KEYS[3], entry, entry)[1]
local fields = {}
for i = 1, found and #found[2] or 0, 2 do fields[found[2][i]] = found[2][i + 1] end
local history = fields.s and history_read(fields.s) or {}
if holder then redis.call('XACK', KEYS[3], 'w', entry) end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], entry)
permits_release(string.match(ARGV[1], '^[^/]*'), { ARGV[1] })
if not found then return 0 end
redis.call('XDEL', KEYS[3], entry)
tell('removed', ARGV[1], fields.j or '')
lost(fields.j or '', history)
return with_told(1)
