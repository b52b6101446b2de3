-- Says which limits hold jobs up.
-- KEYS: 1 rules, then the stream of each queue of the worker
-- ARGV: 1 how many limits are looked at that lanes wait for
-- Answer: for each limit its name, what of its rule holds them ("paused", "cap", "rate" or "breaker"), and the moment in
--         ms at which that may end by itself, or -1
-- Guarantee: nothing is changed. A limit that keeps an order holds nobody up by that alone.
local answer = {}

local function add(name, what, at)
  for _, part in ipairs({ name, what, at and whole(at) or '-1' }) do answer[#answer + 1] = part end
end

-- What of a rule it is that lanes wait for, and until when.
local function barrier(limit)
  if limit.rule.paused then return 'paused' end
  if limit.open_until then return 'breaker', limit_next(limit) end
  if limit.tokens and limit.tokens < 1 then return 'rate', limit_next(limit) end
  if limit.rule.cap and limit.count >= limit.rule.cap then return 'cap' end
end

local from = '-'
for _ = 1, tonumber(ARGV[1]) do
  local member = redis.call('ZRANGEBYLEX', base .. 'blocked', from, '+', 'LIMIT', 0, 1)[1]
  if not member then break end
  local name = string.match(member, '^[^\n]*')
  from = '(' .. name .. '\n\255'
  local limit = limit_of(name, rule_named(name))
  local what, at
  if limit then what, at = barrier(limit) end
  if what then add(name, what, at) end
end

-- How many jobs of a queue are active, and how many wait in it.
local function counts(queue, stream)
  local active, pending = 0, redis.pcall('XPENDING', stream, 'w')
  for _, consumer in ipairs(not pending.err and pending[4] or {}) do
    if string.sub(consumer[1], 1, 1) ~= '~' then active = active + consumer[2] end
  end
  local in_lanes = redis.call('HGET', base .. 'pace:' .. queue, 'size') or 0
  return active, redis.call('XLEN', stream) - active + in_lanes
end

for i = 2, #KEYS do
  local queue = string.match(KEYS[i], '}:q:(.*)$')
  local name = 'queue:' .. queue
  local limit = limit_of(name, rule_of(name))
  if limit and (limit.cap or limit.tokens) then
    local active, waiting = counts(queue, KEYS[i])
    -- The cap of a queue counts what is active.
    limit.count = active
    local what, at = barrier(limit)
    if what and waiting > 0 then add(name, what, at) end
  end
end
return answer
