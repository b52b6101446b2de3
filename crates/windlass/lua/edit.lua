-- Gives one job that does not run another envelope.
-- KEYS: 1 to 10 as in find.lua, 11 wake
-- ARGV: 1 id, 2 the envelope that it has, 3 the one that it gets,
--       4 "1" to put it into its queue now
-- Answer: "edited" (it waits where it was), "enqueued" (it is in its queue now), "repushed" (it was in its queue
--       already, where nothing can be changed, and is at the end of it now), "changed" (it has another envelope than
--       ARGV 2, nothing was done), "active" (a worker has it), "none", or {id of an equal job} that keeps it out; as in
--       hooks.lua.
-- Guarantee: the job keeps its id and its history; an edit that was made in between is not overwritten.
local job = find(ARGV[1])
if job.place == 'none' or job.place == 'active' then return job.place end
if job.envelope ~= ARGV[2] then return 'changed' end
local size = redis.call('HSTRLEN', KEYS[1], job.id)
local is_in_lane = job.place == 'stored' and not job.set
-- In a lane it keeps its place, unless it is to go to another one.
local rank, key = lane_asked(ARGV[3])
local old_rank, old_key = lane_asked(job.envelope)
local keeps_lane = rank == old_rank and key == old_key and kind_of(ARGV[3]) == kind_of(job.envelope)
if is_in_lane and keeps_lane or job.place == 'stored' and not is_in_lane and ARGV[4] ~= '1' then
  local record = job.history .. '\n' .. ARGV[3]
  kept_count(job.set, job.id, 0, #record - size)
  redis.call('HSET', KEYS[1], job.id, record)
  tell('edited', job.id, ARGV[3])
  return with_told('edited')
end
local history = job.place == 'stored' and job.history or history_in(job, 'enqueued')
local equal = job.place == 'stored' and unread_again(job.id, job.history .. '\n' .. job.envelope, job.set)
if equal then return { equal } end
kept_count(job.set, job.id, -1, -size)
take_out(job)
redis.call('HSET', KEYS[1], job.id, history .. '\n' .. ARGV[3])
tell('enqueued', job.id, ARGV[3])
enqueue(job.id, queue_of(job.id), KEYS[1], KEYS[2], KEYS[3], KEYS[11])
return with_told(job.place == 'stored' and not is_in_lane and 'enqueued' or 'repushed')
