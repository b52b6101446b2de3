-- Part of other scripts: what is stored of a job, read in such a way that nothing which stands there can stop a move.

-- Takes a record apart into its history, as text, and its envelope. One without a line end is all envelope.
local function record_split(record)
  local cut = string.find(record, '\n', 1, true)
  if not cut then return '{}', record end
  return string.sub(record, 1, cut - 1), string.sub(record, cut + 1)
end

-- The state that a set is for.
local function set_state(set) return string.match(set, '[^:]*$') end

local function is_count(number)
  return number == nil or (type(number) == 'number' and number >= 0 and number == math.floor(number))
end

-- A history as a table that can be written again. One that cannot be read counts as empty, and an error says what stood
-- there; its state is that of `set`, in which the job is, if it is in one.
local function history_read(text, set)
  local is_json, history = pcall(cjson.decode, text)
  -- What is infinite can be read and not written.
  if is_json and type(history) == 'table' and is_count(history.attempts) and pcall(cjson.encode, history) then
    return history
  end
  local time, message = redis.call('TIME'), 'its history could not be read'
  local seen = string.gsub(string.sub(text, 1, 200), '[^\32-\126]', '?')
  local problem = { class = 'History', message = message .. ': ' .. seen, attempt = 0, worker = '' }
  problem.at = time[1] * 1000 + math.floor(time[2] / 1000)
  return { state = set and set_state(set) or 'enqueued', reason = message, errors = { problem } }
end

-- Takes a record apart: the history that was read, and the envelope.
local function record_read(record, set)
  local history, envelope = record_split(record)
  return history_read(history, set), envelope
end

local function has_ended(history)
  return history.state == 'dead' or history.state == 'discarded' or history.state == 'cancelled'
end
