-- Puts one stored job into its queue now.
-- KEYS: 1 jobs, 2 moved, 3 stream, 4 wake, 5.. the sets in which it may wait
-- ARGV: 1 id, 2 queue name
-- Answer: 1, 0 when no such job is stored, or the id of an equal one that keeps it out; as in
--         hooks.lua.
-- Guarantee: the job is in its queue and in no set. One that had ended is pending in its batch again, and if it is unique
--       it is the one that is there.
local record = redis.call('HGET', KEYS[1], ARGV[1])
local history = record and record_split(record)
-- One that waits in a lane is in its queue.
if not record or string.find(history, '"state":"enqueued"', 1, true) then return 0 end
local set
for i = 5, #KEYS do
  if redis.call('ZSCORE', KEYS[i], ARGV[1]) then set = KEYS[i] end
end
local equal = unread_again(ARGV[1], record, set)
if equal then return equal end
kept_count(set, ARGV[1], -1, -#record)
local _, envelope = record_split(record)
tell('enqueued', ARGV[1], envelope)
enqueue(ARGV[1], ARGV[2], KEYS[1], KEYS[2], KEYS[3], KEYS[4])
for i = 5, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return with_told(1)
