-- Part of scripts that begin and end jobs under rules: caps, rates, pauses and breakers.
-- A limit is `queue:Q`, `kind:K` or `key:Q/KEY`; its rule is JSON in `rules` under that name, for a key else under
-- `key:Q`. What a job holds of limits is in `permits:Q`, how much is held of each in `caps`. A lane that cannot go on
-- is a member of `blocked`: limit, score of its turn, lane, with line feeds between; so the lanes of one limit are a
-- range in the order of their turns. A limit that opens by itself, as time goes by, is in `asleep` with that moment.
local DUE_MAX, OPEN_MAX, BREAKER_AGE = 100, 1000, 24 * 3600 * 1000
-- How long what a rate has counted is kept at least: a key that ends and begins anew with every call costs more.
local RATE_LIFE_MIN = 1000
local rule_time = redis.call('TIME')
local rule_now = rule_time[1] * 1000 + math.floor(rule_time[2] / 1000)
-- Limits by their names, and the names in the order in which they were first looked at, so that equal calls do equal things.
local rules, limits, limit_names = {}, {}, {}

-- A rule that cannot be read is none.
local function rule_note(field, text)
  local is_json, rule = pcall(cjson.decode, text or 'false')
  rules[field] = is_json and rule
end

local function rule_of(field)
  if rules[field] == nil then rule_note(field, redis.call('HGET', base .. 'rules', field)) end
  return rules[field]
end

-- The rule of a limit by its name: that of one key goes before that of all keys of its queue.
local function rule_named(name)
  local rule = rule_of(name)
  local queue = not rule and string.match(name, '^key:([^/]*)/')
  return rule or (queue and rule_of('key:' .. queue))
end

-- How many jobs a rate admits now, and the moment at which it admits one when it admits none.
local function rate_read(limit)
  local rate = limit.rule.rate
  local a, b, c, form = unpack(redis.call('HMGET', base .. 'rate:' .. limit.name, 'a', 'b', 'c', 'form'))
  a, b, c = tonumber(a or 0), tonumber(b or 0), tonumber(c or 0)
  -- What another form or another window counted says nothing here.
  limit.form = rate.form .. whole(rate.per_ms)
  if form ~= limit.form then a, b, c = 0, 0, 0 end
  if rate.form == 'bucket' then
    local burst = rate.burst or rate.n
    local tokens = burst
    if b > 0 then tokens = math.min(burst, a + math.max(0, rule_now - b) * rate.n / rate.per_ms) end
    limit.state, limit.tokens = tokens, math.floor(tokens + 1e-6)
    return
  end
  local window = math.floor(rule_now / rate.per_ms)
  local used, before = 0, 0
  if a == window then used, before = b, c elseif a == window - 1 then before = b end
  limit.window, limit.used, limit.before = window, used, before
  if rate.form == 'sliding' then
    local passed = rule_now / rate.per_ms - window
    limit.tokens = math.floor(rate.n - used - before * (1 - passed) + 1e-6)
  else
    limit.tokens = rate.n - used
  end
end

local function rate_next(limit)
  local rate = limit.rule.rate
  local per = rate.per_ms
  if rate.form == 'bucket' then
    local missing = 1 - (limit.state - limit.took)
    return rule_now + math.max(1, math.ceil(missing * per / rate.n))
  end
  local window_end = (limit.window + 1) * per
  if rate.form ~= 'sliding' then return window_end end
  local used = limit.used + limit.took
  if used <= rate.n - 1 and limit.before > 0 then
    -- The share of the window before has to fall to what is left.
    local passed = 1 - (rate.n - 1 - used) / limit.before
    return math.max(rule_now + 1, math.ceil((limit.window + passed) * per))
  end
  local passed = used > 0 and math.max(0, 1 - (rate.n - 1) / used) or 0
  return math.max(rule_now + 1, math.ceil(window_end + passed * per))
end

local function rate_write(limit)
  local rate, key = limit.rule.rate, base .. 'rate:' .. limit.name
  if rate.form == 'bucket' then
    local left, burst = limit.state - limit.took, rate.burst or rate.n
    redis.call('HSET', key, 'a', string.format('%.6f', left), 'b', whole(rule_now), 'form', limit.form)
    local life = math.ceil((burst - left) * rate.per_ms / rate.n) + 1
    redis.call('PEXPIRE', key, whole(math.max(RATE_LIFE_MIN, life)))
  else
    redis.call('HSET', key, 'a', whole(limit.window), 'b', whole(limit.used + limit.took), 'c', whole(limit.before),
      'form', limit.form)
    redis.call('PEXPIRE', key, whole(math.max(RATE_LIFE_MIN, 2 * rate.per_ms)))
  end
end

