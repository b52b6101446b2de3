-- Adds events to the stream of a namespace.
-- KEYS: 1 events, 2 how many it keeps
-- ARGV: 1 how many the stream keeps, or "" for as many as workers have said, 2 who tells of them, 3.. events as JSON
-- Answer: how many were added: none with "" if no worker has told of events for a week.
-- Guarantee: they are added in order, and the stream keeps about as many as asked for and never fewer.
local LIFE_MS = 7 * 24 * 3600 * 1000
local max = ARGV[1]
if max == '' then
  max = redis.call('GET', KEYS[2])
  if not max then return 0 end
else
  redis.call('SET', KEYS[2], max, 'PX', LIFE_MS)
end
for i = 3, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', max, '*', 'e', ARGV[i], 'w', ARGV[2])
end
return #ARGV - 2
