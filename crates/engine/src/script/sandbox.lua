-- What scripts see of Lua.
--
-- Gets: a table of native functions and libraries. Answers: `run(script, keys, argv)`, which calls a compiled script
-- and answers its result; `call(callback, keys, argv)`, the same for a function of a library; `compile(source, name)`,
-- which answers a function, or nil and why not; `parts`, what `functions.lua` builds on.
--
-- Guarantees: nothing that a script does changes what another one sees. Globals, libraries and the metatable of
-- strings are read-only: scripts get an empty table in place of each, whose metatable finds the real one. (Redis
-- has a patched Lua with a read-only flag; this is plain Lua 5.1.) Nothing reaches files, the process, or bytecode.
-- Functions of C in which plain Lua 5.1 can run for ever or out of the C stack have a limit here.

local native = ...

local error, getmetatable, next, pairs, rawget, rawset = error, getmetatable, next, pairs, rawget, rawset
local select, setfenv, setmetatable, tonumber, type, unpack = select, setfenv, setmetatable, tonumber, type, unpack
local loadstring, collectgarbage = loadstring, collectgarbage
-- Lua's own leave no room on the stack beside many results.
local pcall, xpcall = native.pcall, native.xpcall
local byte, gsub, match, rep = string.byte, string.gsub, string.match, string.rep
local concat, insert = table.concat, table.insert
local create, resume = coroutine.create, coroutine.resume
local unwrap = native.unwrap

local STRING_MAX = native.string_max
-- Values that `unpack` may put on the stack of a function of C, which has room for 8000 with its arguments.
local UNPACK_MAX = 8000
-- Coroutines within coroutines, and calls of functions from within `gsub`: each may take much of the C stack.
local DEPTH_MAX = 8

local READONLY = "Attempt to modify a readonly table"

-- The real table of each that is shown in its place.
local guarded = {}

local function refuse()
  error(READONLY, 2)
end

-- A read-only view of `real`.
local function guard(real)
  local view = setmetatable({}, { __index = real, __newindex = refuse })
  guarded[view] = real
  return view
end

local function bad_argument(position, name, expected, value)
  local found = value == nil and "no value" or type(value)
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, name, expected, found), 3)
end

-- Globals ------------------------------------------------------------------------------------------------------------

local globals = { _VERSION = _VERSION, KEYS = {}, ARGV = {} }
for _, name in ipairs({
  "assert", "error", "gcinfo", "ipairs", "rawequal", "select", "tonumber", "tostring", "type",
}) do
  globals[name] = _G[name]
end

setmetatable(globals, {
  __index = function(_, name)
    local text = "Script attempted to access nonexistent global variable '%s'"
    error(text:format(type(name) == "string" and name or type(name)), 2)
  end,
})

local environment = guard(globals)
globals._G = environment

local function library(from)
  local copy = {}
  for name, value in pairs(from) do
    copy[name] = value
  end
  return copy
end

local strings, tables, coroutines = library(string), library(table), library(coroutine)
local maths = library(math)
maths.random, maths.randomseed = native.random, native.randomseed

-- Errors -------------------------------------------------------------------------------------------------------------

-- As in Redis, a caught error table gives its text.
local function caught(ok, err, ...)
  if ok then
    return true, err, ...
  end
  if type(err) == "userdata" then
    err = unwrap(err)
  end
  if type(err) == "table" then
    local text = rawget(err, "err")
    if type(text) == "string" then
      err = text
    end
  end
  return false, err
end

function globals.pcall(...)
  return caught(pcall(...))
end

function globals.xpcall(called, handler)
  return xpcall(called, function(err)
    if type(err) == "userdata" then
      err = unwrap(err)
    end
    return handler(err)
  end)
end

-- Depth --------------------------------------------------------------------------------------------------------------

-- Lua 5.1 bounds calls of C within one coroutine, but not coroutines within coroutines.
local depth = 0

local function deeper()
  if depth >= DEPTH_MAX then
    error("C stack overflow", 3)
  end
  depth = depth + 1
end

local function resumed(ok, err, ...)
  depth = depth - 1
  if not ok and type(err) == "userdata" then
    err = unwrap(err)
  end
  return ok, err, ...
end

function coroutines.resume(...)
  deeper()
  return resumed(resume(...))
end

