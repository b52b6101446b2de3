-- Ends jobs of one queue that succeeded, and takes new ones from a worker's queues in the order given.
-- KEYS: 1 stream, 2 suspect, 3 moved, 4 stats, 5 gate: those of the queue whose jobs ended;
--       then for each queue to take from in turn: gate, stream, wake, suspect;
--       then the result stream of each job that has a result
-- ARGV: 1 consumer, 2 how many jobs ended, 3 how many to take at most,
--       4 "1" when the asker runs no suspect besides those that it ends here, otherwise "0"; and when the parts for
--         lanes and rules are in front, "r" and how many jobs the asker can begin at once,
--       5 number of the queue whose wake mark the asker has just consumed, or "0",
--       6 how many of the ended jobs have redirects,
--       then (entry, delivery count) of each ended job, sorted by entry,
--       then (entry, id) of each that has a redirect,
--       then (entry, life of the result in ms, result JSON) of each that has a result
-- Answer: {now in ms, refused entries, part...}; a part is {queue number, entries} for entries delivered for the
--         first time, or {queue number, entries, delivery counts, "1" for a suspect} for recovered ones. A queue
--         with lanes or rules gives the part {queue number, "ruled"}, and without the parts for these nothing else;
--         with them the last part is {0, ms until something that waits may go on by itself, or -1}.
-- Guarantee: a job that is held ends once, with its result; one that the consumer does not hold any more is refused
--         and not touched. No more than ARGV 3 are taken, none from a paused queue, each now pending under the
--         consumer with a count that nobody else holds. Entries are taken in pieces of PIECE_JOBS until they make
--         up TAKEN_BYTES, so that large jobs do not fill the memory. Whoever leaves work behind wakes the next.
local PIECE_JOBS, TAKEN_BYTES = 32, 4 * 1024 * 1024
-- Fewer entries are not worth the question what is pending.
local TRIM_MIN = 8
local consumer, ended = ARGV[1], tonumber(ARGV[2])
local left, woken = tonumber(ARGV[3]), tonumber(ARGV[5])
local may_suspect, free = string.sub(ARGV[4], 1, 1) == '1', tonumber(string.match(ARGV[4], 'r(%d+)$'))
local first_moved = 7 + 2 * ended
local first_result = first_moved + 2 * tonumber(ARGV[6])
local last_queue = #KEYS - (#ARGV + 1 - first_result) / 3
local bytes = 0
local time = redis.call('TIME')
local answer = { time[1] * 1000 + math.floor(time[2] / 1000), {} }

