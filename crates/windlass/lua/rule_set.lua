-- Sets or removes a rule.
-- KEYS: 1 rules
-- ARGV: 1 name ("queue:Q", "kind:K", "key:Q" for each key of Q, "key:Q/KEY" for one), 2 rule as JSON, or "" for none;
--       "pause" or "resume" to change only that of the rule
-- Answer: 1 when a rule was there before, otherwise 0.
-- Guarantee: what is taken from now on is taken by the rule; what waits for it as it was is looked at again. A kind that
--       is paused stays so until it is resumed or its rule is removed.
local OPEN_PAGE = 1000
local name, rule = ARGV[1], ARGV[2]
local old = redis.call('HGET', KEYS[1], name)

-- A rule that cannot be read is one that says nothing.
local function read(text)
  local is_json, decoded = pcall(cjson.decode, text or '')
  return is_json and type(decoded) == 'table' and decoded or {}
end

if rule == 'pause' or rule == 'resume' then
  local decoded = read(old)
  decoded.paused = rule == 'pause' or nil
  rule = next(decoded) and cjson.encode(decoded) or ''
elseif rule ~= '' and string.sub(name, 1, 5) == 'kind:' and read(old).paused and read(rule).paused == nil then
  -- A program that sets its rules as it starts does not undo what somebody paused meanwhile.
  local rest = string.match(rule, '^%s*{(.*)$')
  if rest then rule = '{"paused":true' .. (next(read(rule)) and ',' or '') .. rest end
end

local function count(field, by)
  if by ~= 0 and redis.call('HINCRBY', KEYS[1], field, by) <= 0 then redis.call('HDEL', KEYS[1], field) end
end

local has, had = rule ~= '' and 1 or 0, old and 1 or 0
if has == 1 then redis.call('HSET', KEYS[1], name, rule) else redis.call('HDEL', KEYS[1], name) end
local function watches(text) return read(text).breaker and 1 or 0 end
count('breakers', watches(rule) - watches(old))
if watches(rule) == 0 then redis.call('DEL', base .. 'breaker:' .. name) end

local queues
local queue, key = string.match(name, '^key:([^/]*)(.*)$')
if string.sub(name, 1, 5) == 'kind:' then
  count('kinds', has - had)
  queues = redis.call('SMEMBERS', base .. 'queues')
else
  if queue and key ~= '' then count('keys:' .. queue, has - had) end
  queues = { queue or string.sub(name, 7) }
end
for _, known in ipairs(queues) do
  if has == 1 then redis.call('HSET', base .. 'gate:' .. known, 'ruled', 1) end
  redis.call('ZADD', base .. 'wake:' .. known, 0, 'w')
end

-- A rule for every key of a queue is one for many limits.
local first, last = '[' .. name .. '\n', '(' .. name .. '\n\255'
if queue and key == '' then first, last = '[' .. name .. '/', '(' .. name .. '/\255' end
repeat
  local members = redis.call('ZRANGEBYLEX', base .. 'blocked', first, last, 'LIMIT', 0, OPEN_PAGE)
  for _, member in ipairs(members) do lane_go_on(string.match(member, '\n%d+\n(.*)$'), member) end
until #members < OPEN_PAGE
return had
