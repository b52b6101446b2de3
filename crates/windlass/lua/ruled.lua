-- Part of the exchange with a queue that has lanes or rules: begins and ends a taking.
local VISITS_MAX, SORTED_MAX = 2000, 1000

-- How many jobs of a queue may become active: its cap less what workers have.
local function rules_room(stream)
  local queue = rules_queue(stream)
  local names = { 'queue:' .. queue, 'key:' .. queue, 'kinds', 'keys:' .. queue }
  local found = redis.call('HMGET', base .. 'rules', unpack(names))
  rule_note(names[1], found[1])
  rule_note(names[2], found[2])
  rules[names[3]], rules[names[4]] = tonumber(found[3] or 0) > 0, tonumber(found[4] or 0) > 0
  local cap = rules[names[1]] and rules[names[1]].cap
  if not cap then return math.huge end
  local summary = redis.pcall('XPENDING', stream, 'w')
  if summary.err or not summary[4] then return cap end
  for _, consumer in ipairs(summary[4]) do
    if string.sub(consumer[1], 1, 1) ~= '~' then cap = cap - tonumber(consumer[2]) end
  end
  return math.max(0, cap)
end

-- Entries of a queue whose jobs have succeeded; `moved_of` has the ids of those that have redirects. An asker that takes
-- fills the room by itself.
local function rules_ended_in(stream, entries, moved_of, left)
  local queue = rules_queue(stream)
  if redis.call('EXISTS', base .. 'permits:' .. queue) == 1 then
    local ids = {}
    for i, entry in ipairs(entries) do ids[i] = moved_of[entry] or queue .. '/' .. entry end
    rules_ended(queue, ids)
  end
  local rule = left <= 0 and rule_of('queue:' .. queue)
  if rule and rule.cap then redis.call('ZADD', base .. 'wake:' .. queue, 0, 'w') end
end

-- Writes down what was taken.
local function rules_finish(take)
  turns_turn(take)
  -- With nothing left to be read before, what was added here is all that the group has not come to.
  if take.laned and not take.has_plain then take.last = take.laned end
  if #take.dropped > 0 then redis.call('HDEL', base .. 'jobs', unpack(take.dropped)) end
  if #take.moved > 0 then redis.call('HSET', base .. 'moved', unpack(take.moved)) end
  if take.laned and take.has_plain then
    redis.call('HSET', base .. 'gate:' .. take.queue, 'l', take.laned)
  elseif take.was_laned and (take.is_fresh or not take.has_plain) then
    redis.call('HDEL', base .. 'gate:' .. take.queue, 'l')
  end
  if #take.permits > 0 then redis.call('HSET', base .. 'permits:' .. take.queue, unpack(take.permits)) end
  local paced = {}
  for _, field in ipairs(take.paces) do
    paced[#paced + 1] = field
    paced[#paced + 1] = whole(take.pace[field])
  end
  lane_count(take.queue, -take.popped)
  if #paced > 0 then redis.call('HSET', base .. 'pace:' .. take.queue, unpack(paced)) end
  if #take.claimed > 0 then
    for _, word in ipairs({ 'RETRYCOUNT', '1', 'FORCE', 'JUSTID' }) do take.claimed[#take.claimed + 1] = word end
    redis.call('XCLAIM', take.stream, 'w', take.consumer, 0, unpack(take.claimed))
  end
  if take.added > 0 then
    local got = redis.call('XREADGROUP', 'GROUP', 'w', take.consumer, 'COUNT', take.added, 'STREAMS', take.stream, '>')
    local entries, count = take.entries, #take.entries
    if count == 0 then take.entries = got[1][2] end
    for i = 1, count > 0 and take.added or 0 do entries[count + i] = got[1][2][i] end
  end
  if take.last ~= take.first then redis.call('XGROUP', 'SETID', take.stream, 'w', take.last) end
  limits_write()
end

-- A queue without rules, lanes and jobs is an ordinary one again.
local function rules_leave(take)
  local queue = take.queue
  if take.has_kinds or take.has_keys or rule_of('queue:' .. queue) then return end
  if redis.call('XLEN', take.stream) > 0 then return end
  if redis.call('EXISTS', base .. 'turns:' .. queue, base .. 'waits:' .. queue) > 0 then return end
  redis.call('HDEL', base .. 'gate:' .. queue, 'ruled', 'l')
  redis.call('DEL', base .. 'pace:' .. queue)
end

-- Takes from a queue by turns and rules; answers the entries, each pending under the consumer.
local function rules_take(stream, wake, consumer, left, free, bytes)
  local queue = rules_queue(stream)
  local own = queue_limit(queue)
  if own and own.tokens then left = math.min(left, free, own.tokens) end
  if own and own.tokens and own.tokens < 1 then
    limit_sleep(own.name, rate_next(own))
    return {}
  end
  rules_leave_work = false
  local take = rules_begin(stream, consumer, left, free, bytes)
  turns_turn(take)
  if take.to > 0 then
    take.is_mixed = true
    take.has_plain = #redis.call('XRANGE', stream, '(' .. take.last, '+', 'COUNT', 1) > 0
    take.is_end = not take.has_plain
  end
  local start = RANK_DEFAULT * RANK_UNIT
  while not take.is_over and take.visits < VISITS_MAX and take.sorted < SORTED_MAX do
    take.visits = take.visits + 1
    if take.from > take.to or take.picks >= PIECE or take.picks >= take.left then rules_admit(take) end
    if take.left <= 0 or take.bytes <= 0 then break end
    if take.is_stale or take.from > take.to and take.is_part then turns_turn(take) end
    local score = take.from <= take.to and take.scores[take.from]
    local plain = take.has_plain and start + math.max(pace_of(take, RANK_DEFAULT), pace_of(take, 'plain'))
    if plain and (not score or plain <= score) and take.picks > 0 then
      rules_admit(take)
    elseif plain and (not score or plain <= score) then
      plain_turn(take, plain, score)
    elseif score then
      lane_turn(take, plain)
    else
      break
    end
  end
  rules_admit(take)
  if take.visits >= VISITS_MAX or take.sorted >= SORTED_MAX or take.bytes <= 0 then rules_leave_work = true end
  if own then own.took = #take.entries + take.added end
  rules_finish(take)
  if #take.entries == 0 and take.from > take.to then rules_leave(take) end
  if rules_leave_work then redis.call('ZADD', wake, 0, 'w') end
  return take.entries
end

-- How long until something that waits may go on by itself, in ms; -1 when nothing does.
local function rules_next()
  local first = redis.call('ZRANGE', base .. 'asleep', 0, 0, 'WITHSCORES')[2]
  return first and math.max(0, tonumber(first) - rule_now) or -1
end
