-- Part of the exchange with a queue that has lanes or rules: lanes get their turns, and their first jobs go into the stream.
local HISTORY = '{"state":"enqueued"}'
local FRESH = HISTORY .. '\n'

-- The limit of a key, if a rule limits that, and its rule: one of its own, or that of all keys of its queue.
local function key_limit(queue, key)
  local name = 'key:' .. queue .. '/' .. key
  local rule = rule_of('keys:' .. queue) and rule_of(name) or rule_of('key:' .. queue)
  return limit_of(name, rule) or nil, rule
end

-- The limit of a queue without its cap: what that leaves is asked before anything is taken.
local function queue_limit(queue)
  local limit = limit_of('queue:' .. queue, rule_of('queue:' .. queue))
  if limit then limit.cap, limit.is_held = nil, nil end
  return limit
end

local function is_among(name, names) return string.find('\n' .. names .. '\n', '\n' .. name .. '\n', 1, true) ~= nil end

-- A job begins under a limit: answers what it holds then, and whether that counts as one more.
local function limit_begin(limit, id, names)
  if limit.open_until then
    limit.probe = id
    redis.call('HSET', base .. 'breaker:' .. limit.name, 'probe', id)
  end
  if not limit.is_held then return names, 1 end
  if is_among(limit.name, names) then return names, 0 end
  return names == '' and limit.name or names .. '\n' .. limit.name, 1
end

