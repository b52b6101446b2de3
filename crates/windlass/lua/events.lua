-- Adds events to the stream of a namespace.
-- KEYS: 1 events
-- ARGV: 1 how many the stream keeps, 2 the worker, 3.. events as JSON
-- Answer: how many were added.
-- Guarantee: they are added in order, and the stream keeps about as many as asked for and never fewer.
for i = 3, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[i], 'w', ARGV[2])
end
return #ARGV - 2
