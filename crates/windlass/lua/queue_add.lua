-- Makes a queue known.
-- KEYS: 1 queues
-- ARGV: 1 queue name
-- Answer: 1.
-- Guarantee: the rules of kinds that are there hold for it, too.
queue_add(ARGV[1])
return 1
