-- Adds ready jobs of one queue that have a priority or a key, each to its lane.
-- KEYS: 1 seq, 2 jobs, 3 wake
-- ARGV: 1 queue name, 2 "ids" to answer the ids or "count" to answer their number, then rank, key and envelope of each
-- Answer: list of ids, or the number added.
-- Guarantee: all of them are added, in order, and one wake mark is left for an idle worker.
local queue, count = ARGV[1], (#ARGV - 2) / 3
local last = redis.call('INCRBY', KEYS[1], count)
local ids, records, lanes, places = {}, {}, {}, {}
for i = 1, count do
  local rank, key, envelope = unpack(ARGV, 3 * i, 3 * i + 2)
  local number = last - count + i
  local id = queue .. '/s' .. whole(number)
  ids[i] = id
  records[#records + 1] = id
  records[#records + 1] = '{"state":"enqueued"}\n' .. envelope
  local lane = rank .. '/' .. key
  if not places[lane] then
    places[lane] = {}
    lanes[#lanes + 1] = { places[lane], tonumber(rank), key }
  end
  table.insert(places[lane], whole(number))
  table.insert(places[lane], id)
end
redis.call('HSET', KEYS[2], unpack(records))
for _, lane in ipairs(lanes) do lane_put(queue, lane[2], '', lane[3], unpack(lane[1])) end
redis.call('ZADD', KEYS[3], 0, 'w')
if ARGV[2] == 'ids' then return ids end
return count
