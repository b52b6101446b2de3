-- Part of other scripts: drops the oldest ended jobs beyond a number or an age, at most 100 per call.
local function trim(set, jobs, max, age, now)
  local excess = redis.call('ZCARD', set) - max
  local old = {}
  if excess > 0 then
    old = redis.call('ZRANGE', set, 0, math.min(excess, 100) - 1)
  else
    old = redis.call('ZRANGEBYSCORE', set, '-inf', string.format('(%.0f', now - age), 'LIMIT', 0, 100)
  end
  if #old > 0 then
    redis.call('ZREM', set, unpack(old))
    redis.call('HDEL', jobs, unpack(old))
  end
  return #old
end
