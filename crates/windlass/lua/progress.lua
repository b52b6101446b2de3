-- Notes how far a running job is, or a line of its log.
-- KEYS: 1 stream, 2 progress of the job
-- ARGV: 1 consumer, 2 entry, 3 delivery count, 4 percent or "" to leave it, 5 message, 6 line of the log or "",
--       7 how many notes are kept, 8 their life in ms
-- Answer: 1, or 0 when the consumer does not hold the job any more.
-- Guarantee: every note carries the latest percent and message, so that the last one tells how far the job is,
--       however many lines of the log push others out.
if #fence(KEYS[1], ARGV[1], 2, 1) == 0 then return 0 end
local percent, message = ARGV[4], ARGV[5]
if percent == '' then
  percent, message = '0', ''
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  if last then
    for i = 1, #last[2], 2 do
      if last[2][i] == 'p' then percent = last[2][i + 1] end
      if last[2][i] == 'm' then message = last[2][i + 1] end
    end
  end
end
local note = { 'p', percent, 'm', message }
if ARGV[6] ~= '' then note[5], note[6] = 'l', ARGV[6] end
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[7], '*', unpack(note))
redis.call('PEXPIRE', KEYS[2], ARGV[8])
return 1
