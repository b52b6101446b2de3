-- Part of the exchange with a queue that has lanes or rules: one taking, and whose turn is next in it.
-- What is in the stream is active or ready. A job from a lane is added to it and read as a new entry, as of any queue,
-- if no others wait there; otherwise it is claimed, and has `l`, and the gate names the last of these. Up to there entries
-- are claimed by their ids, too, which costs the store a search for each.
-- To the other lanes the stream is one more, of the default rank and without a key.
local UNIT, PAGE, PIECE = 1024, 128, 32
local rules_leave_work = false

local function rules_queue(stream) return string.sub(stream, #base + 3) end

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

-- Nothing is picked: no ids, with their lanes, their places there, what is known of the lanes, and the limits that they
-- begin under, if any.
local function picks_clear(take)
  take.picks, take.ids, take.lane_of, take.places, take.facts_of, take.limits_of = 0, {}, {}, {}, {}, {}
  take.is_held = false
end

-- One taking from one queue. `take.left` is how many may be taken, `take.free` how many of them may be limited,
-- `take.bytes` how many bytes; what was taken is in `take.entries`. The lanes that are next are `take.lanes`, with the scores
-- of their turns, from `take.from` to `take.to`. Jobs that are picked from them are `take.picks` in number.
local function rules_begin(stream, consumer, left, free, bytes)
  local queue = rules_queue(stream)
  local take = {
    queue = queue, stream = stream, consumer = consumer, left = left, free = free, bytes = bytes,
    entries = {}, claimed = {}, moved = {}, permits = {}, dropped = {},
    changed = {}, lanes_changed = {}, gone = {}, facts = {}, kinds = {}, lined = {},
    pace = {}, paced = {}, paces = {}, kind_before = '\n',
    visits = 0, sorted = 0, popped = 0, added = 0, has_kinds = rule_of('kinds'), has_plain = true,
  }
  take.last = rules_last(stream)
  take.first = take.last
  take.has_keys = rule_of('keys:' .. queue) or rule_of('key:' .. queue)
  picks_clear(take)
  take.was_laned = redis.call('HGET', base .. 'gate:' .. queue, 'l')
  take.is_fresh = not take.was_laned or not is_after(take.was_laned, take.last)
  return take
end

local function pace_of(take, field)
  if not take.pace[field] then
    take.pace[field] = tonumber(redis.call('HGET', base .. 'pace:' .. take.queue, field) or 0)
  end
  return take.pace[field]
end

local function pace_set(take, field, value)
  if not take.paced[field] then
    take.paced[field], take.paces[#take.paces + 1] = true, field
  end
  take.pace[field] = value
end

-- Notes the turn of a lane, or that it has none any more. They are written down in the order of their first change, so
-- that equal calls do equal things.
local function turn_set(take, lane, score)
  local changed = take.changed
  if not score then
    take.gone[#take.gone + 1] = lane
  elseif not changed[lane] then
    take.lanes_changed[#take.lanes_changed + 1] = lane
  end
  changed[lane] = score
end

-- Writes down which lanes have no turn any more: before a lane may get one anew.
local function turns_leave(take)
  if #take.gone > 0 then redis.call('ZREM', base .. 'turns:' .. take.queue, unpack(take.gone)) end
  take.gone = {}
end

-- Writes the turns down and reads those that are next.
local function turns_turn(take)
  local turns, changed, changes, n = base .. 'turns:' .. take.queue, take.changed, {}, 0
  for _, lane in ipairs(take.lanes_changed) do
    local score = changed[lane]
    -- One that had lost its turn and got another is named twice.
    if score then
      changes[n + 1], changes[n + 2], n = string.format('%d', score), lane, n + 2
      changed[lane] = nil
    end
  end
  if n > 0 then redis.call('ZADD', turns, unpack(changes)) end
  turns_leave(take)
  take.changed, take.lanes_changed, take.is_stale = {}, {}, false
  local lanes, scores = {}, {}
  take.lanes, take.scores, take.from, take.to = lanes, scores, 1, 0
  if take.left <= 0 then return end
  local count = math.min(take.left + 1, PAGE)
  local page = redis.call('ZRANGE', turns, 0, count - 1, 'WITHSCORES')
  take.is_part = #page == 2 * count
  take.to = #page / 2
  for i = 1, take.to do lanes[i], scores[i] = page[2 * i - 1], tonumber(page[2 * i]) end
end