-- One table for each limit that a rule makes; false where no rule limits.
local function limit_of(name, rule)
  if limits[name] ~= nil then return limits[name] end
  limits[name], limit_names[#limit_names + 1] = false, name
  if not rule or not (rule.cap or rule.rate or rule.paused or rule.order or rule.breaker) then return false end
  local limit = { name = name, rule = rule, took = 0, cap = rule.order and 1 or rule.cap }
  if limit.cap or rule.breaker then
    limit.is_held = true
    limit.count = tonumber(redis.call('HGET', base .. 'caps', name) or 0)
  end
  if rule.rate then rate_read(limit) end
  if rule.breaker then
    local open, probe = unpack(redis.call('HMGET', base .. 'breaker:' .. name, 'until', 'probe'))
    limit.open_until, limit.probe = open and tonumber(open), probe
  end
  limits[name] = limit
  return limit
end

-- Whether a breaker that is open lets a job try: one does after its time.
local function limit_may_try(limit)
  return rule_now >= limit.open_until and not limit.probe and limit.took == 0
end

-- How many more jobs a limit lets begin now.
local function limit_room(limit)
  if limit.rule.paused then return 0 end
  local room = OPEN_MAX
  if limit.cap then room = limit.cap - limit.count - limit.took end
  if limit.tokens then room = math.min(room, limit.tokens - limit.took) end
  if limit.open_until then room = math.min(room, limit_may_try(limit) and 1 or 0) end
  return math.max(0, room)
end

-- The moment at which a limit without room may have some, as far as only time is needed.
local function limit_next(limit)
  if limit.rule.paused then return nil end
  if limit.open_until and rule_now < limit.open_until then return limit.open_until end
  if limit.tokens and limit.tokens - limit.took < 1 then return rate_next(limit) end
  return nil
end

local function limit_sleep(name, at) redis.call('ZADD', base .. 'asleep', whole(at), name) end

-- A lane at `score` waits for a limit. The caller takes it out of the turns.
local function limit_block(limit, queue, lane, score)
  local member = limit.name .. '\n' .. string.format('%016.0f', score) .. '\n' .. lane
  redis.call('ZADD', base .. 'blocked', 0, member)
  redis.call('HSET', base .. 'waits:' .. queue, lane, member)
  local at = limit_next(limit)
  if at then limit_sleep(limit.name, at) end
end

-- Lets those go on whose limits have opened with time.
local function limits_wake()
  local due = redis.call('ZRANGEBYSCORE', base .. 'asleep', '-inf', whole(rule_now), 'LIMIT', 0, DUE_MAX)
  if #due > 0 then redis.call('ZREM', base .. 'asleep', unpack(due)) end
  for _, name in ipairs(due) do
    local queue = string.match(name, '^queue:(.*)$')
    local limit = not queue and limit_of(name, rule_named(name))
    if queue then
      redis.call('ZADD', base .. 'wake:' .. queue, 0, 'w')
    else
      local room = limit and limit_room(limit) or OPEN_MAX
      local opened = limit_open(name, room)
      -- What is left of them waits for the next moment: those that go on may turn out to have nothing.
      local at = limit and limit_next(limit)
      if not at and opened == room and room > 0 and (not limit or limit.tokens or room == OPEN_MAX) then
        at = rule_now + 1
        if limit and limit.tokens then at = rule_now + math.max(1, math.ceil(limit.rule.rate.per_ms / limit.rule.rate.n)) end
      end
      if at then limit_sleep(name, at) end
    end
  end
end

-- Writes down what was taken of limits in this script.
local function limits_write()
  for _, name in ipairs(limit_names) do
    local limit = limits[name]
    if limit and limit.took > 0 then
      if limit.is_held then redis.call('HINCRBY', base .. 'caps', name, limit.took) end
      if limit.tokens then rate_write(limit) end
    end
  end
  -- Whoever looks again reads what was written.
  limits, limit_names = {}, {}
end

-- A job that a breaker watches has failed.
local function breaker_failed(name, breaker, id)
  local key = base .. 'breaker:' .. name
  local open, probe, at, count = unpack(redis.call('HMGET', key, 'until', 'probe', 'at', 'n'))
  if open and probe ~= id then return end
  at, count = tonumber(at or 0), tonumber(count or 0)
  if rule_now - at >= breaker.window_ms then at, count = rule_now, 0 end
  if open or count + 1 >= breaker.failures then
    local open_until = rule_now + breaker.cooldown_ms
    redis.call('DEL', key)
    redis.call('HSET', key, 'until', whole(open_until))
    redis.call('PEXPIRE', key, whole(breaker.cooldown_ms + BREAKER_AGE))
    limit_sleep(name, open_until)
  else
    redis.call('HSET', key, 'at', whole(at), 'n', count + 1)
    redis.call('PEXPIRE', key, whole(breaker.window_ms))
  end
end

-- The limits that a job holds, each with its rule if that watches over failures or order.
local function permits_of(queue, id)
  local held = {}
  for name in string.gmatch(redis.call('HGET', base .. 'permits:' .. queue, id) or '', '[^\n]+') do
    held[#held + 1] = { name = name, rule = rule_named(name) or {} }
  end
  return held
end

-- Jobs of a queue have succeeded: what they hold is free, and a breaker whose one try this was closes.
local function rules_ended(queue, ids)
  if #ids > 0 and redis.call('HGET', base .. 'rules', 'breakers') then
    for _, id in ipairs(ids) do
      for _, held in ipairs(permits_of(queue, id)) do
        local key = base .. 'breaker:' .. held.name
        if held.rule.breaker and redis.call('HGET', key, 'probe') == id then
          redis.call('DEL', key)
          limit_open(held.name, OPEN_MAX)
        end
      end
    end
  end
  permits_release(queue, ids)
end

-- A job has moved to `state` without success. One that is to come back keeps its place in the order of its key.
local function rules_failed(queue, id, state)
  local comes_back = state == 'retry' or state == 'scheduled' or state == 'parked'
  local keeps
  for _, held in ipairs(permits_of(queue, id)) do
    if held.rule.breaker and (state == 'retry' or state == 'dead') then
      breaker_failed(held.name, held.rule.breaker, id)
    end
    -- Where others hold places, too, since the rule was another when they were taken, there is no order to keep.
    local is_alone = redis.call('HGET', base .. 'caps', held.name) == '1'
    if held.rule.order == 'wait' and comes_back and is_alone then keeps = held.name end
  end
  permits_release(queue, { id }, keeps)
end
