-- Sets when one job that does not run is due.
-- KEYS: 1 to 10 as in find.lua
-- ARGV: 1 id, 2 due ("+ms" from the store's now, or "=ms" since the epoch)
-- Answer: "scheduled", "active" (a worker has it), "none", or {id of an equal job} that keeps it out; as in
--         hooks.lua.
-- Guarantee: a job that waits for a retry goes on waiting for one; any other is scheduled, with its data and history. One
--       that is unique does not lose its lock before it is due.
local job = find(ARGV[1])
if job.place == 'none' or job.place == 'active' then return job.place end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = tonumber(string.sub(ARGV[2], 2))
if string.sub(ARGV[2], 1, 1) == '+' then due = due + now end
local wait = math.max(0, due - now)
due = string.format('%.0f', due)
if job.set == KEYS[5] or job.set == KEYS[6] then
  local later = wait - math.max(0, redis.call('ZSCORE', job.set, job.id) - now)
  lock_longer(job.id, job.envelope, later)
  redis.call('ZADD', job.set, due, job.id)
  tell(job.set == KEYS[6] and 'retrying' or 'scheduled', job.id, job.envelope)
  return with_told('scheduled')
end
local history = history_in(job, 'scheduled')
if job.place == 'stored' and has_ended(history_read(job.history, job.set)) then
  local equal = unread_again(job.id, job.history .. '\n' .. job.envelope, job.set, wait)
  if equal then return { equal } end
else
  lock_longer(job.id, job.envelope, wait)
end
kept_count(job.set, job.id, -1, -redis.call('HSTRLEN', KEYS[1], job.id))
take_out(job)
redis.call('HSET', KEYS[1], job.id, history .. '\n' .. job.envelope)
redis.call('ZADD', KEYS[5], due, job.id)
tell('scheduled', job.id, job.envelope)
return with_told('scheduled')
