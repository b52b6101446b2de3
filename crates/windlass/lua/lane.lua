-- Part of other scripts: lanes, in which jobs wait that have a priority or a key, or whose kind has a rule.
-- A lane is named by queue, rank, kind and key: `Q/RRR/KIND/KEY`. Rank 0 is the front of the queue, rank p + 1 the
-- priority p. A lane is a sorted set of ids by when they came; the job itself is a record in `jobs` meanwhile. The
-- keys are built here from the prefix of a key that the script is given: all of them share its slot.
-- A lane that is not empty is in `turns:Q`, or in `waits:Q` with what it waits for. One in `turns:Q` may be empty: it
-- stays until its turn, so that leaving and coming back gains nothing.
local base = string.match(KEYS[1], '^.-}:')
-- The score of a lane's turn is rank * RANK_UNIT + its time: a lower rank comes strictly first.
local RANK_UNIT, RANK_DEFAULT, PRIORITY_MAX, KEY_LEN_MAX = 2 ^ 44, 129, 255, 128
-- Before all others of a lane is the job that holds the place of its key.
local PLACE_HELD = -1

local function lane_name(queue, rank, kind, key)
  return queue .. '/' .. string.format('%03d', rank) .. '/' .. kind .. '/' .. key
end

-- Queue, rank, kind and key of a lane.
local function lane_parts(lane)
  local queue, rank, kind, key = string.match(lane, '^([^/]*)/(%d+)/([^/]*)/(.*)$')
  return queue, tonumber(rank), kind, key
end

-- A number as the store is told it, without an exponent.
local function whole(number) return string.format('%d', number) end

-- The rank and the key that an envelope asks for, or nil when it asks for neither.
local function lane_asked(envelope)
  if not string.find(envelope, '"lane"', 1, true) then return nil end
  local is_json, decoded = pcall(cjson.decode, envelope)
  local asked = is_json and type(decoded) == 'table' and decoded.lane
  if type(asked) ~= 'table' then return nil end
  local rank, key = RANK_DEFAULT, ''
  if type(asked.p) == 'number' then rank = math.max(0, math.min(PRIORITY_MAX, math.floor(asked.p))) + 1 end
  if asked.front == true then rank = 0 end
  if type(asked.key) == 'string' and #asked.key <= KEY_LEN_MAX and not string.find(asked.key, '%c') then
    key = asked.key
  end
  if rank == RANK_DEFAULT and key == '' then return nil end
  return rank, key
end

-- The kind in an envelope; in ours it stands at the beginning.
local function kind_of(envelope)
  local kind = string.match(envelope, '^{"v":1,"kind":"([%w_.%-]+)"')
  if kind then return kind end
  local is_json, decoded = pcall(cjson.decode, envelope)
  return is_json and type(decoded) == 'table' and type(decoded.kind) == 'string' and decoded.kind or ''
end

-- Makes a queue known. A rule of a kind is for every queue, also for one that is known already: who pushes by hand may
-- have made it known without a look at the rules.
local function queue_add(queue)
  redis.call('SADD', base .. 'queues', queue)
  if tonumber(redis.call('HGET', base .. 'rules', 'kinds') or 0) > 0 then
    redis.call('HSET', base .. 'gate:' .. queue, 'ruled', 1)
  end
end

-- A lane that was empty takes its turn: it is next, behind those that came before it, unless it has one already.
local function lane_join(queue, rank, lane)
  redis.call('HSET', base .. 'gate:' .. queue, 'ruled', 1)
  if redis.call('HEXISTS', base .. 'waits:' .. queue, lane) == 1 then return end
  if redis.call('ZSCORE', base .. 'turns:' .. queue, lane) then return end
  local now = redis.call('HINCRBY', base .. 'pace:' .. queue, rank, 1)
  redis.call('ZADD', base .. 'turns:' .. queue, whole(rank * RANK_UNIT + now), lane)
end

-- Counts what waits in the lanes of a queue.
local function lane_count(queue, by)
  if by ~= 0 then redis.call('HINCRBY', base .. 'pace:' .. queue, 'size', by) end
end

-- Puts ids, with their places, into a lane. Their records are the caller's.
local function lane_put(queue, rank, kind, key, ...)
  local lane = lane_name(queue, rank, kind, key)
  local had = redis.call('ZCARD', base .. 'lane:' .. lane)
  lane_count(queue, redis.call('ZADD', base .. 'lane:' .. lane, ...))
  if had == 0 then lane_join(queue, rank, lane) end
  return lane
end

