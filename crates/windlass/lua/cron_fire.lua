-- Pushes the jobs of a cron entry that is due and moves it on to its next time.
-- KEYS: 1 cron, 2 cron-next, 3 stream, 4 wake, 5 stream of the last job, 6 jobs, 7 moved, 8.. the sets of
--       jobs that ended
-- ARGV: 1 name, 2 the revision that was seen, 3 the moment that was seen, 4 the next time or "" for none,
--       5 the moment at which that is due, 6 queue, 7 the time that the last of these jobs is for or "",
--       8 the last job as it was seen ("" for none) when it must have ended, or "-", 9 the entry that its id
--       names or "", 10.. envelopes
-- Answer: {0} when the entry is not as it was seen or not due; {2} when nothing is pushed because the last
--       job has not ended; or {1, id...}
-- Guarantee: whoever else fires it, or dies here, each time is pushed once or not at all, and never before
--       the store's clock has reached its moment: the push and the step to the next time are one.
local record = redis.call('HGET', KEYS[1], ARGV[1])
local score = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]))
if not record or score ~= tonumber(ARGV[3]) then return { 0 } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < score then return { 0 } end
local cut = string.find(record, '\n', 1, true)
local state = cjson.decode(string.sub(record, 1, cut - 1))
if state.rev ~= tonumber(ARGV[2]) then return { 0 } end

local function goes_on(id, entry)
  if redis.call('HEXISTS', KEYS[6], id) == 1 then
    for i = 8, #KEYS do
      if redis.call('ZSCORE', KEYS[i], id) then return false end
    end
    return true
  end
  local redirect = redis.call('HGET', KEYS[7], id)
  if redirect then entry = string.match(redirect, '/(.*)$') end
  return entry ~= '' and #redis.call('XRANGE', KEYS[5], entry, entry) > 0
end

local answer = { 1 }
if ARGV[8] ~= '-' then
  -- It may have been run by hand in between; then the keys may be those of another queue.
  if (state.last_id or '') ~= ARGV[8] then return { 0 } end
  if ARGV[8] ~= '' and #ARGV > 9 and goes_on(ARGV[8], ARGV[9]) then answer[1] = 2 end
end
if answer[1] == 1 then
  for i = 10, #ARGV do
    answer[#answer + 1] = lane_push(ARGV[6], ARGV[i])
      or ARGV[6] .. '/' .. redis.call('XADD', KEYS[3], '*', 'j', ARGV[i])
  end
  if #answer > 1 then
    redis.call('ZADD', KEYS[4], 0, 'w')
    state.last, state.last_id = tonumber(ARGV[7]), answer[#answer]
  end
end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  state.due = tonumber(ARGV[4])
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(state) .. string.sub(record, cut))
return answer
