-- Renews the leases of one worker in one queue.
-- KEYS: 1 stream
-- ARGV: 1 consumer, 2 number of jobs, then (entry, delivery count) of each, sorted by entry
-- Answer: list of the entries whose lease is lost.
-- Guarantee: only what the consumer still holds is renewed; nothing is taken back from another.
local held, lost = fence(KEYS[1], ARGV[1], 3, tonumber(ARGV[2]))
if #held > 0 then
  held[#held + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], 'w', ARGV[1], 0, unpack(held))
end
return lost