-- What is known of a lane: its rank, kind and key, how far one job moves its turn, and its limits. Where there are no rules
-- that is the same for all of one rank, which the score tells.
local function lane_facts(take, lane, score)
  local has_rules = take.has_kinds or take.has_keys
  local name = has_rules and lane or math.floor(score / RANK_UNIT)
  local facts = take.facts[name]
  if facts then return facts end
  local rank, kind, key = name, '', ''
  if has_rules then
    local _
    _, rank, kind, key = lane_parts(lane)
  end
  facts = { rank = rank, kind = kind, key = key, step = UNIT, limits = {} }
  if kind ~= '' and take.has_kinds then facts.limits[1] = limit_of('kind:' .. kind, rule_of('kind:' .. kind)) or nil end
  if key ~= '' and take.has_keys then
    local limit, rule = key_limit(take.queue, key)
    if rule and rule.weight then facts.step = math.max(1, math.floor(UNIT / rule.weight)) end
    facts.order = rule and rule.order
    facts.limits[#facts.limits + 1] = limit
  end
  facts.is_limited = facts.limits[1] ~= nil
  take.facts[name] = facts
  return facts
end

-- A lane that does not go on leaves what there is of its limits to others that wait for them.
local function pass_on(take, facts, except)
  if not facts.limits[1] then return end
  turns_leave(take)
  for _, limit in ipairs(facts.limits) do
    if limit ~= except and limit_room(limit) > 0 and limit_open(limit.name, 1) > 0 then take.is_stale = true end
  end
end

local function give_back(limits)
  for _, limit in ipairs(limits or {}) do limit.took = limit.took - 1 end
end

-- Moves the picked jobs from their lanes into the stream.
local function rules_admit(take)
  local count, ids, facts_of, limits_of = take.picks, take.ids, take.facts_of, take.limits_of
  if count == 0 then return end
  local lanes, places, stream, prefix = take.lane_of, take.places, take.stream, take.queue .. '/'
  local moved, dropped, bytes = take.moved, take.dropped, take.bytes
  local records = redis.call('HMGET', base .. 'jobs', unpack(ids))
  local holds = take.is_held and redis.call('HMGET', base .. 'permits:' .. take.queue, unpack(ids)) or {}
  picks_clear(take)
  for i = 1, count do
    local id, record, facts, limits = ids[i], records[i], facts_of[i], limits_of[i]
    local history, envelope
    if record and string.sub(record, 1, #FRESH) == FRESH then
      envelope = string.sub(record, #FRESH + 1)
    elseif record then
      history, envelope = record_split(record)
      if history == HISTORY then history = nil end
    end
    local kind = envelope and take.has_kinds and facts.kind == '' and not facts.order and kind_of(envelope)
    if not record then
      give_back(limits)
    elseif kind and kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind)) then
      give_back(limits)
      turns_leave(take)
      lane_put(take.queue, facts.rank, kind, facts.key, places[i], id)
      take.is_stale = true
    elseif bytes <= 0 then
      give_back(limits)
      take.popped = take.popped - redis.call('ZADD', base .. 'lane:' .. lanes[i], places[i], id)
      rules_leave_work = true
    else
      local entry
      if take.is_end and not history then
        entry = redis.call('XADD', stream, '*', 'j', envelope, 'i', id)
      elseif take.is_end then
        entry = redis.call('XADD', stream, '*', 'j', envelope, 'i', id, 's', history)
      else
        local fields = { 'j', envelope, 'i', id, 'l', '1' }
        if history then fields[7], fields[8] = 's', history end
        entry = redis.call('XADD', stream, '*', unpack(fields))
        take.laned = entry
        take.entries[#take.entries + 1] = { entry, fields }
        take.claimed[#take.claimed + 1] = entry
      end
      if take.is_end then take.added = take.added + 1 end
      take.is_mixed = true
      dropped[#dropped + 1] = id
      local at = #moved
      moved[at + 1], moved[at + 2] = id, prefix .. entry
      bytes, take.left, take.free = bytes - #record, take.left - 1, take.free - 1
      if limits then
        -- What a job holds that came back was counted with the others of its turn.
        local names, more = holds[i] or '', 0
        for _, limit in ipairs(limits) do
          names, more = limit_begin(limit, id, names)
          limit.took = limit.took + more - 1
        end
        if names ~= '' then
          take.permits[#take.permits + 1] = id
          take.permits[#take.permits + 1] = names
        end
      end
    end
  end
  take.bytes = bytes
end

-- The first job of a lane that keeps its order, and what that one needs: it is not passed by another kind.
local function order_limits(take, facts, lane)
  local id = redis.call('ZRANGE', base .. 'lane:' .. lane, 0, 0)[1]
  if not id then return facts.limits end
  local limits = {}
  local holds = redis.call('HGET', base .. 'permits:' .. take.queue, id) or ''
  for _, limit in ipairs(facts.limits) do
    if not is_among(limit.name, holds) then
      limits[#limits + 1] = limit
    elseif limit.rule.paused then
      limits[#limits + 1] = limit
    end
  end
  if take.has_kinds and facts.kind == '' then
    local _, envelope = record_split(redis.call('HGET', base .. 'jobs', id) or '')
    local kind = kind_of(envelope)
    local limit = kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind))
    if limit then limits[#limits + 1] = limit end
  end
  return limits
end

-- The limits of a lane, and whether they are those of its first job: in a lane that keeps its order, or kept it until the rule
-- was another, that one may hold its place already.
local function lane_limits(take, facts, lane)
  local is_one = facts.order
  for _, limit in ipairs(facts.limits) do
    is_one = is_one or (facts.key ~= '' and limit.is_held and limit_room(limit) < 1)
  end
  return is_one and order_limits(take, facts, lane) or facts.limits, is_one
end

-- Has what was picked go before the lane whose turn it was gets it again. Answers false if nothing was picked.
local function picks_first(take)
  if take.picks == 0 then return false end
  take.from = take.from - 1
  rules_admit(take)
  return true
end

-- Gives the first lane its turn: as many jobs as come before anybody else's.
local function lane_turn(take, plain_score)
  local from, scores, picks = take.from, take.scores, take.picks
  local lane, score = take.lanes[from], scores[from]
  from = from + 1
  take.from = from
  local facts = lane_facts(take, lane, score)
  if facts.is_limited and take.free - picks < 1 then
    -- Only somebody with a free slot takes what is limited, so that it waits here and not in a worker's memory.
    take.is_over, rules_leave_work = true, true
    return
  end
  -- Some that were picked may go to the lane of their kind, which then comes before this one.
  if take.has_kinds and picks > 0 and take.facts_of[1].rank ~= facts.rank and picks_first(take) then return end
  local floor, step = facts.rank * RANK_UNIT, facts.step
  local start = math.max(score, floor + pace_of(take, facts.rank))
  local wanted = math.min(take.left, PIECE) - picks
  local other = plain_score or math.huge
  if from <= take.to and scores[from] < other then other = scores[from] end
  if other == math.huge and take.is_part then other = start end
  if other < start + (wanted - 1) * step then wanted = math.max(0, math.floor((other - start) / step)) + 1 end
  local limits
  if facts.is_limited then
    local is_one
    limits, is_one = lane_limits(take, facts, lane)
    for _, limit in ipairs(limits) do
      local room = limit_room(limit)
      -- Some that were picked may turn out not to go: then there is room.
      if room < 1 and picks_first(take) then return end
      if room < 1 then
        limit_block(limit, take.queue, lane, start)
        turn_set(take, lane, nil)
        return pass_on(take, facts, limit)
      end
      wanted = math.min(wanted, room, take.free - picks)
      take.is_held = take.is_held or limit.is_held
    end
    if is_one then wanted = math.min(wanted, 1) end
  end
  local popped = redis.call('ZPOPMIN', base .. 'lane:' .. lane, wanted == 1 and '1' or whole(wanted))
  local count = #popped / 2
  if count == 0 then
    turn_set(take, lane, nil)
    return pass_on(take, facts)
  end
  for i = 1, count do
    local pick = picks + i
    take.ids[pick], take.places[pick], take.lane_of[pick] = popped[2 * i - 1], popped[2 * i], lane
    take.facts_of[pick], take.limits_of[pick] = facts, limits
  end
  take.picks, take.popped = picks + count, take.popped + count
  for _, limit in ipairs(limits or {}) do limit.took = limit.took + count end
  pace_set(take, facts.rank, start - floor + (count - 1) * step)
  score = start + count * step
  turn_set(take, lane, score)
  local lanes, to = take.lanes, take.to
  local at = to + 1
  while at > from and scores[at - 1] > score do at = at - 1 end
  -- Behind the last that was read there may be others before it.
  if at > to and take.is_part then return end
  for place = to, at, -1 do lanes[place + 1], scores[place + 1] = lanes[place], scores[place] end
  lanes[at], scores[at], take.to = lane, score, to + 1
end
