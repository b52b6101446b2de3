-- Finds one job by its id.
-- KEYS: 1 jobs, 2 moved, 3 stream, 4 result stream, 5.. the sets in which it may wait
-- ARGV: 1 id, 2 the entry that the id names, or ""
-- Answer: {"record", record, due or at, the state of its set or ""} for a stored job; {"lane", record, lane, the limit
--       that the lane waits for or ""} for one that waits in a lane; {"entry", entry, fields, holder, delivery count,
--       idle in ms} for one in its queue, the last three only when it is pending; {"result", fields};
--       or {"none"}.
-- Guarantee: one consistent view; nothing is changed.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then
  for i = 5, #KEYS do
    local score = redis.call('ZSCORE', KEYS[i], ARGV[1])
    if score then return { 'record', record, score, set_state(KEYS[i]) } end
  end
  local queue = string.match(ARGV[1], '^[^/]*')
  local _, envelope = record_split(record)
  local lane = lane_of(queue, ARGV[1], envelope)
  if not lane then return { 'record', record, '0', '' } end
  local waits = redis.call('HGET', base .. 'waits:' .. queue, lane)
  return { 'lane', record, lane, waits and string.match(waits, '^[^\n]*') or '' }
end
local entry = ARGV[2]
local redirect = redis.call('HGET', KEYS[2], ARGV[1])
if redirect then entry = string.match(redirect, '/(.*)$') end
if entry ~= '' then
  local found = redis.call('XRANGE', KEYS[3], entry, entry)[1]
  if found then
    local pending = redis.pcall('XPENDING', KEYS[3], 'w', entry, entry, 1)
    local item = not pending.err and pending[1]
    if item then return { 'entry', entry, found[2], item[2], item[4], item[3] } end
    return { 'entry', entry, found[2] }
  end
end
local result = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1]
if result then return { 'result', result[2] } end
return { 'none' }
