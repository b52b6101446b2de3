-- Ends jobs of one queue that succeeded.
-- KEYS: 1 stream, 2 moved, 3 suspect, 4 stats, 5.. result stream of each extra
-- ARGV: 1 consumer, 2 number of jobs, then (entry, delivery count) of each, sorted by entry,
--       then extras in turn: entry, id when the job has a redirect or "", life of its result in ms or "0", result JSON
-- Answer: list of the entries that were refused because the consumer does not hold them any more.
-- Guarantee: a job that is held ends once, with its result; a job that is not held is not touched.
local n = tonumber(ARGV[2])
local held, refused = fence(KEYS[1], ARGV[1], 3, n)
if #held == 0 then return refused end
redis.call('XACK', KEYS[1], 'w', unpack(held))
redis.call('XDEL', KEYS[1], unpack(held))
redis.call('HINCRBY', KEYS[4], 'completed', #held)
local first = 3 + 2 * n
if ARGV[first] then
  local is_held = {}
  for i = 1, #held do is_held[held[i]] = true end
  local result = 5
  for i = first, #ARGV, 4 do
    if is_held[ARGV[i]] then
      redis.call('HDEL', KEYS[3], ARGV[i])
      if ARGV[i + 1] ~= '' then redis.call('HDEL', KEYS[2], ARGV[i + 1]) end
      if ARGV[i + 2] ~= '0' then
        redis.call('XADD', KEYS[result], '*', 'state', 'completed', 'v', ARGV[i + 3])
        redis.call('PEXPIRE', KEYS[result], ARGV[i + 2])
      end
    end
    result = result + 1
  end
end
return refused
