-- Tells whether a batch, or one that it is nested in, was cancelled.
-- KEYS: 1 batch
-- Answer: 1 when it was.
-- Guarantee: nothing is changed.
local prefix = string.match(KEYS[1], '^.-}:')
local key = KEYS[1]
repeat
  local is_cancelled, parent = unpack(redis.call('HMGET', key, 'is_cancelled', 'parent'))
  if is_cancelled then return 1 end
  key = parent and prefix .. 'batch:' .. parent
until not key
return 0