-- Pushes a job into its lane and answers its id; nil when it asks for none.
local function lane_push(queue, envelope)
  local rank, key = lane_asked(envelope)
  if not rank then return nil end
  local number = redis.call('INCR', base .. 'seq')
  local id = queue .. '/s' .. number
  redis.call('HSET', base .. 'jobs', id, '{"state":"enqueued"}\n' .. envelope)
  lane_put(queue, rank, '', key, number, id)
  redis.call('ZADD', base .. 'wake:' .. queue, 0, 'w')
  return id
end

-- Puts a lane that waits for something back among the turns, and wakes somebody for it.
local function lane_go_on(lane, member)
  local queue, rank = lane_parts(lane)
  local score = string.match(member, '\n(%d+)\n')
  redis.call('ZREM', base .. 'blocked', member)
  redis.call('HDEL', base .. 'waits:' .. queue, lane)
  redis.call('ZADD', base .. 'turns:' .. queue, score or whole(rank * RANK_UNIT), lane)
  redis.call('ZADD', base .. 'wake:' .. queue, 0, 'w')
end

-- Lets the first `count` lanes go on that wait for a limit. Answers how many did.
local function limit_open(limit, count)
  if count < 1 then return 0 end
  local first, last = '[' .. limit .. '\n', '(' .. limit .. '\n\255'
  local members = redis.call('ZRANGEBYLEX', base .. 'blocked', first, last, 'LIMIT', 0, whole(count))
  for _, member in ipairs(members) do lane_go_on(string.match(member, '\n%d+\n(.*)$'), member) end
  return #members
end

-- Gives back what jobs of one queue hold of limits, whatever ends them; `keeps` is a limit of which it stays held.
local function permits_release(queue, ids, keeps)
  local permits = base .. 'permits:' .. queue
  if #ids == 0 or redis.call('EXISTS', permits) == 0 then return end
  local found = redis.call('HMGET', permits, unpack(ids))
  local has_breakers, dropped = redis.call('HGET', base .. 'rules', 'breakers'), {}
  -- Jobs that end together mostly hold the same.
  local texts, count_of = {}, {}
  for i, id in ipairs(ids) do
    local text = found[i]
    if text then
      if not count_of[text] then count_of[text], texts[#texts + 1] = 0, text end
      count_of[text] = count_of[text] + 1
      if keeps and string.find('\n' .. text .. '\n', '\n' .. keeps .. '\n', 1, true) then
        redis.call('HSET', permits, id, keeps)
      else
        dropped[#dropped + 1] = id
      end
      for limit in string.gmatch(has_breakers and text or '', '[^\n]+') do
        -- The one try of a breaker came to nothing: another may.
        local breaker = base .. 'breaker:' .. limit
        if limit ~= keeps and redis.call('HGET', breaker, 'probe') == id then redis.call('HDEL', breaker, 'probe') end
      end
    end
  end
  if #dropped > 0 then redis.call('HDEL', permits, unpack(dropped)) end
  local freed, limits = {}, {}
  for _, text in ipairs(texts) do
    for limit in string.gmatch(text, '[^\n]+') do
      if limit ~= keeps then
        if not freed[limit] then freed[limit], limits[#limits + 1] = 0, limit end
        freed[limit] = freed[limit] + count_of[text]
      end
    end
  end
  for _, limit in ipairs(limits) do
    local count = freed[limit]
    if redis.call('HINCRBY', base .. 'caps', limit, -count) <= 0 then redis.call('HDEL', base .. 'caps', limit) end
    limit_open(limit, count)
  end
end

-- A stored job goes back into its lane: at its end, or in front if it still holds its place in the order of its key.
local function lane_return(queue, id, rank, key, history, envelope)
  local place = PLACE_HELD
  local holds = key ~= '' and redis.call('HEXISTS', base .. 'permits:' .. queue, id) == 1
  if not holds then place = redis.call('INCR', base .. 'seq') end
  history = string.gsub(history, '"state":"%a+"', '"state":"enqueued"', 1)
  redis.call('HSET', base .. 'jobs', id, history .. '\n' .. envelope)
  local lane = lane_put(queue, rank, '', key, place, id)
  local member = holds and redis.call('HGET', base .. 'waits:' .. queue, lane)
  if member then lane_go_on(lane, member) end
end

-- The lane in which a stored job is: the one that it asks for, or that of its kind.
local function lane_of(queue, id, envelope)
  local rank, key = lane_asked(envelope)
  rank, key = rank or RANK_DEFAULT, key or ''
  for _, kind in ipairs({ '', kind_of(envelope) }) do
    local lane = lane_name(queue, rank, kind, key)
    if redis.call('ZSCORE', base .. 'lane:' .. lane, id) then return lane end
  end
  return nil
end

-- A job goes from its lane to elsewhere.
local function lane_leave(queue, id, envelope)
  local lane = lane_of(queue, id, envelope)
  if lane then lane_count(queue, -redis.call('ZREM', base .. 'lane:' .. lane, id)) end
end
