-- Part of the exchange with a queue that has lanes or rules: what comes back from workers that are gone.
local SUSPECTS = 10

-- The fields of an entry by their names.
local function entry_fields(stream, entry)
  local found, fields = redis.call('XRANGE', stream, entry, entry)[1], {}
  for i = 1, found and #found[2] or 0, 2 do fields[found[2][i]] = found[2][i + 1] end
  return fields
end

local function is_paused(fields)
  local rule = rule_of('kind:' .. kind_of(fields.j or ''))
  return rule and rule.paused
end

-- The first suspect that may be claimed, as a list, and whether there may be others.
local function rules_suspect(stream)
  local pending = redis.call('XPENDING', stream, 'w', '-', '+', SUSPECTS, '~suspect')
  for _, item in ipairs(pending) do
    if not rule_of('kinds') or not is_paused(entry_fields(stream, item[1])) then return { item }, #pending > 1 end
  end
  return {}, #pending > 0
end

-- Of recovered entries those that may be claimed: none of a kind that is paused. Such a one goes back into a lane, in
-- front, with its attempts.
local function rules_recovered(stream, pending)
  if not rule_of('kinds') then return pending end
  local queue, fit = rules_queue(stream), {}
  for _, item in ipairs(pending) do
    local fields = entry_fields(stream, item[1])
    if not fields.j or not is_paused(fields) then
      fit[#fit + 1] = item
    else
      local id = fields.i or (queue .. '/' .. item[1])
      local history = fields.s and history_read(fields.s) or {}
      history.state = 'enqueued'
      if item[4] > 0 then history.attempts = (history.attempts or 0) + item[4] end
      redis.call('XACK', stream, 'w', item[1])
      redis.call('XDEL', stream, item[1])
      redis.call('HDEL', base .. 'moved', id)
      permits_release(queue, { id })
      redis.call('HSET', base .. 'jobs', id, cjson.encode(history) .. '\n' .. fields.j)
      local rank, key = lane_asked(fields.j)
      lane_put(queue, rank or RANK_DEFAULT, kind_of(fields.j), key or '', 0, id)
    end
  end
  return fit
end
