-- Part of scripts that end a job which no worker has read, or put back one that had ended: what others are told of that,
-- in the same step. The envelope is only looked into; what is stored of it are the bytes that were pushed.
local function result_key(id) return prefix .. 'r:' .. id end

-- How long a job keeps its lock at most that is put back, beyond the time for which it is scheduled.
local LOCK_LIFE_MS = 7 * 24 * 3600 * 1000

-- What an envelope says of its result, its lock and other jobs; nothing if it cannot be read.
local function envelope_read(envelope)
  local has_any = false
  for _, name in ipairs({ '"flow"', '"result"', '"unique"' }) do
    has_any = has_any or string.find(envelope, name, 1, true)
  end
  if not has_any then return {} end
  local is_json, decoded = pcall(cjson.decode, envelope)
  return is_json and type(decoded) == 'table' and decoded or {}
end

local function flow_of(decoded)
  local flow = decoded.flow
  if type(flow) ~= 'table' then return nil end
  local read = { kind = type(decoded.kind) == 'string' and decoded.kind or '' }
  if type(flow.batch) == 'string' then read.batch = flow.batch end
  if type(flow.n) == 'number' then read.n = flow.n end
  local catch = flow.catch
  if type(catch) == 'table' and type(catch.queue) == 'string' and type(catch.job) == 'string' then
    read.catch = catch
  end
  return read
end

-- Tells that a job has ended without success: whoever waits for its result, its chain and its batch. `history` is the
-- decoded history that is about to be written.
local function unread_ended(envelope, id, state, class, message, history)
  local decoded = envelope_read(envelope)
  local ttl = tonumber(decoded.result)
  if ttl and ttl > 0 then
    redis.call('XADD', result_key(id), '*', 'state', state, 'e', cjson.encode({ class = class, message = message }))
    -- A life that is out of all bounds would be refused.
    redis.call('PEXPIRE', result_key(id), string.format('%.0f', math.min(ttl, 2 ^ 52)))
  end
  local flow = flow_of(decoded)
  if not flow then return end
  if history.caught then flow.catch = nil end
  if flow.catch then history.caught = true end
  local failure = { id = id, kind = flow.kind, state = state, class = class, message = message }
  flow_failed(id, flow, state, cjson.encode(failure))
end

-- Whether a job is there that has not ended.
local function is_living(id)
  if redis.call('HEXISTS', prefix .. 'jobs', id) == 1 then
    for _, state in ipairs({ 'dead', 'discarded', 'cancelled' }) do
      if redis.call('ZSCORE', prefix .. state, id) then return false end
    end
    return true
  end
  local place = redis.call('HGET', prefix .. 'moved', id) or id
  local queue, entry = string.match(place, '^([^/]*)/(%d+%-%d+)$')
  return entry ~= nil and #redis.call('XRANGE', prefix .. 'q:' .. queue, entry, entry) > 0
end

-- Takes the lock of a unique job again, unless another job has it that has not ended: answers the id of that one.
local function lock_again(id, lock, wait)
  local key, life = prefix .. 'unique:' .. lock, LOCK_LIFE_MS + wait
  local holder = redis.call('GET', key)
  if holder and holder ~= id and is_living(holder) then return holder end
  local left = holder == id and redis.call('PTTL', key) or 0
  if left >= 0 and left < life then redis.call('SET', key, id, 'PX', string.format('%.0f', life)) end
end

-- The lock of a job that is due so much later lasts so much longer.
local function lock_longer(id, envelope, later)
  local lock = later > 0 and envelope_read(envelope).unique
  if type(lock) ~= 'string' then return end
  local key = prefix .. 'unique:' .. lock
  local left = redis.call('GET', key) == id and redis.call('PTTL', key) or -1
  if left >= 0 then redis.call('PEXPIRE', key, string.format('%.0f', left + later)) end
end

-- A stored job is about to leave the set that it is in, to run again, `wait` ms from now if that is given. If it had
-- ended, it has its lock again, and no result any more, so that nobody takes the old one for the one that comes; and its
-- batch waits for it. Answers the id of an equal job that keeps it out: then nothing has changed.
local function unread_again(id, record, set, wait)
  local history, envelope = record_read(record, set)
  if not has_ended(history) then return nil end
  local decoded = envelope_read(envelope)
  if type(decoded.unique) == 'string' then
    local equal = lock_again(id, decoded.unique, wait or 0)
    if equal then return equal end
  end
  redis.call('DEL', result_key(id))
  local flow = flow_of(decoded)
  if not flow or not flow.batch or not batch_exists(flow.batch) then return nil end
  redis.call('HINCRBY', batch_key(flow.batch), history.state == 'dead' and 'dead' or 'cancelled', -1)
  batch_grow(flow.batch, 1)
end
