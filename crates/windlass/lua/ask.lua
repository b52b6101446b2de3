-- Part of other scripts: requests to stop what workers have. Requests are in the order of their scores whatever the clock
-- does, so that a worker which has read as far as one of them misses none.
local function ask_to_stop(cancels, member, now, stands, max)
  redis.call('ZREMRANGEBYSCORE', cancels, '-inf', string.format('(%.0f', now - stands))
  local last = redis.call('ZREVRANGE', cancels, 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', cancels, string.format('%.0f', math.max(now, tonumber(last or 0))), member)
  redis.call('ZREMRANGEBYRANK', cancels, 0, -1 - max)
  redis.call('PEXPIRE', cancels, stands)
end
