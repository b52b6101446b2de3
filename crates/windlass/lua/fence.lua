-- Part of other scripts: which of n (entry, count) pairs in ARGV from `first` on the consumer still holds.
-- The pairs are sorted by entry, so that one XPENDING over their range serves the whole batch. Answers those that are
-- held, those that are not, and of the held ones those that were delivered before.
local function fence(stream, consumer, first, n)
  local last = first + 2 * (n - 1)
  local limit = 2 * n + 100
  local page = redis.pcall('XPENDING', stream, 'w', ARGV[first], ARGV[last], limit, consumer)
  if page.err then
    if string.sub(page.err, 1, 7) ~= 'NOGROUP' then error(page.err) end
    page = {}
  end
  local count_of = {}
  for i = 1, #page do count_of[page[i][1]] = page[i][4] end
  local held, refused, again = {}, {}, {}
  for i = first, last, 2 do
    local entry = ARGV[i]
    local count = count_of[entry]
    if not count and #page == limit then
      -- The page was full, so what it does not show may still be there.
      local one = redis.call('XPENDING', stream, 'w', entry, entry, 1, consumer)[1]
      count = one and one[4]
    end
    if count == tonumber(ARGV[i + 1]) then
      held[#held + 1] = entry
      if count > 1 then again[#again + 1] = entry end
    else
      refused[#refused + 1] = entry
    end
  end
  return held, refused, again
end
