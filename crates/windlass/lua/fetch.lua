-- Takes jobs for one worker from its queues, in the order given.
-- KEYS: for each queue in turn: gate, stream, wake, suspect
-- ARGV: 1 consumer, 2 how many at most, 3 "1" when the asker runs no suspect at present,
--       4 number of the queue whose wake mark the asker has just consumed, or "0"
-- Answer: {now in ms, part...}; a part is {queue number, entries} for entries delivered for the first
--         time, or {queue number, entries, delivery counts, "1" for a suspect} for recovered ones.
-- Guarantee: no more than ARGV 2 are taken, none from a paused queue, each now pending under the
--         consumer with a count that nobody else holds. Whoever leaves work behind wakes the next.
local consumer, left, woken = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local may_suspect = ARGV[3] == '1'
local time = redis.call('TIME')
local answer = { time[1] * 1000 + math.floor(time[2] / 1000) }

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
  return #entries
end

-- The unusual: the queue is paused, or recovered entries wait in front of the fresh ones.
local function pass_gate(queue, gate, stream, wake, suspect)
  if redis.call('HEXISTS', gate, 'paused') == 1 then return false end
  if may_suspect and redis.call('HEXISTS', gate, 'suspect') == 1 then
    local pending = redis.call('XPENDING', stream, 'w', '-', '+', 2, '~suspect')
    local more = table.remove(pending, 2)
    if claim(queue, stream, pending, '1') == 1 then
      may_suspect = false
      left = left - 1
      local id = pending[1][1]
      local crashes = string.match(redis.call('HGET', suspect, id) or '0', '^%d+')
      redis.call('HSET', suspect, id, crashes .. ':' .. consumer)
      if more then redis.call('ZADD', wake, 0, 'w') end
    end
    if not more then redis.call('HDEL', gate, 'suspect') end
  end
  if left > 0 and redis.call('HEXISTS', gate, 'recovered') == 1 then
    local pending = redis.call('XPENDING', stream, 'w', '-', '+', left, '~recovered')
    if #pending < left then redis.call('HDEL', gate, 'recovered') end
    left = left - claim(queue, stream, pending, '0')
  end
  return true
end

for base = 1, #KEYS, 4 do
  local queue = (base + 3) / 4
  local stream, wake = KEYS[base + 1], KEYS[base + 2]
  if left <= 0 then
    -- The mark that brought the asker here was for a queue that it had no room to look at.
    if woken == queue then redis.call('ZADD', wake, 0, 'w') end
  else
    local open = true
    if redis.call('EXISTS', KEYS[base]) == 1 then
      open = pass_gate(queue, KEYS[base], stream, wake, KEYS[base + 3])
    end
    if open and left > 0 then
      local got = redis.pcall('XREADGROUP', 'GROUP', 'w', consumer, 'COUNT', left, 'STREAMS', stream, '>')
      if got and got.err then
        if string.sub(got.err, 1, 7) ~= 'NOGROUP' then return redis.error_reply(got.err) end
        redis.call('XGROUP', 'CREATE', stream, 'w', '0', 'MKSTREAM')
        got = redis.call('XREADGROUP', 'GROUP', 'w', consumer, 'COUNT', left, 'STREAMS', stream, '>')
      end
      if got then
        local entries = got[1][2]
        left = left - #entries
        answer[#answer + 1] = { queue, entries }
      end
    end
    if open and left <= 0 then redis.call('ZADD', wake, 0, 'w') end
  end
end
return answer
