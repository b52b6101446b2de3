-- Ends one job by hand, as cancelled or dead. One that a worker has is asked to stop.
-- KEYS: 1 to 10 as in find.lua, 11 set of the new state, 12 stats, 13 cancels
-- ARGV: 1 id, 2 new state, 3 reason,
--       4 how long the request to a worker stands in ms, or "0" to make none, 5 how many requests may stand
-- Answer: "ended", "asked" (a worker has it), "active" (the same, with ARGV 4 = "0"), "over" (it had ended), "none";
--         as in hooks.lua.
-- Guarantee: a job that does not run is in the set of its new state with its data and history, and whoever waits
--       for its result is told. The request names the entry and not the worker, so that it reaches the next one
--       when this one dies; requests are in the order of their scores whatever the clock does. Nothing is dropped from
--       the set: how much is kept is for workers to say, and whoever ends a job by hand may know nothing of that.
local job = find(ARGV[1])
if job.place == 'none' then return 'none' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if job.place == 'active' then
  if ARGV[4] == '0' then return 'active' end
  local member = string.match(job.id, '^[^/]*') .. '/' .. job.entry
  ask_to_stop(KEYS[13], member, now, tonumber(ARGV[4]), tonumber(ARGV[5]))
  return 'asked'
end

if job.set == KEYS[8] or job.set == KEYS[9] or job.set == KEYS[10] then return 'over' end
local history = cjson.decode(history_in(job, ARGV[2], ARGV[3]))
tell(ARGV[2], job.id, job.envelope)
unread_ended(job.envelope, job.id, ARGV[2], 'Cancel', ARGV[3], history)
take_out(job)
kept_add(KEYS[11], KEYS[1], job.id, cjson.encode(history) .. '\n' .. job.envelope, now)
redis.call('HINCRBY', KEYS[12], ARGV[2], 1)
return with_told('ended')
