-- Part of the exchange with a queue that has lanes or rules: what comes back from workers that are gone. It begins anew, under
-- the rules that there are now; what it held of limits it holds still.
local SUSPECTS, SUSPECT_PAGES, LOOK_AGAIN = 20, 10, 1000

-- The job of an entry: its id, its envelope and history, what it holds, and the limits that it is under.
local function regain_job(stream, queue, entry)
  local found, fields = redis.call('XRANGE', stream, entry, entry)[1], {}
  for i = 1, found and #found[2] or 0, 2 do fields[found[2][i]] = found[2][i + 1] end
  local envelope = fields.j or ''
  local job = { envelope = envelope, history = fields.s, id = fields.i or (queue .. '/' .. entry), limits = {} }
  job.holds = redis.call('HGET', base .. 'permits:' .. queue, job.id) or ''
  local rank, key = lane_asked(envelope)
  job.rank, job.key, job.kind = rank or RANK_DEFAULT, key or '', ''
  local kind = rule_of('kinds') and kind_of(envelope) or ''
  local limit = kind ~= '' and limit_of('kind:' .. kind, rule_of('kind:' .. kind))
  if limit then job.kind, job.limits[1] = kind, limit end
  if job.key ~= '' then
    local rule
    limit, rule = key_limit(queue, job.key)
    job.limits[#job.limits + 1] = limit
    job.order = rule and rule.order and limit
  end
  job.limits[#job.limits + 1] = queue_limit(queue) or nil
  return job
end

-- Whether more is held of a limit than its cap allows, which is lower than it was.
local function is_overfull(limit) return limit.cap and limit.count + limit.took > limit.cap end

-- Whether a limit lets a job begin. What it holds is counted already.
local function limit_regains(limit, job)
  if not limit.is_held or not is_among(limit.name, job.holds) then return limit_room(limit) > 0 end
  if limit.rule.paused or is_overfull(limit) then return false end
  return not limit.open_until or limit.probe == job.id or limit_may_try(limit)
end

-- The first limit for which a job has to wait.
local function regain_barrier(job)
  for _, limit in ipairs(job.limits) do
    if not limit_regains(limit, job) then return limit end
  end
  return nil
end

-- A job begins anew.
local function regain_take(queue, job)
  local names, more = job.holds, 0
  for _, limit in ipairs(job.limits) do
    names, more = limit_begin(limit, job.id, names)
    limit.took = limit.took + more
  end
  if names ~= job.holds then redis.call('HSET', base .. 'permits:' .. queue, job.id, names) end
end

-- A job that has to wait goes back into a lane, in front, with its attempts; one whose key keeps an order keeps its place.
local function regain_wait(stream, queue, item, job)
  local history = job.history and history_read(job.history) or {}
  history.state = 'enqueued'
  if item[4] > 0 then history.attempts = (history.attempts or 0) + item[4] end
  redis.call('XACK', stream, 'w', item[1])
  redis.call('XDEL', stream, item[1])
  redis.call('HDEL', base .. 'moved', job.id)
  local order = job.order
  local keeps = order and is_among(order.name, job.holds) and not is_overfull(order) and order.name
  -- What it gives back is there for the others that come back.
  limits_write()
  permits_release(queue, { job.id }, keeps)
  redis.call('HSET', base .. 'jobs', job.id, cjson.encode(history) .. '\n' .. job.envelope)
  local lane = lane_put(queue, job.rank, job.order and '' or job.kind, job.key, keeps and PLACE_HELD or 0, job.id)
  local member = keeps and redis.call('HGET', base .. 'waits:' .. queue, lane)
  if member then lane_go_on(lane, member) end
end

-- Whether rules limit anything in a queue beside how many of its jobs are active.
local function has_limits(queue)
  local own = rule_of('queue:' .. queue)
  return rule_of('kinds') or rule_of('keys:' .. queue) or rule_of('key:' .. queue) or (own and own.rate)
end

-- The first suspect that may be claimed, as a list, and whether there may be others.
local function rules_suspect(stream)
  local queue, from = rules_queue(stream), '-'
  for page = 1, SUSPECT_PAGES do
    local pending = redis.call('XPENDING', stream, 'w', from, '+', SUSPECTS, '~suspect')
    for _, item in ipairs(pending) do
      local job = has_limits(queue) and regain_job(stream, queue, item[1])
      local barrier = job and regain_barrier(job)
      if not barrier then
        if job then regain_take(queue, job) end
        limits_write()
        return { item }, page > 1 or #pending > 1
      end
      if is_overfull(barrier) then
        limits_write()
        permits_release(queue, { job.id })
      end
      if not barrier.rule.paused then limit_sleep(barrier.name, limit_next(barrier) or rule_now + LOOK_AGAIN) end
    end
    if #pending < SUSPECTS then return {}, page > 1 or #pending > 0 end
    from = '(' .. pending[#pending][1]
  end
  return {}, true
end

-- Of recovered entries those that may be claimed.
local function rules_recovered(stream, pending)
  local queue, fit = rules_queue(stream), {}
  if not has_limits(queue) then return pending end
  for _, item in ipairs(pending) do
    local job = regain_job(stream, queue, item[1])
    if regain_barrier(job) then
      regain_wait(stream, queue, item, job)
    else
      regain_take(queue, job)
      fit[#fit + 1] = item
    end
  end
  limits_write()
  return fit
end
