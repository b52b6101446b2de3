-- Drops workers without a beat. Parked jobs that nobody came for die, and nested batches that nobody closed are closed.
-- KEYS: 1 jobs, 2 dead, 3 parked, 4 workers, 5 stats
-- ARGV: 1 greatest age of an open nested batch in ms, 2 greatest age of a parked job in ms,
--       3 greatest silence of a worker in ms, 4 reason for the parked
-- Answer: {how many things were dropped or moved, ids of those that died}; the caller goes on while the first is not 0; as in
--         hooks.lua.
-- Guarantee: at most about a hundred things of each sort per call.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local done, died = 0, {}
local late = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - ARGV[2]), 'LIMIT', 0, 100)
for _, id in ipairs(late) do
  local record = redis.call('HGET', KEYS[1], id)
  redis.call('ZREM', KEYS[3], id)
  if record then
    local state, envelope = record_read(record, KEYS[3])
    state.state, state.reason = 'dead', ARGV[4]
    unread_ended(envelope, id, 'dead', 'Parked', ARGV[4], state)
    kept_add(KEYS[2], KEYS[1], id, cjson.encode(state) .. '\n' .. envelope, now)
    permits_release(string.match(id, '^[^/]*'), { id })
    redis.call('HINCRBY', KEYS[5], 'dead', 1)
    died[#died + 1] = id
  end
end
done = done + #late
local left = redis.call('ZRANGEBYSCORE', nested_open, '-inf', string.format('%.0f', now - ARGV[1]), 'LIMIT', 0, 100)
for _, id in ipairs(left) do
  redis.call('ZREM', nested_open, id)
  if batch_exists(id) then
    batch_close(id)
    batch_check(id)
  end
end
done = done + #left
done = done + redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now - ARGV[3]))
return with_told({ done, died })
