-- Part of the exchange with a queue that has lanes or rules: what the stream has gets its turn.

-- Entries of the stream whose kinds have rules wait in the lanes of these.
local function sort_plain(take, sorted, is_read)
  if #sorted == 0 then return end
  turns_leave(take)
  local last = redis.call('INCRBY', base .. 'seq', #sorted)
  local entries, records, moved, kinds, places = {}, {}, {}, {}, {}
  for i, item in ipairs(sorted) do
    local fields, kind = item.fields, item.kind
    local history = fields.s and string.gsub(fields.s, '"state":"%a+"', '"state":"enqueued"', 1) or HISTORY
    -- A record ends its history at the first line end.
    history = string.gsub(history, '\n', ' ')
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
  if is_read then redis.call('XACK', take.stream, 'w', unpack(entries)) end
  redis.call('XDEL', take.stream, unpack(entries))
  redis.call('HSET', base .. 'jobs', unpack(records))
  if #moved > 0 then redis.call('HDEL', base .. 'moved', unpack(moved)) end
  for _, kind in ipairs(kinds) do lane_put(take.queue, RANK_DEFAULT, kind, '', unpack(places[kind])) end
  take.sorted, take.is_stale = take.sorted + #sorted, true
end

-- The limit of a job's kind, if a rule limits that.
local function kind_limit(take, envelope)
  -- Most are of the kind of the one before.
  if string.sub(envelope, 1, #take.kind_before) ~= take.kind_before then
    take.kind = kind_of(envelope)
    take.kind_before = '{"v":1,"kind":"' .. take.kind .. '"'
  end
  local kind = take.kind
  local known = take.kinds[kind]
  if known == nil then
    known = kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind))
    take.kinds[kind] = known
  end
  return known, kind
end

-- Whether a job of a limited kind goes into the lane of its kind: because it may not begin now, or because others wait
-- there already, which came before it.
local function has_to_wait(take, limit, kind)
  if take.lined[kind] == nil then
    local lane = lane_name(take.queue, RANK_DEFAULT, kind, '')
    take.lined[kind] = redis.call('EXISTS', base .. 'lane:' .. lane) == 1
  end
  return take.lined[kind] or limit.open_until or limit_room(limit) < 1
end

-- Takes an entry as it is, or behind those that were taken from lanes before it: workers begin jobs in the order of
-- their entries.
local function plain_admit(take, item, fields, limit, is_read)
  local entry = item[1]
  local id = (limit or take.is_mixed) and (fields.i or take.queue .. '/' .. entry)
  if take.is_mixed then
    local list = { 'j', fields.j or '', 'i', id, 'l', '1' }
    if fields.s then list[7], list[8] = 's', fields.s end
    redis.call('XDEL', take.stream, entry)
    entry = redis.call('XADD', take.stream, '*', unpack(list))
    item = { entry, list }
    take.laned = entry
    take.moved[#take.moved + 1] = id
    take.moved[#take.moved + 1] = take.queue .. '/' .. entry
  end
  if limit then
    limit.took = limit.took + 1
    if limit.is_held then
      take.permits[#take.permits + 1] = id
      take.permits[#take.permits + 1] = limit.name
    end
  end
  take.entries[#take.entries + 1] = item
  if not is_read then take.claimed[#take.claimed + 1] = entry end
  for i = 1, #item[2] do take.bytes = take.bytes - #item[2][i] end
  take.left, take.free = take.left - 1, take.free - 1
end

-- Reads new entries, which are pending then. Answers none where they are to be claimed one by one: between them and what
-- the group has come to there may be some from lanes, or there is no telling how many of them may be taken.
local function plain_read(take, wanted)
  local is_new = take.is_fresh and not take.is_mixed and take.last == take.first
  if not is_new or (take.has_kinds and take.free < 1) then return nil end
  if take.has_kinds then wanted = math.min(wanted, take.free) end
  local got = redis.call('XREADGROUP', 'GROUP', 'w', take.consumer, 'COUNT', wanted, 'STREAMS', take.stream, '>')
  local found = got and got[1][2] or {}
  if #found > 0 then take.first = found[#found][1] end
  take.is_end = #found < wanted
  return found, wanted
end

-- Takes from the stream those that come before the turn of the first lane.
local function plain_turn(take, start, other)
  local wanted = math.min(take.left, PIECE)
  if other then wanted = math.min(wanted, math.floor((other - start) / UNIT) + 1) end
  local found, page = plain_read(take, wanted)
  local is_read = found
  if not is_read then
    -- More may be sorted or passed over in one turn than taken.
    page = (take.sorted > 0 or not take.is_fresh) and PIECE or wanted
    found = redis.call('XRANGE', take.stream, '(' .. take.last, '+', 'COUNT', page)
  end
  take.has_plain = #found == page
  local count, sorted = 0, {}
  for _, item in ipairs(found) do
    local fields = {}
    for i = 1, #item[2], 2 do fields[item[2][i]] = item[2][i + 1] end
    local limit, kind
    if take.has_kinds and not fields.l then limit, kind = kind_limit(take, fields.j or '') end
    local waits = limit and has_to_wait(take, limit, kind)
    if not is_read and (take.bytes <= 0 or (count >= wanted and not waits and not fields.l)) then
      take.has_plain = true
      break
    end
    if not is_read and limit and not waits and take.free < 1 then
      -- Only somebody with a free slot takes what is limited, so that it waits here and not in a worker's memory.
      take.has_plain, take.is_over, rules_leave_work = true, true, true
      break
    end
    take.last = item[1]
    if waits then
      take.lined[kind] = true
      sorted[#sorted + 1] =
        { entry = item[1], fields = fields, id = fields.i or (take.queue .. '/' .. item[1]), kind = kind }
    elseif is_read or not fields.l then
      -- One with `l` that is not new came from a lane, and somebody has it.
      plain_admit(take, item, fields, limit, is_read)
      count = count + 1
    end
  end
  sort_plain(take, sorted, is_read)
  local tag = start - RANK_DEFAULT * RANK_UNIT
  if count > 0 then pace_set(take, RANK_DEFAULT, tag + (count - 1) * UNIT) end
  -- What was sorted has had its turn here, and takes another one in its lane.
  if count + #sorted > 0 then pace_set(take, 'plain', tag + (count + #sorted) * UNIT) end
end
