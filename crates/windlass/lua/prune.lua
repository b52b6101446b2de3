-- Drops what is too old: ended jobs, and workers without a beat. Parked jobs that nobody came for die, and nested
-- batches that nobody closed are closed.
-- KEYS: 1 jobs, 2 dead, 3 discarded, 4 cancelled, 5 parked, 6 workers, 7 stats
-- ARGV: 1 how many of each are kept, 2 their greatest age in ms, 3 greatest age of a parked job in ms,
--       4 greatest silence of a worker in ms, 5 reason for the parked
-- Answer: {how many things were dropped or moved, ids of those that died}; the caller goes on while the first is not 0; as in
--         hooks.lua.
-- Guarantee: at most about a hundred things of each sort per call.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local done, died = 0, {}
for i = 2, 4 do done = done + trim(KEYS[i], KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), now) end
local late = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', now - ARGV[3]), 'LIMIT', 0, 100)
for _, id in ipairs(late) do
  local record = redis.call('HGET', KEYS[1], id)
  redis.call('ZREM', KEYS[5], id)
  if record then
    local state, envelope = record_read(record, KEYS[5])
    state.state, state.reason = 'dead', ARGV[5]
    unread_ended(envelope, id, 'dead', 'Parked', ARGV[5], state)
    redis.call('HSET', KEYS[1], id, cjson.encode(state) .. '\n' .. envelope)
    redis.call('ZADD', KEYS[2], string.format('%.0f', now), id)
    permits_release(string.match(id, '^[^/]*'), { id })
    redis.call('HINCRBY', KEYS[7], 'dead', 1)
    died[#died + 1] = id
  end
end
done = done + #late
local left = redis.call('ZRANGEBYSCORE', nested_open, '-inf', string.format('%.0f', now - ARGV[2]), 'LIMIT', 0, 100)
for _, id in ipairs(left) do
  redis.call('ZREM', nested_open, id)
  if batch_exists(id) then
    batch_close(id)
    batch_check(id)
  end
end
done = done + #left
done = done + redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', string.format('%.0f', now - ARGV[4]))
return with_told({ done, died })
