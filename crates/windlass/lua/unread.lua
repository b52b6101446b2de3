-- Part of scripts that end a job which no worker has read, or put back one that had ended: what others are told of that,
-- in the same step. The envelope is only looked into; what is stored of it are the bytes that were pushed.
local function result_key(id) return prefix .. 'r:' .. id end

-- What an envelope says of its result and of other jobs; nothing if it cannot be read.
local function envelope_read(envelope)
  if not string.find(envelope, '"flow"', 1, true) and not string.find(envelope, '"result"', 1, true) then return {} end
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

-- A stored job leaves the set that it was in, to run again. If it had ended, it has no result any more, so that nobody
-- takes the old one for the one that comes, and its batch waits for it again.
local function unread_again(id, record, set)
  local history, envelope = record_read(record, set)
  if not has_ended(history) then return end
  redis.call('DEL', result_key(id))
  local flow = flow_of(envelope_read(envelope))
  if not flow or not flow.batch or not batch_exists(flow.batch) then return end
  redis.call('HINCRBY', batch_key(flow.batch), history.state == 'dead' and 'dead' or 'cancelled', -1)
  batch_grow(flow.batch, 1)
end
