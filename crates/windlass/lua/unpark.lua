-- Puts parked jobs of kinds that a worker knows back into their queues.
-- KEYS: 1 parked, 2 jobs, 3 moved, then stream and wake of each known queue
-- ARGV: 1 rank to look from, 2 how many to look at, 3 number of queues, then their names, then
--       KIND:VERSION, the latest version of its arguments that is known
-- Answer: {looked at, moved}
-- Guarantee: a job moves with its data and history; one of another kind, or of a later version of it, stays
--       where it is.
local place, known = {}, {}
local queues = tonumber(ARGV[3])
for i = 1, queues do place[ARGV[3 + i]] = 4 + 2 * (i - 1) end
for i = 4 + queues, #ARGV do
  local kind, version = string.match(ARGV[i], '^(.*):(%d+)$')
  known[kind] = tonumber(version)
end

local function version_of(envelope)
  if not string.find(envelope, '"kv"', 1, true) then return 1 end
  local version = string.match(envelope, '^{"v":1,"kind":"[%w_.%-]+","kv":(%d+)[,}]')
  if version then return tonumber(version) end
  local is_json, decoded = pcall(cjson.decode, envelope)
  return is_json and type(decoded) == 'table' and type(decoded.kv) == 'number' and decoded.kv or 1
end

local ids = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1)
local moved = 0
for _, id in ipairs(ids) do
  local record = redis.call('HGET', KEYS[2], id)
  local at = place[queue_of(id)]
  if not record then
    redis.call('ZREM', KEYS[1], id)
    moved = moved + 1
  elseif at then
    local history, envelope = record_read(record, KEYS[1])
    -- What a history does not tell the job does.
    local version = known[history.kind or kind_of(envelope)]
    if version and version_of(envelope) <= version then
      enqueue(id, queue_of(id), KEYS[2], KEYS[3], KEYS[at], KEYS[at + 1])
      redis.call('ZREM', KEYS[1], id)
      moved = moved + 1
    end
  end
end
return { #ids, moved }