local function wrapped(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  error((...), 3)
end

function coroutines.wrap(called)
  local thread = create(called)
  return function(...)
    deeper()
    return wrapped(resume(thread, ...))
  end
end

local function substituted(ok, ...)
  depth = depth - 1
  if ok then
    return ...
  end
  error((...), 0)
end

function strings.gsub(text, pattern, by, count)
  local kind = type(by)
  if kind == "string" or kind == "number" then
    return gsub(text, pattern, by, count)
  end
  deeper()
  return substituted(pcall(gsub, text, pattern, by, count))
end

-- Limits -------------------------------------------------------------------------------------------------------------

function strings.rep(text, count)
  local length, times = #text, tonumber(count)
  if times and length * times > STRING_MAX then
    error("resulting string too large", 2)
  end
  return length == 0 and "" or rep(text, count)
end

function globals.unpack(list, first, last)
  if type(list) ~= "table" then
    bad_argument(1, "unpack", "table", list)
  end
  -- Its own arguments take room as well.
  local given = last and 3 or first and 2 or 1
  first, last = first or 1, last or #list
  -- Written so that what is no number, in whatever way, is refused as well.
  if not (last - first < UNPACK_MAX - given) then
    error("too many results to unpack", 2)
  end
  if given == 1 then
    return unpack(list)
  elseif given == 2 then
    return unpack(list, first)
  end
  return unpack(list, first, last)
end

function globals.collectgarbage(option, argument)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    return collectgarbage(option or "collect", argument)
  end
  -- How memory is collected is not for a script to decide.
  if option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
    return 0
  end
  error(("bad argument #1 to 'collectgarbage' (invalid option '%s')"):format(tostring(option)), 2)
end

-- Tables, which may be views -----------------------------------------------------------------------------------------

function globals.next(list, key)
  if type(list) ~= "table" then
    bad_argument(1, "next", "table", list)
  end
  return next(guarded[list] or list, key)
end

function globals.pairs(list)
  if type(list) ~= "table" then
    bad_argument(1, "pairs", "table", list)
  end
  return guarded[list] and globals.next or next, list, nil
end

function globals.rawget(list, key)
  if type(list) ~= "table" then
    bad_argument(1, "rawget", "table", list)
  end
  return rawget(guarded[list] or list, key)
end

local function writable(list, name)
  if type(list) ~= "table" then
    error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, list == nil and "no value" or type(list)), 3)
  end
  if guarded[list] then
    error(READONLY, 0)
  end
end

function globals.rawset(list, key, value)
  writable(list, "rawset")
  return rawset(list, key, value)
end

function globals.setmetatable(list, metatable)
  writable(list, "setmetatable")
  return setmetatable(list, metatable)
end

local environment_metatable = guard({})
local string_metatable = guard({ __index = false })

function globals.getmetatable(value)
  if value == environment then
    return environment_metatable
  elseif type(value) == "string" then
    return string_metatable
  elseif value ~= nil and guarded[value] then
    return nil
  end
  return getmetatable(value)
end

function tables.insert(list, ...)
  writable(list, "insert")
  return insert(list, ...)
end

-- Code ---------------------------------------------------------------------------------------------------------------

-- `name` is cut at a zero byte: the parser keeps no reference to the name of its own making, and it is the string
-- held here that keeps it alive. A space before what would be bytecode makes it text.
local function compile(source, name)
  name = match(name, "^[^%z]*")
  if byte(source) == 27 then
    source = " " .. source
  end
  local code, message = loadstring(source, name)
  if code then
    setfenv(code, environment)
  end
  return code, message
end

function globals.loadstring(source, name)
  if type(source) ~= "string" then
    bad_argument(1, "loadstring", "string", source)
  end
  return compile(source, type(name) == "string" and name or source)
end

function globals.load(reader, name)
  if type(reader) ~= "function" then
    bad_argument(1, "load", "function", reader)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    elseif type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
  return compile(concat(pieces), type(name) == "string" and name or "=(load)")
end

-- Libraries ----------------------------------------------------------------------------------------------------------

globals.string, globals.table, globals.math = guard(strings), guard(tables), guard(maths)
globals.coroutine = guard(coroutines)
for name, functions in pairs(native.libraries) do
  globals[name] = guard(functions)
end
getmetatable("").__index = strings
guarded[string_metatable].__index = globals.string

local function run(script, keys, argv)
  depth = 0
  globals.KEYS, globals.ARGV = keys, argv
  return script()
end

local function call(callback, keys, argv)
  depth = 0
  globals.KEYS, globals.ARGV = nil, nil
  return callback(keys, argv)
end

local parts = { globals = globals, guarded = guarded, guard = guard, refuse = refuse, compile = compile }
return run, call, compile, parts
