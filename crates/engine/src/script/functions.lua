-- How the code of a library of functions is loaded.
--
-- Gets: the table of native functions and libraries, and the parts of the sandbox. Answers: `load(code, name)`, which runs
-- the code of a library and answers a list of what it registered, or nil and why not.
--
-- Guarantee: while it is loaded the code finds `redis.register_function`, the log and the version, and nothing else; the
-- functions that it registered find what scripts find, when they are called.

local native, parts = ...

local error, getmetatable, ipairs, pairs = error, getmetatable, ipairs, pairs
local rawget, select = rawget, select
local setfenv, setmetatable, tostring, type = setfenv, setmetatable, tostring, type
local match = string.match
local pcall, unwrap = native.pcall, native.unwrap
local globals, guarded, guard, refuse, compile = parts.globals, parts.guarded, parts.guard, parts.refuse, parts.compile
local missing = getmetatable(globals)

local loading = setmetatable({}, missing)
local scope = { __index = loading, __newindex = refuse }
local environment = setmetatable({}, scope)
guarded[environment] = globals

-- What the code that is loaded has registered.
local registered

local function require_that(condition, text)
  if not condition then
    error({ err = "ERR " .. text })
  end
end

-- As in Redis, a number will do for a string.
local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

local read = {
  function_name = function(item, value)
    require_that(is_text(value), "function_name argument given to redis.register_function must be a string")
    item.name = tostring(value)
  end,
  description = function(item, value)
    require_that(is_text(value), "description argument given to redis.register_function must be a string")
    item.description = tostring(value)
  end,
  callback = function(item, value)
    require_that(type(value) == "function", "callback argument given to redis.register_function must be a function")
    item.callback = value
  end,
  flags = function(item, value)
    require_that(
      type(value) == "table",
      "flags argument to redis.register_function must be a table representing function flags"
    )
    for _, flag in ipairs(value) do
      require_that(native.function_flags[flag], "unknown flag given")
      item.flags[#item.flags + 1] = flag
    end
  end,
}

local function register(...)
  local count, first, second = select("#", ...), ...
  require_that(registered, "redis.register_function can only be called on FUNCTION LOAD command")
  require_that(count == 1 or count == 2, "wrong number of arguments to redis.register_function")
  local item = { flags = {} }
  if count == 1 then
    require_that(
      type(first) == "table",
      "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments)."
    )
    for name, value in pairs(first) do
      require_that(is_text(name), "named argument key given to redis.register_function is not a string")
      require_that(read[name], "unknown argument given to redis.register_function")
      read[name](item, value)
    end
    require_that(item.name, "redis.register_function must get a function name argument")
    require_that(item.callback, "redis.register_function must get a callback argument")
  else
    require_that(is_text(first), "first argument to redis.register_function must be a string")
    require_that(type(second) == "function", "second argument to redis.register_function must be a function")
    item.name, item.callback = tostring(first), second
  end
  native.check_name(item.name)
  for _, other in ipairs(registered) do
    require_that(other.name ~= item.name, "Function already exists in the library")
  end
  registered[#registered + 1] = item
end

do
  local shown = { register_function = register }
  for name, value in pairs(native.libraries.redis) do
    if name == "log" or match(name, "^LOG_") or match(name, "^REDIS_VERSION") then
      shown[name] = value
    end
  end
  loading.redis = guard(setmetatable(shown, missing))
end

local function load(code, name)
  local run_once, message = compile(code, name)
  if not run_once then
    return nil, "Error compiling function: " .. message
  end
  setfenv(run_once, environment)
  registered, scope.__index = {}, loading
  local ok, err = pcall(run_once)
  local list = registered
  registered, scope.__index = nil, globals
  if ok then
    return list
  end
  if type(err) == "userdata" then
    err = unwrap(err)
  end
  local text = type(err) == "table" and rawget(err, "err") or "ERR " .. tostring(err)
  return nil, "Error registering functions: " .. text
end

return load
