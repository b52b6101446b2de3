-- Part of the exchange with a queue that has lanes or rules: lanes get their turns, and their first jobs go into the stream.
local HISTORY = '{"state":"enqueued"}'

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

-- What is known of a lane: its rank, kind and key, how far one job moves its turn, and its limits.
local function lane_facts(take, lane)
  local facts = take.lanes[lane]
  if facts then return facts end
  local _, rank, kind, key = lane_parts(lane)
  facts = { lane = lane, rank = rank, kind = kind, key = key, step = UNIT, limits = {} }
  if kind ~= '' and take.has_kinds then facts.limits[1] = limit_of('kind:' .. kind, rule_of('kind:' .. kind)) or nil end
  if key ~= '' and take.has_keys then
    local limit, rule = key_limit(take.queue, key)
    if rule and rule.weight then facts.step = math.max(1, math.floor(UNIT / rule.weight)) end
    facts.order = rule and rule.order
    facts.limits[#facts.limits + 1] = limit
  end
  take.lanes[lane] = facts
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

local function give_back(item)
  for _, limit in ipairs(item.limits) do limit.took = limit.took - 1 end
end

-- Moves the picked jobs from their lanes into the stream.
local function rules_admit(take)
  local picked = take.picked
  take.picked = {}
  if #picked == 0 then return end
  local ids, is_held = {}, false
  for i, item in ipairs(picked) do
    ids[i] = item.id
    for _, limit in ipairs(item.limits) do is_held = is_held or limit.is_held end
  end
  local records = redis.call('HMGET', base .. 'jobs', unpack(ids))
  local holds = is_held and redis.call('HMGET', base .. 'permits:' .. take.queue, unpack(ids)) or {}
  for i, item in ipairs(picked) do
    local facts, record = item.facts, records[i]
    local history, envelope
    if record then history, envelope = record_split(record) end
    local kind = envelope and take.has_kinds and facts.kind == '' and not facts.order and kind_of(envelope)
    if not record then
      give_back(item)
    elseif kind and kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind)) then
      give_back(item)
      turns_leave(take)
      lane_put(take.queue, facts.rank, kind, facts.key, item.place, item.id)
      take.is_stale = true
    elseif take.bytes <= 0 then
      give_back(item)
      take.popped = take.popped - redis.call('ZADD', base .. 'lane:' .. facts.lane, item.place, item.id)
      rules_leave_work = true
    else
      local entry
      local came_back = history ~= HISTORY
      if take.is_end then
        take.added = take.added + 1
        if came_back then
          entry = redis.call('XADD', take.stream, '*', 'j', envelope, 'i', item.id, 's', history)
        else
          entry = redis.call('XADD', take.stream, '*', 'j', envelope, 'i', item.id)
        end
      else
        local fields = { 'j', envelope, 'i', item.id, 'l', '1' }
        if came_back then fields[7], fields[8] = 's', history end
        entry = redis.call('XADD', take.stream, '*', unpack(fields))
        take.laned = entry
        take.entries[#take.entries + 1] = { entry, fields }
        take.claimed[#take.claimed + 1] = entry
      end
      take.is_mixed = true
      take.dropped[#take.dropped + 1] = item.id
      take.moved[#take.moved + 1] = item.id
      take.moved[#take.moved + 1] = take.queue .. '/' .. entry
      take.bytes = take.bytes - #record
      take.left = take.left - 1
      take.free = take.free - 1
      -- What a job holds that came back was counted with the others of its turn.
      local names, more = holds[i] or '', 0
      for _, limit in ipairs(item.limits) do
        names, more = limit_begin(limit, item.id, names)
        limit.took = limit.took + more - 1
      end
      if names ~= '' then
        take.permits[#take.permits + 1] = item.id
        take.permits[#take.permits + 1] = names
      end
    end
  end
end

-- The first job of a lane that keeps its order, and what that one needs: it is not passed by another kind.
local function order_limits(take, facts)
  local id = redis.call('ZRANGE', base .. 'lane:' .. facts.lane, 0, 0)[1]
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
local function lane_limits(take, facts)
  local is_one = facts.order
  for _, limit in ipairs(facts.limits) do
    is_one = is_one or (facts.key ~= '' and limit.is_held and limit_room(limit) < 1)
  end
  return is_one and order_limits(take, facts) or facts.limits, is_one
end

-- Gives the first lane its turn: as many jobs as come before anybody else's.
local function lane_turn(take, plain_score)
  local head = take.heads[take.from]
  take.from = take.from + 1
  local facts = lane_facts(take, head.lane)
  if take.free - #take.picked < 1 and (facts.order or facts.limits[1]) then
    -- Only somebody with a free slot takes what is limited, so that it waits here and not in a worker's memory.
    take.is_over, rules_leave_work = true, true
    return
  end
  if take.has_kinds and take.picked[1] and take.picked[1].facts.rank ~= facts.rank then
    -- Some that were picked may go to the lane of their kind, which then comes before this one.
    take.from = take.from - 1
    return rules_admit(take)
  end
  local floor = facts.rank * RANK_UNIT
  local start = math.max(head.score, floor + pace_of(take, facts.rank))
  local wanted = math.min(take.left - #take.picked, PIECE - #take.picked)
  local other = plain_score or math.huge
  if take.from <= take.to then other = math.min(other, take.heads[take.from].score) end
  if other == math.huge and take.is_part then other = start end
  if other < math.huge then wanted = math.min(wanted, math.max(0, math.floor((other - start) / facts.step)) + 1) end
  local limits, is_one = lane_limits(take, facts)
  for _, limit in ipairs(limits) do
    local room = limit_room(limit)
    if room < 1 and #take.picked > 0 then
      -- Some that were picked may turn out not to go: then there is room.
      take.from = take.from - 1
      return rules_admit(take)
    end
    if room < 1 then
      limit_block(limit, take.queue, head.lane, start)
      turn_set(take, head.lane, nil)
      return pass_on(take, facts, limit)
    end
    wanted = math.min(wanted, room, take.free - #take.picked)
  end
  if is_one then wanted = math.min(wanted, 1) end
  local popped = redis.call('ZPOPMIN', base .. 'lane:' .. head.lane, wanted)
  local count = #popped / 2
  if count == 0 then
    turn_set(take, head.lane, nil)
    return pass_on(take, facts)
  end
  for i = 1, #popped, 2 do
    take.picked[#take.picked + 1] = { id = popped[i], place = popped[i + 1], facts = facts, limits = limits }
  end
  take.popped = take.popped + count
  for _, limit in ipairs(limits) do limit.took = limit.took + count end
  pace_set(take, facts.rank, start - floor + (count - 1) * facts.step)
  head.score = start + count * facts.step
  turn_set(take, head.lane, head.score)
  local heads, at = take.heads, take.to + 1
  while at > take.from and heads[at - 1].score > head.score do at = at - 1 end
  -- Behind the last that was read there may be others before it.
  if at > take.to and take.is_part then return end
  for place = take.to, at, -1 do heads[place + 1] = heads[place] end
  heads[at], take.to = head, take.to + 1
end
