-- Takes jobs that were handed over to workers that know their kinds.
-- KEYS: for each queue in turn: gate, stream, wake
-- ARGV: 1 consumer, 2 how many at most, then each kind that the consumer knows, a colon, and its version
-- Answer: for each queue that gives something {queue number, entries, delivery counts}
-- Guarantee: no more than ARGV 2 are taken, none from a paused queue or one with lanes or rules, only of kinds and up to
--         versions that were named; each is now pending under the consumer with a count that nobody else holds. They are taken in pieces of
--         PIECE_JOBS until they make up TAKEN_BYTES. Whoever leaves some behind wakes the next.
local PIECE_JOBS, TAKEN_BYTES = 32, 4 * 1024 * 1024
local left, bytes, answer = tonumber(ARGV[2]), 0, {}
local versions = {}
for i = 3, #ARGV do
  local kind, version = string.match(ARGV[i], '^(.*):(%d+)$')
  versions[kind] = tonumber(version)
end

local function take(queue, stream, consumer)
  while left > 0 do
    local wanted = math.min(left, PIECE_JOBS)
    local pending = redis.call('XPENDING', stream, 'w', '-', '+', wanted, consumer)
    if #pending > 0 then
      local ids, count_of, entries, counts = {}, {}, {}, {}
      for i = 1, #pending do
        ids[i] = pending[i][1]
        count_of[ids[i]] = pending[i][4] + 1
      end
      local got = redis.call('XCLAIM', stream, 'w', ARGV[1], 0, unpack(ids))
      for i = 1, #got do
        if got[i] and got[i][2] then
          entries[#entries + 1] = got[i]
          counts[#counts + 1] = count_of[got[i][1]]
          count_of[got[i][1]] = nil
          for j = 1, #got[i][2] do bytes = bytes + #got[i][2][j] end
        end
      end
      for id in pairs(count_of) do redis.call('XACK', stream, 'w', id) end
      if #entries > 0 then answer[#answer + 1] = { queue, entries, counts } end
      left = bytes < TAKEN_BYTES and left - #entries or 0
    end
    if #pending < wanted then
      redis.call('XGROUP', 'DELCONSUMER', stream, 'w', consumer)
      return
    end
  end
end

for at = 1, #KEYS, 3 do
  local stream = KEYS[at + 1]
  local is_open = redis.call('HEXISTS', KEYS[at], 'paused') + redis.call('HEXISTS', KEYS[at], 'ruled') == 0
  local pending = is_open and redis.pcall('XPENDING', stream, 'w')
  local consumers = pending and not pending.err and pending[4] or {}
  for i = 1, #consumers do
    local kind, version = string.match(consumers[i][1], '^~kind:(.*):(%d+)$')
    if kind and (versions[kind] or -1) >= tonumber(version) then
      take((at + 2) / 3, stream, consumers[i][1])
      if left <= 0 then
        redis.call('ZADD', KEYS[at + 2] .. '/' .. kind .. ':' .. string.format('%.0f', versions[kind]), 0, 'w')
        return answer
      end
    end
  end
end
return answer
