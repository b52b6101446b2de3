-- Adds ready jobs of one queue that have a priority or a key, each to its lane.
-- KEYS: 1 seq, 2 jobs, 3 wake
-- ARGV: 1 queue name, 2 "ids" to answer the ids or "count" to answer their number, then rank, key and envelope of each
-- Answer: list of ids, or the number added.
-- Guarantee: all of them are added, in order, and one wake mark is left for an idle worker.
local HISTORY = '{"state":"enqueued"}\n'
local queue, count = ARGV[1], (#ARGV - 2) / 3
local last = redis.call('INCRBY', KEYS[1], count)
local ids, records, lanes, known = {}, {}, {}, {}
local rank, key, lane
for i = 1, count do
  local at = 3 * i
  -- The jobs of one call mostly go the same way.
  if ARGV[at] ~= rank or ARGV[at + 1] ~= key then
    rank, key = ARGV[at], ARGV[at + 1]
    lane = known[rank .. '/' .. key]
    if not lane then
      lane = { rank = tonumber(rank), key = key, size = 0 }
      known[rank .. '/' .. key], lanes[#lanes + 1] = lane, lane
    end
  end
  local number = whole(last - count + i)
  local id = queue .. '/s' .. number
  ids[i] = id
  records[2 * i - 1], records[2 * i] = id, HISTORY .. ARGV[at + 2]
  local size = lane.size
  lane[size + 1], lane[size + 2], lane.size = number, id, size + 2
end
redis.call('HSET', KEYS[2], unpack(records))
for _, lane in ipairs(lanes) do lane_put(queue, lane.rank, '', lane.key, unpack(lane)) end
redis.call('ZADD', KEYS[3], 0, 'w')
if ARGV[2] == 'ids' then return ids end
return count