-- Counts entries against what may be taken; with enough of them there is no room left.
local function count_taken(entries)
  for i = 1, #entries do
    local fields = entries[i][2]
    for j = 1, #fields do bytes = bytes + #fields[j] end
  end
  left = bytes < TAKEN_BYTES and left - #entries or 0
  if free then free = math.max(0, free - #entries) end
end

-- Deletes entries that have just been acknowledged, most of them by one trim: that costs the store no search for each.
-- Unless the gate names an entry that came from a lane, whatever is in front of one that was delivered was delivered before;
-- and what is in front of all that is pending, too, has ended.
local function delete(stream, gate, held)
  local from = 1
  if #held >= TRIM_MIN and redis.call('HEXISTS', gate, 'l') == 0 then
    local first = redis.call('XPENDING', stream, 'w', '-', held[#held], 1)[1]
    if not first or is_after(first[1], held[TRIM_MIN]) then
      from = #held
      while first and is_after(held[from], first[1]) do from = from - 1 end
      redis.call('XTRIM', stream, 'MINID', held[from])
    end
  end
  redis.call('XDEL', stream, unpack(held, from))
end

local function finish()
  local stream = KEYS[1]
  local held, refused, again = fence(stream, consumer, 7, ended)
  answer[2] = refused
  if #held == 0 then return end
  redis.call('XACK', stream, 'w', unpack(held))
  delete(stream, KEYS[5], held)
  redis.call('HINCRBY', KEYS[4], 'completed', #held)
  local is_refused, moved, moved_of = {}, {}, {}
  for i = 1, #refused do is_refused[refused[i]] = true end
  local result = last_queue
  for i = first_result, #ARGV, 3 do
    result = result + 1
    if not is_refused[ARGV[i]] then
      redis.call('XADD', KEYS[result], '*', 'state', 'completed', 'v', ARGV[i + 2])
      redis.call('PEXPIRE', KEYS[result], ARGV[i + 1])
    end
  end
  for i = first_moved, first_result - 1, 2 do
    if not is_refused[ARGV[i]] then
      moved[#moved + 1] = ARGV[i + 1]
      moved_of[ARGV[i]] = ARGV[i + 1]
    end
  end
  -- A suspect was delivered before.
  if #again > 0 then redis.call('HDEL', KEYS[2], unpack(again)) end
  if #moved > 0 then redis.call('HDEL', KEYS[3], unpack(moved)) end
  -- What is called `rules_…` is there only with its parts in front, and so is `free`.
  if free then rules_ended_in(stream, held, moved_of, left) end
end

-- Claims listed pending entries; those whose data is gone are dropped from the pending list.
local function claim(queue, stream, pending, suspect)
  if #pending == 0 then return 0 end
  local ids, count_of = {}, {}
  for i = 1, #pending do
    ids[i] = pending[i][1]
    count_of[ids[i]] = pending[i][4] + 1
  end
  local entries, counts = {}, {}
  local got = redis.call('XCLAIM', stream, 'w', consumer, 0, unpack(ids))
  for i = 1, #got do
    if got[i] and got[i][2] then
      entries[#entries + 1] = got[i]
      counts[#counts + 1] = count_of[got[i][1]]
      count_of[got[i][1]] = nil
    end
  end
  for id in pairs(count_of) do redis.call('XACK', stream, 'w', id) end
  if #entries > 0 then answer[#answer + 1] = { queue, entries, counts, suspect } end
  count_taken(entries)
  return #entries
end

-- The unusual: the queue is paused, or recovered entries wait in front of the fresh ones.
local function pass_gate(queue, gate, stream, wake, suspect, is_paused, has_suspect, has_recovered)
  if is_paused then return false end
  if may_suspect and has_suspect then
    local pending = redis.call('XPENDING', stream, 'w', '-', '+', 2, '~suspect')
    local more = table.remove(pending, 2)
    if free and #pending > 0 then pending, more = rules_suspect(stream) end
    if claim(queue, stream, pending, '1') == 1 then
      may_suspect = false
      local id = pending[1][1]
      local crashes = string.match(redis.call('HGET', suspect, id) or '', '^%d+') or '0'
      redis.call('HSET', suspect, id, crashes .. ':' .. consumer)
      if more then redis.call('ZADD', wake, 0, 'w') end
    end
    if not more then redis.call('HDEL', gate, 'suspect') end
  end
  while left > 0 and has_recovered do
    local wanted = math.min(left, PIECE_JOBS)
    local pending = redis.call('XPENDING', stream, 'w', '-', '+', wanted, '~recovered')
    has_recovered = #pending == wanted
    if not has_recovered then redis.call('HDEL', gate, 'recovered') end
    claim(queue, stream, free and rules_recovered(stream, pending) or pending, '0')
  end
  return true
end

-- The same from a queue with lanes or rules.
local function take_ruled(queue, gate, stream, wake, suspect, ...)
  answer[#answer + 1] = { queue, 'ruled' }
  if not free then return end
  local room = math.min(left, rules_room(stream))
  local spare = left - room
  left = room
  if left > 0 and pass_gate(queue, gate, stream, wake, suspect, ...) and left > 0 then
    local entries = rules_take(stream, wake, consumer, left, free, TAKEN_BYTES - bytes)
    if #entries > 0 then answer[#answer + 1] = { queue, entries } end
    count_taken(entries)
  end
  if bytes < TAKEN_BYTES then left = left + spare end
  if left <= 0 then redis.call('ZADD', wake, 0, 'w') end
end

local function take(queue, gate, stream, wake, suspect)
  if left <= 0 then
    -- The mark that brought the asker here was for a queue that it had no room to look at.
    if woken == queue then redis.call('ZADD', wake, 0, 'w') end
    return
  end
  if redis.call('EXISTS', gate) == 1 then
    local is_ruled, is_paused, has_suspect, has_recovered =
      unpack(redis.call('HMGET', gate, 'ruled', 'paused', 'suspect', 'recovered'))
    local go_on = is_ruled and take_ruled or pass_gate
    local is_open = go_on(queue, gate, stream, wake, suspect, is_paused, has_suspect, has_recovered)
    if is_ruled or not is_open then return end
  end
  while left > 0 do
    local wanted = math.min(left, PIECE_JOBS)
    local got = redis.pcall('XREADGROUP', 'GROUP', 'w', consumer, 'COUNT', wanted, 'STREAMS', stream, '>')
    if got and got.err then
      if string.sub(got.err, 1, 7) ~= 'NOGROUP' then error(got.err) end
      redis.call('XGROUP', 'CREATE', stream, 'w', '0', 'MKSTREAM')
      got = redis.call('XREADGROUP', 'GROUP', 'w', consumer, 'COUNT', wanted, 'STREAMS', stream, '>')
    end
    if not got then break end
    local entries = got[1][2]
    answer[#answer + 1] = { queue, entries }
    count_taken(entries)
    if #entries < wanted then break end
  end
  if left <= 0 then redis.call('ZADD', wake, 0, 'w') end
end

if ended > 0 then finish() end
if free then limits_wake() end
for at = 6, last_queue, 4 do
  take((at - 2) / 4, KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3])
end
if free then answer[#answer + 1] = { 0, rules_next() } end
return answer
