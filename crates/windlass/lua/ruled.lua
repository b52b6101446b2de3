-- Part of the exchange with a queue that has lanes or rules.
-- What is in the stream is active or ready: of its entries behind the last that was delivered those with `l` came from
-- lanes and are pending, since they were claimed as they were added. So entries are claimed by their ids here, and
-- never read as new ones. To the other lanes the stream is one more, of the default rank and without a key.
local UNIT, PAGE, PIECE, VISITS_MAX, SORTED_MAX, SUSPECTS = 1024, 128, 32, 2000, 1000, 10
local HISTORY = '{"state":"enqueued"}'
local rules_leave_work = false

local function rules_queue(stream) return string.sub(stream, #base + 3) end

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

-- The last entry that was delivered; makes the group if there is none.
local function rules_last(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info.name == 'w' then return info['last-delivered-id'] end
  end
  redis.call('XGROUP', 'CREATE', stream, 'w', '0', 'MKSTREAM')
  return '0-0'
end

-- Jobs of a queue have succeeded. An asker that takes fills the room by itself.
local function rules_ended_in(stream, ids, left)
  local queue = rules_queue(stream)
  rules_ended(queue, ids)
  local rule = left <= 0 and rule_of('queue:' .. queue)
  if rule and rule.cap then redis.call('ZADD', base .. 'wake:' .. queue, 0, 'w') end
end

-- One taking from one queue. `take.left` is how many may be taken, `take.free` how many of them may be limited,
-- `take.bytes` how many bytes; what was taken is in `take.entries`.
local function rules_begin(stream, consumer, left, free, bytes)
  local queue = rules_queue(stream)
  local take = {
    queue = queue, stream = stream, consumer = consumer, left = left, free = free, bytes = bytes,
    entries = {}, claimed = {}, moved = {}, permits = {}, dropped = {}, picked = {},
    heads = {}, changed = {}, lanes_changed = {}, gone = {}, lanes = {}, pace = {}, paced = {}, paces = {},
    visits = 0, sorted = 0, popped = 0, has_kinds = rule_of('kinds'), has_keys = rule_of('keys:' .. queue), has_plain = true,
  }
  take.last = rules_last(stream)
  take.first = take.last
  return take
end

local function pace_of(take, field)
  if not take.pace[field] then
    take.pace[field] = tonumber(redis.call('HGET', base .. 'pace:' .. take.queue, field) or 0)
  end
  return take.pace[field]
end

local function pace_set(take, field, value)
  if not take.paced[field] then take.paces[#take.paces + 1] = field end
  take.pace[field], take.paced[field] = value, value
end

-- Notes the turn of a lane, or that it has none any more. They are written down in the order of their first change, so
-- that equal calls do equal things.
local function turn_set(take, lane, score)
  if score and not take.changed[lane] then take.lanes_changed[#take.lanes_changed + 1] = lane end
  take.changed[lane] = score
  if not score then take.gone[#take.gone + 1] = lane end
end

-- Writes down which lanes have no turn any more: before a lane may get one anew.
local function turns_leave(take)
  if #take.gone > 0 then redis.call('ZREM', base .. 'turns:' .. take.queue, unpack(take.gone)) end
  take.gone = {}
end

-- Writes the turns down and reads those that are next.
local function turns_turn(take)
  local turns, changes = base .. 'turns:' .. take.queue, {}
  for _, lane in ipairs(take.lanes_changed) do
    -- One that had lost its turn and got another is named twice.
    if take.changed[lane] then
      changes[#changes + 1] = whole(take.changed[lane])
      changes[#changes + 1] = lane
      take.changed[lane] = nil
    end
  end
  if #changes > 0 then redis.call('ZADD', turns, unpack(changes)) end
  turns_leave(take)
  take.changed, take.lanes_changed, take.heads, take.is_stale = {}, {}, {}, false
  if take.left <= 0 then return end
  local count = math.min(take.left + 1, PAGE)
  local page = redis.call('ZRANGE', turns, 0, count - 1, 'WITHSCORES')
  take.is_part = #page == 2 * count
  for i = 1, #page, 2 do
    take.heads[#take.heads + 1] = { lane = page[i], score = tonumber(page[i + 1]) }
  end
end

-- What is known of a lane: its rank, kind and key, how far one job moves its turn, and its limits.
local function lane_facts(take, lane)
  local facts = take.lanes[lane]
  if facts then return facts end
  local _, rank, kind, key = lane_parts(lane)
  facts = { lane = lane, rank = rank, kind = kind, key = key, step = UNIT, limits = {} }
  if kind ~= '' and take.has_kinds then facts.limits[1] = limit_of('kind:' .. kind, rule_of('kind:' .. kind)) or nil end
  if key ~= '' then
    local name = 'key:' .. take.queue .. '/' .. key
    local rule = take.has_keys and rule_of(name) or rule_of('key:' .. take.queue)
    if rule and rule.weight then facts.step = math.max(1, math.floor(UNIT / rule.weight)) end
    facts.order = rule and rule.order
    facts.limits[#facts.limits + 1] = limit_of(name, rule) or nil
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
    local cut = record and string.find(record, '\n', 1, true)
    local envelope = cut and string.sub(record, cut + 1)
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
      local fields = { 'j', envelope, 'i', item.id, 'l', '1' }
      local history = string.sub(record, 1, cut - 1)
      if history ~= HISTORY then fields[7], fields[8] = 's', history end
      local entry = redis.call('XADD', take.stream, '*', unpack(fields))
      take.is_mixed = true
      take.entries[#take.entries + 1] = { entry, fields }
      take.claimed[#take.claimed + 1] = entry
      take.dropped[#take.dropped + 1] = item.id
      take.moved[#take.moved + 1] = item.id
      take.moved[#take.moved + 1] = take.queue .. '/' .. entry
      take.bytes = take.bytes - #record
      take.left = take.left - 1
      take.free = take.free - 1
      -- What a job holds that came back is counted already.
      local names = holds[i] or ''
      for _, limit in ipairs(item.limits) do
        if limit.is_held and string.find('\n' .. names .. '\n', '\n' .. limit.name .. '\n', 1, true) then
          limit.took = limit.took - 1
        elseif limit.is_held then
          names = names == '' and limit.name or names .. '\n' .. limit.name
        end
        if limit.open_until then
          limit.probe = item.id
          redis.call('HSET', base .. 'breaker:' .. limit.name, 'probe', item.id)
        end
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
    if not string.find('\n' .. holds .. '\n', '\n' .. limit.name .. '\n', 1, true) then
      limits[#limits + 1] = limit
    elseif limit.rule.paused then
      limits[#limits + 1] = limit
    end
  end
  if take.has_kinds and facts.kind == '' then
    local record = redis.call('HGET', base .. 'jobs', id) or '\n'
    local kind = kind_of(string.sub(record, string.find(record, '\n', 1, true) + 1))
    local limit = kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind))
    if limit then limits[#limits + 1] = limit end
  end
  return limits
end

-- Gives the first lane its turn: as many jobs as come before anybody else's.
local function lane_turn(take, plain_score)
  local head = table.remove(take.heads, 1)
  local facts = lane_facts(take, head.lane)
  if take.free - #take.picked < 1 and (facts.order or facts.limits[1]) then
    -- Only somebody with a free slot takes what is limited, so that it waits here and not in a worker's memory.
    take.is_over, rules_leave_work = true, true
    return
  end
  if take.has_kinds and take.picked[1] and take.picked[1].facts.rank ~= facts.rank then
    -- Some that were picked may go to the lane of their kind, which then comes before this one.
    table.insert(take.heads, 1, head)
    return rules_admit(take)
  end
  local floor = facts.rank * RANK_UNIT
  local start = math.max(head.score, floor + pace_of(take, facts.rank))
  local wanted = math.min(take.left - #take.picked, PIECE - #take.picked)
  local other = math.min(take.heads[1] and take.heads[1].score or math.huge, plain_score or math.huge)
  if other == math.huge and take.is_part then other = start end
  if other < math.huge then wanted = math.min(wanted, math.max(0, math.floor((other - start) / facts.step)) + 1) end
  local lane_limits = facts.order and order_limits(take, facts) or facts.limits
  for _, limit in ipairs(lane_limits) do
    local room = limit_room(limit)
    if room < 1 and #take.picked > 0 then
      -- Some that were picked may turn out not to go: then there is room.
      table.insert(take.heads, 1, head)
      return rules_admit(take)
    end
    if room < 1 then
      limit_block(limit, take.queue, head.lane, start)
      turn_set(take, head.lane, nil)
      return pass_on(take, facts, limit)
    end
    wanted = math.min(wanted, room, take.free - #take.picked)
  end
  if facts.order then wanted = math.min(wanted, 1) end
  local popped = redis.call('ZPOPMIN', base .. 'lane:' .. head.lane, wanted)
  local count = #popped / 2
  if count == 0 then
    turn_set(take, head.lane, nil)
    return pass_on(take, facts)
  end
  for i = 1, #popped, 2 do
    take.picked[#take.picked + 1] = { id = popped[i], place = popped[i + 1], facts = facts, limits = lane_limits }
  end
  take.popped = take.popped + count
  for _, limit in ipairs(lane_limits) do limit.took = limit.took + count end
  pace_set(take, facts.rank, start - floor + (count - 1) * facts.step)
  head.score = start + count * facts.step
  turn_set(take, head.lane, head.score)
  local at = #take.heads + 1
  while at > 1 and take.heads[at - 1].score > head.score do at = at - 1 end
  -- Behind the last that was read there may be others before it.
  if at <= #take.heads or not take.is_part then table.insert(take.heads, at, head) end
end

-- Entries of the stream whose kinds have rules wait in the lanes of these.
local function sort_plain(take, sorted)
  if #sorted == 0 then return end
  turns_leave(take)
  local last = redis.call('INCRBY', base .. 'seq', #sorted)
  local entries, records, moved, kinds, places = {}, {}, {}, {}, {}
  for i, item in ipairs(sorted) do
    local fields, kind = item.fields, item.kind
    local history = fields.s and string.gsub(fields.s, '"state":"%a+"', '"state":"enqueued"', 1) or HISTORY
    entries[i] = item.entry
    records[#records + 1] = item.id
    records[#records + 1] = history .. '\n' .. fields.j
    if fields.i then moved[#moved + 1] = item.id end
    if not places[kind] then
      places[kind] = {}
      kinds[#kinds + 1] = kind
    end
    table.insert(places[kind], whole(last - #sorted + i))
    table.insert(places[kind], item.id)
  end
  redis.call('XDEL', take.stream, unpack(entries))
  redis.call('HSET', base .. 'jobs', unpack(records))
  if #moved > 0 then redis.call('HDEL', base .. 'moved', unpack(moved)) end
  for _, kind in ipairs(kinds) do lane_put(take.queue, RANK_DEFAULT, kind, '', unpack(places[kind])) end
  take.sorted, take.is_stale = take.sorted + #sorted, true
end

-- Takes from the stream those that come before the turn of the first lane.
local function plain_turn(take, start, other)
  local wanted = math.min(take.left, PIECE)
  if other then wanted = math.min(wanted, math.floor((other - start) / UNIT) + 1) end
  -- More may be sorted in one turn than taken.
  local page = take.has_kinds and PIECE or wanted
  local found = redis.call('XRANGE', take.stream, '(' .. take.last, '+', 'COUNT', page)
  take.has_plain = #found == page
  local count, sorted = 0, {}
  for _, item in ipairs(found) do
    local entry, fields = item[1], {}
    for i = 1, #item[2], 2 do fields[item[2][i]] = item[2][i + 1] end
    local kind = not fields.l and take.has_kinds and kind_of(fields.j or '')
    kind = kind and kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind)) and kind
    if take.bytes <= 0 or (count >= wanted and not kind and not fields.l) then
      take.has_plain = true
      break
    end
    take.last = entry
    local id = fields.i or (take.queue .. '/' .. entry)
    if fields.l then
      -- It came from a lane, and somebody has it.
    elseif kind then
      sorted[#sorted + 1] = { entry = entry, fields = fields, id = id, kind = kind }
    else
      if take.is_mixed then
        -- Behind those from lanes that were taken before it: workers begin jobs in the order of their entries.
        local list = { 'j', fields.j or '', 'i', id, 'l', '1' }
        if fields.s then list[7], list[8] = 's', fields.s end
        redis.call('XDEL', take.stream, entry)
        entry = redis.call('XADD', take.stream, '*', unpack(list))
        item = { entry, list }
        take.moved[#take.moved + 1] = id
        take.moved[#take.moved + 1] = take.queue .. '/' .. entry
      end
      take.entries[#take.entries + 1] = item
      take.claimed[#take.claimed + 1] = entry
      for i = 1, #item[2] do take.bytes = take.bytes - #item[2][i] end
      take.left, take.free, count = take.left - 1, take.free - 1, count + 1
    end
  end
  sort_plain(take, sorted)
  local tag = start - RANK_DEFAULT * RANK_UNIT
  if count > 0 then pace_set(take, RANK_DEFAULT, tag + (count - 1) * UNIT) end
  -- What was sorted has had its turn here, and takes another one in its lane.
  if count + #sorted > 0 then pace_set(take, 'plain', tag + (count + #sorted) * UNIT) end
end

-- Writes down what was taken.
local function rules_finish(take)
  turns_turn(take)
  if #take.dropped > 0 then redis.call('HDEL', base .. 'jobs', unpack(take.dropped)) end
  if #take.moved > 0 then redis.call('HSET', base .. 'moved', unpack(take.moved)) end
  if #take.permits > 0 then redis.call('HSET', base .. 'permits:' .. take.queue, unpack(take.permits)) end
  local paced = {}
  for _, field in ipairs(take.paces) do
    paced[#paced + 1] = field
    paced[#paced + 1] = whole(take.paced[field])
  end
  lane_count(take.queue, -take.popped)
  if #paced > 0 then redis.call('HSET', base .. 'pace:' .. take.queue, unpack(paced)) end
  if #take.claimed > 0 then
    for _, word in ipairs({ 'RETRYCOUNT', '1', 'FORCE', 'JUSTID' }) do take.claimed[#take.claimed + 1] = word end
    redis.call('XCLAIM', take.stream, 'w', take.consumer, 0, unpack(take.claimed))
  end
  if take.last ~= take.first then redis.call('XGROUP', 'SETID', take.stream, 'w', take.last) end
  limits_write()
end

-- A queue without rules, lanes and jobs is an ordinary one again.
local function rules_leave(take)
  local queue = take.queue
  if take.has_kinds or take.has_keys or rule_of('queue:' .. queue) or rule_of('key:' .. queue) then return end
  if redis.call('XLEN', take.stream) > 0 then return end
  if redis.call('EXISTS', base .. 'turns:' .. queue, base .. 'waits:' .. queue) > 0 then return end
  redis.call('HDEL', base .. 'gate:' .. queue, 'ruled')
  redis.call('DEL', base .. 'pace:' .. queue)
end

-- The fields of an entry by their names.
local function entry_fields(stream, entry)
  local found, fields = redis.call('XRANGE', stream, entry, entry)[1], {}
  for i = 1, found and #found[2] or 0, 2 do fields[found[2][i]] = found[2][i + 1] end
  return fields
end

local function is_paused(fields)
  local rule = rule_of('kind:' .. kind_of(fields.j or ''))
  return rule and rule.paused
end

-- The first suspect that may be claimed, as a list, and whether there may be others.
local function rules_suspect(stream)
  local pending = redis.call('XPENDING', stream, 'w', '-', '+', SUSPECTS, '~suspect')
  for _, item in ipairs(pending) do
    if not rule_of('kinds') or not is_paused(entry_fields(stream, item[1])) then return { item }, #pending > 1 end
  end
  return {}, #pending > 0
end

-- Of recovered entries those that may be claimed: none of a kind that is paused. Such a one goes back into a lane, in
-- front, with its attempts.
local function rules_recovered(stream, pending)
  if not rule_of('kinds') then return pending end
  local queue, fit = rules_queue(stream), {}
  for _, item in ipairs(pending) do
    local fields = entry_fields(stream, item[1])
    if not fields.j or not is_paused(fields) then
      fit[#fit + 1] = item
    else
      local id = fields.i or (queue .. '/' .. item[1])
      local history = fields.s and cjson.decode(fields.s) or {}
      history.state = 'enqueued'
      if item[4] > 0 then history.attempts = (history.attempts or 0) + item[4] end
      redis.call('XACK', stream, 'w', item[1])
      redis.call('XDEL', stream, item[1])
      redis.call('HDEL', base .. 'moved', id)
      permits_release(queue, { id })
      redis.call('HSET', base .. 'jobs', id, cjson.encode(history) .. '\n' .. fields.j)
      local rank, key = lane_asked(fields.j)
      lane_put(queue, rank or RANK_DEFAULT, kind_of(fields.j), key or '', 0, id)
    end
  end
  return fit
end

-- Takes from a queue by turns and rules; answers the entries, each pending under the consumer.
local function rules_take(stream, wake, consumer, left, free, bytes)
  local queue = rules_queue(stream)
  local own = limit_of('queue:' .. queue, rule_of('queue:' .. queue))
  -- What the cap of the queue leaves was asked before.
  if own then own.cap, own.is_held = nil, nil end
  if own and own.tokens then left = math.min(left, free, own.tokens) end
  if own and own.tokens and own.tokens < 1 then
    limit_sleep(own.name, rate_next(own))
    return {}
  end
  rules_leave_work = false
  local take = rules_begin(stream, consumer, left, free, bytes)
  turns_turn(take)
  take.is_mixed = #take.heads > 0
  while not take.is_over and take.visits < VISITS_MAX and take.sorted < SORTED_MAX do
    take.visits = take.visits + 1
    if #take.picked >= math.min(take.left, PIECE) or #take.heads == 0 then rules_admit(take) end
    if take.left <= 0 or take.bytes <= 0 then break end
    if take.is_stale or #take.heads == 0 and take.is_part then turns_turn(take) end
    local head = take.heads[1]
    local start = RANK_DEFAULT * RANK_UNIT
    local plain = take.has_plain and start + math.max(pace_of(take, RANK_DEFAULT), pace_of(take, 'plain'))
    if plain and (not head or plain <= head.score) and #take.picked > 0 then
      rules_admit(take)
    elseif plain and (not head or plain <= head.score) then
      plain_turn(take, plain, head and head.score)
    elseif head then
      lane_turn(take, plain)
    else
      break
    end
  end
  rules_admit(take)
  if take.visits >= VISITS_MAX or take.sorted >= SORTED_MAX or take.bytes <= 0 then rules_leave_work = true end
  if own then own.took = #take.entries end
  rules_finish(take)
  if #take.entries == 0 and #take.heads == 0 then rules_leave(take) end
  if rules_leave_work then redis.call('ZADD', wake, 0, 'w') end
  return take.entries
end

-- How long until something that waits may go on by itself, in ms; -1 when nothing does.
local function rules_next()
  local first = redis.call('ZRANGE', base .. 'asleep', 0, 0, 'WITHSCORES')[2]
  return first and math.max(0, tonumber(first) - rule_now) or -1
end
