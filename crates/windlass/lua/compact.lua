-- Rebuilds the stream of one queue whose nodes are mostly holes: Redis gives the memory of a stream back by whole nodes,
-- so that a slow job keeps that of all who were pushed beside it.
-- KEYS: 1 stream, 2 where the new one is built
-- ARGV: 1 how many nodes a stream has at least that is rebuilt, 2 how many times what its entries need they can hold then
-- Answer: {nodes before, nodes after}; {nodes} when the stream was left as it is
-- Guarantee: entries, their ids, and what is pending under whom, since when and how many times are as before, so that every
--       holder's token holds; so are the last id and what the group has read. A consumer with nothing pending goes (its
--       next taking makes it again), and so does what is pending without an entry. A stream that is large, expires, or has
--       groups of others is left alone. Whatever fails, the stream is as it was and nothing else is there.
-- A node of Redis's default size.
local NODE_BYTES = 4096
-- What an entry takes beside its fields and values, and each of those.
local ENTRY_BYTES, FIELD_BYTES = 24, 3
-- What may be copied in one step, for it holds everybody up: 1,000 entries of 250 bytes take about 10 ms, and twice that on
-- a machine that is busy.
local ENTRIES_MAX, BYTES_MAX, FIELDS_MAX = 2000, 4 * 1024 * 1024, 256
local PIECE_ENTRIES, PIECE_PENDING, CLAIM_MAX = 32, 1000, 500
local stream, fresh = KEYS[1], KEYS[2]

local function named(flat)
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  return info
end

local function look(key)
  local info = redis.pcall('XINFO', 'STREAM', key)
  if not info.err then return named(info) end
  if string.find(info.err, 'no such key', 1, true) then return { length = 0, ['radix-tree-keys'] = 0 } end
  error(info.err)
end

local info = look(stream)
local nodes, length = info['radix-tree-keys'], info.length
local untouched = { nodes }
if nodes < tonumber(ARGV[1]) or length == 0 or length > ENTRIES_MAX then return untouched end
local groups = redis.call('XINFO', 'GROUPS', stream)
local group = groups[1] and named(groups[1])
if #groups ~= 1 or group.name ~= 'w' or group.pending > ENTRIES_MAX then return untouched end
if redis.call('PTTL', stream) >= 0 then return untouched end

-- The entries, read in pieces, and only while it seems to pay.
local worth = math.min(BYTES_MAX, nodes * NODE_BYTES / tonumber(ARGV[2]))
local entries, is_there, bytes, from = {}, {}, 0, '-'
repeat
  local piece = redis.call('XRANGE', stream, from, '+', 'COUNT', PIECE_ENTRIES)
  for i = 1, #piece do
    local id, fields = piece[i][1], piece[i][2]
    if #fields > FIELDS_MAX then return untouched end
    bytes = bytes + ENTRY_BYTES + FIELD_BYTES * #fields
    for j = 1, #fields do bytes = bytes + #fields[j] end
    entries[#entries + 1] = piece[i]
    is_there[id] = true
    from = '(' .. id
  end
  -- The first ones tell of the others, roughly: a dense queue is not read to its end each time.
  if bytes > worth or bytes * length > 2 * worth * #entries then return untouched end
until #piece < PIECE_ENTRIES

-- What is pending alike is claimed at once. Redis takes the time anew for each command, so the one at which an entry was
-- delivered is reckoned from that of the look, not passed on as an idle time.
local function claim_all()
  local claims, claim_of, from = {}, {}, '-'
  repeat
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local page = redis.call('XPENDING', stream, 'w', from, '+', PIECE_PENDING)
    for i = 1, #page do
      local id, consumer, idle, count = unpack(page[i])
      if is_there[id] then
        local name = now - idle .. ' ' .. count .. ' ' .. consumer
        local claim = claim_of[name]
        if not claim or #claim.ids == CLAIM_MAX then
          claim = { consumer = consumer, at = now - idle, count = count, ids = {} }
          claims[#claims + 1], claim_of[name] = claim, claim
        end
        claim.ids[#claim.ids + 1] = id
      end
      from = '(' .. id
    end
  until #page < PIECE_PENDING
  for i = 1, #claims do
    local claim = claims[i]
    local args = claim.ids
    for _, arg in ipairs({
      'TIME', string.format('%.0f', claim.at), 'RETRYCOUNT', string.format('%.0f', claim.count), 'FORCE', 'JUSTID',
    }) do
      args[#args + 1] = arg
    end
    redis.call('XCLAIM', fresh, 'w', claim.consumer, 0, unpack(args))
  end
end

local function build()
  for i = 1, #entries do redis.call('XADD', fresh, entries[i][1], unpack(entries[i][2])) end
  -- Redis 6.2 neither knows nor keeps these counts.
  if info['entries-added'] then
    redis.call('XSETID', fresh, info['last-generated-id'], 'ENTRIESADDED',
      string.format('%.0f', info['entries-added']), 'MAXDELETEDID', info['max-deleted-entry-id'])
  else
    redis.call('XSETID', fresh, info['last-generated-id'])
  end
  local read = group['entries-read']
  if read then
    redis.call('XGROUP', 'CREATE', fresh, 'w', group['last-delivered-id'], 'ENTRIESREAD', string.format('%.0f', read))
  else
    redis.call('XGROUP', 'CREATE', fresh, 'w', group['last-delivered-id'])
  end
  claim_all()
  redis.call('RENAME', fresh, stream)
end

redis.call('DEL', fresh)
local is_built, problem = pcall(build)
if not is_built then
  redis.pcall('DEL', fresh)
  return redis.error_reply(type(problem) == 'table' and problem.err or tostring(problem))
end
return { nodes, look(stream)['radix-tree-keys'] }
