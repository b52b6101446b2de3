-- Takes back what dead workers held in one queue.
-- KEYS: 1 stream, 2 gate, 3 wake, 4 suspect, 5 workers, 6 jobs, 7 dead, 8 moved, 9 stats
-- ARGV: 1 lease in ms, 2 crashes that are too many, 3 how many dead of the queue are kept, 4 how many bytes of them,
--       5 queue name, 6 reason, 7.. workers that are known to be dead
-- Answer: {suspects, given back unstarted, killed, ids of the killed}; as in hooks.lua.
-- Guarantee: entries of a living worker whose lease runs are not touched. A worker starts its jobs in the
--       order in which it took them and runs no more than its concurrency (the last part of its name), so
--       only the first of them can have ended its process. Of those the one that ran as a suspect is
--       blamed, or the only one; the others become suspects, and what had not started gets its count back.
local stream, gate, wake, suspect = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known_dead = {}
for i = 7, #ARGV do known_dead[ARGV[i]] = true end
local suspects, returned, killed = 0, 0, {}
local has_breakers = redis.call('HGET', base .. 'rules', 'breakers')

local function give_back(item)
  redis.call('XCLAIM', stream, 'w', '~recovered', 0, item[1], 'RETRYCOUNT', math.max(0, item[4] - 1), 'JUSTID')
  returned = returned + 1
end

-- What is known of the crashes of an entry, beside their count in `suspect`: that is written by others, too.
local crashes_of = base .. 'crashes:' .. ARGV[5]
local CRASHES_LIFE_MS, ERRORS_MAX = 7 * 24 * 3600 * 1000, 10

local function crashes_seen(entry)
  local is_json, seen = pcall(cjson.decode, redis.call('HGET', crashes_of, entry) or '[]')
  return is_json and type(seen) == 'table' and seen or {}
end

local function keep_crash(item, consumer)
  local seen = crashes_seen(item[1])
  seen[#seen + 1] =
    { class = 'Crash', message = 'its process ended while it ran', at = now, attempt = item[4], worker = consumer }
  if #seen > ERRORS_MAX then table.remove(seen, 1) end
  redis.call('HSET', crashes_of, item[1], cjson.encode(seen))
  redis.call('PEXPIRE', crashes_of, CRASHES_LIFE_MS)
end

-- The last errors of a job, its crashes among them.
local function errors_with(errors, crashes, attempts)
  local all = type(errors) == 'table' and errors[1] and errors or {}
  for _, crash in ipairs(crashes) do
    crash.attempt = attempts + crash.attempt
    all[#all + 1] = crash
  end
  while #all > ERRORS_MAX do table.remove(all, 1) end
  return #all > 0 and all or nil
end

local function kill(item, crashes)
  local found = redis.call('XRANGE', stream, item[1], item[1])[1]
  local fields = {}
  for i = 1, found and #found[2] or 0, 2 do fields[found[2][i]] = found[2][i + 1] end
  local state = fields.s and history_read(fields.s) or {}
  redis.call('XACK', stream, 'w', item[1])
  redis.call('XDEL', stream, item[1])
  redis.call('HDEL', suspect, item[1])
  local seen = crashes_seen(item[1])
  redis.call('HDEL', crashes_of, item[1])
  if not found then return end
  local id = fields.i or (ARGV[5] .. '/' .. item[1])
  state.state = 'dead'
  state.errors = errors_with(state.errors, seen, state.attempts or 0)
  state.attempts = (state.attempts or 0) + item[4]
  state.crashes = crashes
  state.reason = ARGV[6]
  unread_ended(fields.j or '', id, 'dead', 'Crash', ARGV[6], state)
  redis.call('HDEL', KEYS[8], id)
  permits_release(ARGV[5], { id })
  local jobs, bytes = kept_add(KEYS[7], KEYS[6], id, cjson.encode(state) .. '\n' .. (fields.j or ''), now)
  redis.call('HINCRBY', KEYS[9], 'dead', 1)
  kept_trim(KEYS[7], KEYS[6], id, jobs, bytes, tonumber(ARGV[3]), tonumber(ARGV[4]))
  killed[#killed + 1] = id
end

-- A job has ended its process: that is a failure to the breakers that watch it.
local function note_crash(entry)
  local id = ARGV[5] .. '/' .. entry
  local found = redis.call('XRANGE', stream, entry, entry)[1]
  for i = 1, found and #found[2] or 0, 2 do
    if found[2][i] == 'i' then id = found[2][i + 1] end
  end
  for _, held in ipairs(permits_of(ARGV[5], id)) do
    if held.rule.breaker then breaker_failed(held.name, held.rule.breaker, id) end
  end
end

-- Everything a dead worker held, those first that it took first.
local function take_back(consumer, pending)
  for i = 1, #pending do pending[i][5] = i end
  table.sort(pending, function(a, b)
    if a[3] ~= b[3] then return a[3] > b[3] end
    return a[5] < b[5]
  end)
  local concurrency = tonumber(string.match(consumer, '%.(%d+)$')) or #pending
  local started = math.min(concurrency, #pending)
  local blamed = started == 1 and pending[1][1] or nil
  for i = 1, started do
    local mark = redis.call('HGET', suspect, pending[i][1])
    if mark and string.match(mark, ':(.*)$') == consumer then blamed = pending[i][1] end
  end
  for i = 1, #pending do
    local item = pending[i]
    if i > started then
      give_back(item)
    else
      local crashes = tonumber(string.match(redis.call('HGET', suspect, item[1]) or '', '^%d+')) or 0
      if item[1] == blamed then
        crashes = crashes + 1
        keep_crash(item, consumer)
        if has_breakers then note_crash(item[1]) end
      end
      if crashes >= limit then
        kill(item, crashes)
      else
        redis.call('HSET', suspect, item[1], crashes)
        redis.call('XCLAIM', stream, 'w', '~suspect', 0, item[1], 'RETRYCOUNT', item[4], 'JUSTID')
        suspects = suspects + 1
      end
    end
  end
end

local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'w')
if consumers.err then return { 0, 0, 0, killed } end
for _, flat in ipairs(consumers) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local consumer = info.name
  if string.sub(consumer, 1, 1) ~= '~' then
    local beat = redis.call('ZSCORE', KEYS[5], consumer)
    local is_silent = known_dead[consumer] or not beat or now - tonumber(beat) > lease
    if info.pending == 0 then
      -- Nothing is pending under it, and nothing can be added while this script runs.
      if is_silent and info.idle > lease then redis.call('XGROUP', 'DELCONSUMER', stream, 'w', consumer) end
    else
      local lapsed = redis.call('XPENDING', stream, 'w', 'IDLE', lease, '-', '+', is_silent and info.pending or 100, consumer)
      -- One that took or renewed something within a lease lived then, whatever the time of its last beat: that is wall
      -- time, and old at once when a clock is set forward.
      if known_dead[consumer] or (is_silent and #lapsed == info.pending) then
        take_back(consumer, redis.call('XPENDING', stream, 'w', '-', '+', info.pending, consumer))
      elseif not is_silent then
        -- A living worker renews what it knows of, so the reply that carried these to it was lost.
        for i = 1, #lapsed do give_back(lapsed[i]) end
      end
    end
  end
end
if suspects > 0 then redis.call('HSET', gate, 'suspect', 1) end
if returned > 0 then redis.call('HSET', gate, 'recovered', 1) end
if suspects + returned > 0 then
  redis.call('ZADD', wake, 0, 'w')
  redis.call('HINCRBY', KEYS[9], 'recovered', suspects + returned)
end
return with_told({ suspects, returned, #killed, killed })
