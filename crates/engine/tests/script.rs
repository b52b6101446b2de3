//! Scripts from the outside: what stops them, what they cannot reach, and what they leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_engine::{Config, Engine, ScriptGuard, SessionId, Time};
use windlass_resp::Value;

const NOW: Time = Time::from_millis(1_700_000_000_000);

/// Instructions that a test's script may run: enough for every loop here that ends by itself.
const INSTRUCTIONS_MAX: u64 = 4_000_000;

struct Client {
    engine: Engine,
    session: SessionId,
}

impl Client {
    fn new() -> Self {
        Self::with_budget(INSTRUCTIONS_MAX)
    }

    fn with_budget(instructions: u64) -> Self {
        let mut engine = Engine::new(Config { script_instructions_max: instructions, ..Config::default() });
        engine.effects().set_recording(true);
        let session = engine.open_session("test", NOW);
        Self { engine, session }
    }

    fn run(&mut self, args: &[&str]) -> Value {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        self.engine.execute(self.session, &args, NOW).reply.expect("nothing here waits")
    }

    fn eval(&mut self, script: &str) -> Value {
        self.run(&["EVAL", script, "0"])
    }

    #[track_caller]
    fn fails(&mut self, script: &str, part: &str) {
        match self.eval(script) {
            Value::Error(text) => assert!(text.contains(part), "{script} answered {text}"),
            other => panic!("{script} answered {other:?}"),
        }
        // Whatever happened, the next script finds everything in order.
        assert_eq!(self.eval("return redis.call('ping').ok .. #cjson.encode({1})"), Value::from("PONG3"));
    }

    #[track_caller]
    fn is_stopped(&mut self, script: &str) {
        self.fails(script, "Script killed");
    }
}

#[test]
fn endless_loops_are_stopped_whatever_catches_errors() {
    let mut client = Client::new();
    client.is_stopped("while true do end");
    client.is_stopped("while true do pcall(function() while true do end end) end");
    client.is_stopped("local function f() pcall(f) f() end f()");
    client.is_stopped("local function f() while true do pcall(f) end end f()");
    client.is_stopped("while true do xpcall(function() while true do end end, function() return 1 end) end");
    client.is_stopped("while true do coroutine.wrap(function() while true do end end)() end");
    client
        .is_stopped("while true do coroutine.resume(coroutine.create(function() while true do end end)) end");
    client.is_stopped("while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end");
    client.is_stopped("while true do redis.pcall('get', 'k') end");
    client.is_stopped("local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t)");
    client.is_stopped("return cjson.decode('[' .. string.rep('{},', 2^22) .. '1]')");
    client.is_stopped(
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) \
         while true do pcall(function() return t[1] end) end",
    );
}

/// Each of these takes far fewer instructions than it may, and far longer.
const LABOURS: [&str; 16] = [
    "local f = ('%9.9f '):rep(20) for i = 1, 5e4 do pcall(string.format, f, i, i, i, i, i, i) end",
    "for i = 1, 1e4 do local s = ('x'):rep(1e5) end",
    "local s = ('x'):rep(1e6) for i = 1, 1e4 do local t = s:upper() .. s:reverse() .. s:sub(2) end",
    "for i = 1, 1e4 do local s = string.char(('x'):rep(5000):byte(1, -1)) end",
    "return ('a'):rep(1000):find(('.-'):rep(6) .. 'b')",
    "return ('a'):rep(1000):match(('a*'):rep(8) .. 'b')",
    "return ('a'):rep(1e6):gsub('a-b', '')",
    "for part in ('(%b'):rep(1e5):gmatch('%b()') do return part end",
    "return ('a'):rep(3e4):find('(a*)%1%1b')",
    "local s = ('a'):rep(1e6) for i = 1, 1e4 do s:find('b', 1, true) end",
    "table.insert({}, -2^31 + 1, 1)",
    "local t = {} for i = 29, 0, -1 do t[2^i] = 1 end table.remove(t, 1)",
    "local t = {} for i = 29, 0, -1 do t[2^i] = 1 end table.foreachi(t, math.randomseed)",
    "local s, t = ('x'):rep(1e6), {} for i = 1, 1e4 do t[i] = s end table.sort(t)",
    "local t = {} for i = 1, 1e4 do t[i] = '' end for i = 1, 1e4 do table.concat(t) end",
    "while true do collectgarbage() end",
];

#[test]
fn a_call_counts_as_much_as_it_does() {
    let mut client = Client::with_budget(INSTRUCTIONS_MAX / 10);
    for script in LABOURS {
        client.is_stopped(script);
    }
    let digest = "local s = ('x'):rep(1e6) for i = 1, 1e4 do redis.sha1hex(s) end";
    let json = "local s = cjson.encode(('x'):rep(1e6)) for i = 1, 1e4 do cjson.decode(s) end";
    let pack = "local s = ('x'):rep(1e6) for i = 1, 1e4 do cmsgpack.unpack(cmsgpack.pack(s)) end";
    let layout = "local s = ('x'):rep(1e6) for i = 1, 1e4 do struct.pack(s) end";
    let parts = "local s = ('x'):rep(1e6) .. '\\0' for i = 1, 1e4 do struct.unpack('s', s) end";
    let source = "local s = ('x = 1 '):rep(1e5) for i = 1, 1e4 do loadstring(s) end";
    let number = "local s = (' '):rep(1e6) for i = 1, 1e4 do tonumber(s) end";
    for script in [digest, json, pack, layout, parts, source, number] {
        client.is_stopped(script);
    }
}

#[test]
fn a_guard_stops_a_script_in_the_midst_of_a_call() {
    let guard = Arc::new(Guard { patience: 3, ..Guard::default() });
    let mut client = Client::new();
    client.engine.guard_scripts(guard);
    for script in LABOURS {
        client.fails(script, "Script killed by user with SCRIPT KILL...");
    }
}

#[test]
fn what_passes_over_all_memory_is_looked_at_more_often() {
    // Each of these instructions takes milliseconds.
    let (mut client, _) = guarded(3);
    client.fails(
        "local s = ('x'):rep(2e7) local t while true do t = s .. 'x' end",
        "Script killed by user with SCRIPT KILL...",
    );
}

#[test]
fn a_script_that_has_written_is_not_stopped() {
    let mut client = Client::new();
    let script = "redis.call('set', 'k', 1) local n = 0 for i = 1, 6000000 do n = n + 1 end return n";
    assert_eq!(client.eval(script), Value::Integer(6_000_000));
}

#[test]
fn memory_has_a_limit_and_the_next_script_runs() {
    let mut client = Client::new();
    client.fails("local s = 'x' while true do s = s .. s end", "not enough memory");
    client.fails("return string.rep('x', 2^40)", "resulting string too large");
    client.fails(
        "local t = string.rep('x', 2^24) local all = {} for i = 1, 40 do all[i] = t end return all",
        "too large",
    );
    assert_eq!(client.eval("return string.rep('', 2^31 - 1)"), Value::from(""));
}

#[test]
fn deep_calls_do_not_take_the_whole_stack() {
    let mut client = Client::new();
    client.fails("local function f() return 1 + f() end return f()", "stack overflow");
    client.fails("local function f() coroutine.wrap(f)() end f()", "C stack overflow");
    client.fails("local function f() return (('x'):gsub('x', f)) end return f()", "C stack overflow");
    client.fails(
        "local t = setmetatable({}, {}) \
         getmetatable(t).__index = function() return (('x'):gsub('x', t)) end return t.x",
        "C stack overflow",
    );
    // Each coroutine starts a count of nested calls of its own: this is the deepest that both limits allow.
    client.fails(
        "local function deep(n) if n == 0 then return coroutine.wrap(deep)(90) end \
         local ok, err = pcall(deep, n - 1) if not ok then error(err, 0) end end deep(90)",
        "stack overflow",
    );
    client.fails("local t = {} t[1] = t return t", "reached lua stack limit");
    client.fails("local t = {} for i = 1, 40 do t = {t, t} end return t", "Script killed");
    client.fails("local t = {} t.map = {t} return t", "reached lua stack limit");
    client.fails("local t = {} t[1] = t return cjson.encode(t)", "excessive nesting");
    client.fails("return cjson.decode(string.rep('[', 100000))", "nested data structures");
    client.fails("return cmsgpack.unpack(string.rep('\\145', 100000))", "stack overflow");
    assert_eq!(
        client.eval("local t = {} for i = 1, 999 do t = {t} end return #cjson.encode(t)"),
        Value::Integer(2000)
    );
    assert!(matches!(client.eval("local t = 1 for i = 1, 199 do t = {t} end return t"), Value::Array(_)));
}

#[test]
fn patterns_take_no_stack() {
    let mut client = Client::new();
    let long = "return ('a'):rep(3e4):find(('a?'):rep(3e4))";
    assert_eq!(client.eval(long), Value::Integer(1));
    client.fails("return ('a'):rep(2e5):find(('a?'):rep(2e5))", "pattern too complex");
    client.fails("return ('a'):rep(40):find(('(a)'):rep(33))", "too many captures");
}

#[test]
fn ranges_that_overflow_are_refused() {
    let mut client = Client::new();
    client.fails("return {unpack({}, 0, 2147483647)}", "too many results to unpack");
    client.fails("return {unpack({}, -2147483648, 2147483647)}", "too many results to unpack");
    client.fails("return {unpack({}, 1, 1e15)}", "too many results to unpack");
    client.fails("return {('x'):rep(10000):byte(1, -1)}", "string slice too long");
    client.fails("return struct.pack('c2147483647', 'x')", "string too short");
    client.fails("return struct.pack('!2147483647i', 1)", "not a power of 2");
    client.fails("return struct.unpack('c2147483647', 'x')", "data string too short");
    client.fails("return struct.unpack('i4', 'abcd', 2^62)", "data string too short");
    client.fails("return cmsgpack.unpack('\\221\\255\\255\\255\\255\\1')", "Missing bytes");
    assert_eq!(client.eval("return bit.tohex(1, -2147483648)"), Value::from("00000001"));
}

#[test]
fn many_arguments_and_results_are_taken() {
    let mut client = Client::new();
    let script = "local t = {} for i = 1, 7000 do t[i] = 'v' .. i end \
                  redis.call('rpush', 'k', unpack(t)) return redis.call('llen', 'k')";
    assert_eq!(client.eval(script), Value::Integer(7000));
    assert_eq!(client.eval("return #redis.call('lrange', 'k', 0, -1)"), Value::Integer(7000));
    let argv: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let mut args = vec!["EVAL", "return {#ARGV, ARGV[20000]}", "0"];
    args.extend(argv.iter().map(String::as_str));
    assert_eq!(client.run(&args), Value::Array(vec![Value::Integer(20_000), Value::from("19999")]));
}

#[test]
fn nothing_leads_out_of_the_sandbox() {
    let mut client = Client::new();
    let absent = [
        "os", "io", "package", "debug", "require", "module", "dofile", "loadfile", "getfenv", "setfenv",
        "newproxy", "print",
    ];
    for name in absent {
        client.fails(&format!("return {name}"), "nonexistent global variable");
        assert_eq!(client.eval(&format!("return rawget(_G, '{name}')")), Value::Nil);
    }
    for code in ["'\\27Lua'", "string.dump(function() return 1 end)"] {
        assert_eq!(client.eval(&format!("return tostring((loadstring({code})))")), Value::from("nil"));
    }
    let script = "local code = '\\27Lua' \
                  return tostring((load(function() local piece = code code = nil return piece end)))";
    assert_eq!(client.eval(script), Value::from("nil"));
    // A name with a zero byte is cut there, so that it stays alive while the parser runs.
    assert_eq!(
        client.eval("local f, why = loadstring('x', 'name\\0' .. ('y'):rep(1000)) return why"),
        Value::from("[string \"name\"]:1: '=' expected near '<eof>'")
    );
    client.fails("return loadstring('os = 1')()", "Attempt to modify a readonly table");
}

#[test]
fn what_a_script_changes_no_other_sees() {
    let mut client = Client::new();
    let attempts = [
        "x = 1",
        "KEYS = 1",
        "_G.x = 1",
        "_G._G = 1",
        "redis.call = nil",
        "string.rep = nil",
        "cjson.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'call', 1)",
        "table.insert(redis, 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, nil)",
        "getmetatable('').__index = nil",
        "getmetatable('').__len = 1",
        "getmetatable(_G).__index = nil",
        "local _, t = pairs(redis) t.call = 1",
    ];
    for script in attempts {
        client.fails(script, "Attempt to modify a readonly table");
    }
    assert_eq!(client.eval("return #('x'):upper() + #redis"), Value::Integer(1));
    let script = "local n = 0 for _ in pairs(redis) do n = n + 1 end return n > 20";
    assert_eq!(client.eval(script), Value::Integer(1));
    client.eval("collectgarbage('stop')");
    client.eval("for i = 1, 1e5 do local t = {i} end");
    assert_eq!(client.eval("return collectgarbage('count') < 50000"), Value::Integer(1));
}

#[test]
fn formatting_is_checked() {
    let mut client = Client::new();
    client.fails("return string.format('%s')", "bad argument #2 to 'format' (no value)");
    client.fails("return string.format('%s', nil)", "string expected, got nil");
    client.fails("return string.format('%d', 'x')", "number expected");
    client.fails("return string.format('%123d', 1)", "invalid format");
    client.fails("return string.format('%y', 1)", "invalid option");
    assert_eq!(client.eval("return string.format('%5.1f|%q', 3.14159, 'a')"), Value::from("  3.1|\"a\""));
}

#[test]
fn protected_calls_return_however_many_values() {
    let mut client = Client::new();
    let protected = [
        "return {pcall(unpack, list)}",
        "return {xpcall(function() return unpack(list) end, error)}",
        "return {pcall(pcall, unpack, list)}",
    ];
    for (script, verdicts) in protected.into_iter().zip([1, 1, 2]) {
        for count in [0, 1, 17, 18, 19, 20, 21, 200] {
            let script = format!("local list = {{}} for i = 1, {count} do list[i] = i end {script}");
            let values = (0..verdicts).map(|_| 1).chain(1..=count).map(Value::Integer).collect();
            assert_eq!(client.eval(&script), Value::Array(values), "{script}");
        }
    }
    let failed = "return {tostring(pcall(error, 'x')), select(2, xpcall(error, function() return 'y' end))}";
    assert_eq!(client.eval(failed), Value::Array(vec![Value::from("false"), Value::from("y")]));
    client.fails("pcall()", "bad argument #1 to 'pcall' (value expected)");
}

#[test]
fn numbers_and_words_are_arguments_wherever_they_stand() {
    let mut client = Client::new();
    client.eval("redis.call('RPUSH', 'list', 1, 'a', -2.5, 'b', 1e15, 12345678, '', 0.1, -0)");
    let list = ["1", "a", "-2.5", "b", "1000000000000000", "12345678", "", "0.10000000000000001", "-0"];
    assert_eq!(client.run(&["LRANGE", "list", "0", "-1"]), Value::Array(list.map(Value::from).into()));
    let many = "local list = {} for i = 1, 100 do list[i] = i % 2 == 0 and i or 'w' .. i end \
        redis.call('RPUSH', 'many', unpack(list)) return redis.call('LRANGE', 'many', 0, -1)";
    let words = (1..=100).map(|i| if i % 2 == 0 { i.to_string() } else { format!("w{i}") });
    assert_eq!(client.eval(many), Value::Array(words.map(|word| Value::from(&*word)).collect()));
}

#[test]
fn errors_are_tables_and_strings_and_never_anything_else() {
    let mut client = Client::new();
    let strings = [
        "local ok, err = pcall(redis.call, 'nosuch') return type(err)",
        "local ok, err = pcall(cjson.decode, '[') return type(err)",
        "local ok, err = pcall(struct.unpack, 'i4', '') return type(err)",
        "local f = coroutine.wrap(function() cjson.decode('[') end) local ok, err = pcall(f) return type(err)",
    ];
    for script in strings {
        assert_eq!(client.eval(script), Value::from("string"), "{script}");
    }
    let tables = [
        "local ok, err = xpcall(function() redis.call('nosuch') end, function(err) return err end) return type(err)",
        "local ok, err = coroutine.resume(coroutine.create(function() redis.call('nosuch') end)) return type(err)",
    ];
    for script in tables {
        assert_eq!(client.eval(script), Value::from("table"), "{script}");
    }
    // A table without `err` takes a real server down.
    client.fails("error({code = 1})", "ERR unknown error");
}

#[test]
fn the_effects_of_a_script_are_one_group_and_lead_to_the_same_state() {
    let mut client = Client::new();
    let script = "redis.call('set', 'k', 'v', 'PX', 1000) redis.call('select', 3) \
                  redis.call('rpush', 'list', 1, 2) return redis.call('incr', 'n')";
    assert_eq!(client.eval(script), Value::Integer(1));
    let log = String::from_utf8(client.engine.effects().take()).expect("the log is text here");
    let words: Vec<&str> = log.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
    assert_eq!(
        words.join(" ").trim(),
        "SELECT 0 MULTI SET k v PXAT 1700000001000 SELECT 3 rpush list 1 2 incr n EXEC",
    );
    assert_eq!(client.run(&["GET", "n"]), Value::Nil);
}

#[test]
fn random_numbers_come_from_the_seed() {
    let draw =
        |client: &mut Client| client.eval("return {math.random(1000), math.random(1, 6), math.random(9)}");
    assert_eq!(draw(&mut Client::new()), draw(&mut Client::new()));
    // What a real server draws.
    assert_eq!(Client::new().eval("math.randomseed(5) return math.random(1, 100)"), Value::Integer(53));
}

#[test]
fn more_scripts_than_lua_has_room_for_are_kept() {
    let mut client = Client::new();
    let load = |number: i64| client.run(&["SCRIPT", "LOAD", &format!("return {number}")]);
    let digests: Vec<Value> = (0..9000).map(load).collect();
    for (number, digest) in digests.iter().enumerate().step_by(500) {
        let Value::Bulk(digest) = digest else { panic!("SCRIPT LOAD answered {digest:?}") };
        let digest = std::str::from_utf8(digest).expect("a digest is hexadecimal");
        assert_eq!(client.run(&["EVALSHA", digest, "0"]), Value::from(number));
    }
}

#[test]
fn memory_at_its_limit_refuses_the_first_write_and_no_later_one() {
    let mut engine = Engine::new(Config { memory_max: 1, ..Config::default() });
    let session = engine.open_session("test", NOW);
    let mut eval = |script: &str| engine.execute(session, &[b"EVAL", script.as_bytes(), b"0"], NOW).reply;
    assert_eq!(eval("#!lua flags=allow-oom\nreturn redis.call('set', 'k', ('v'):rep(100))"), Some(Value::OK));
    let refused = eval("redis.call('set', 'k', 'v') return 1").expect("it does not wait");
    assert!(matches!(&refused, Value::Error(text) if text.starts_with("OOM ")), "{refused:?}");
    let undeclared = eval("#!lua\nreturn 1").expect("it does not wait");
    assert!(matches!(&undeclared, Value::Error(text) if text.starts_with("OOM ")), "{undeclared:?}");
    let script = "redis.call('del', 'none') return redis.call('set', 'k', ('v'):rep(200))";
    assert_eq!(eval(script), Some(Value::OK));
}

/// Stops scripts when it was asked so often, and counts what it hears.
#[derive(Default)]
struct Guard {
    patience: u64,
    begun: AtomicU64,
    asked: AtomicU64,
    writes: AtomicU64,
    ended: AtomicU64,
}

impl Guard {
    fn heard(&self) -> (u64, u64, u64) {
        let [begun, writes, ended] =
            [&self.begun, &self.writes, &self.ended].map(|count| count.load(Ordering::Relaxed));
        (begun, writes, ended)
    }

    fn is_impatient(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= self.patience
    }
}

impl ScriptGuard for Guard {
    fn begin(&self, _: Option<&[&[u8]]>) {
        self.asked.store(0, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn is_to_stop(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.is_impatient()
    }

    fn may_write(&self) -> bool {
        self.writes.fetch_add(1, Ordering::Relaxed);
        !self.is_impatient()
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn guarded(patience: u64) -> (Client, Arc<Guard>) {
    let guard = Arc::new(Guard { patience, ..Guard::default() });
    let mut client = Client::new();
    client.engine.guard_scripts(guard.clone());
    (client, guard)
}

#[test]
fn a_guard_stops_a_script_whatever_it_catches() {
    let (mut client, guard) = guarded(3);
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do redis.pcall('get', 'k') end",
        "local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end",
    ] {
        client.fails(script, "Script killed by user with SCRIPT KILL...");
    }
    let (begun, writes, ended) = guard.heard();
    assert_eq!((begun, writes), (ended, 0));
}

#[test]
fn a_script_that_has_written_runs_on_against_its_guard() {
    let (mut client, guard) = guarded(3);
    let reply = client.eval("redis.call('set', 'k', 1) for i = 1, 1e6 do end return redis.call('incr', 'k')");
    assert_eq!(reply, Value::Integer(2));
    assert!(guard.is_impatient());
    assert_eq!(guard.heard(), (1, 1, 1), "it is asked about the first write only");
}

#[test]
fn a_script_that_is_to_stop_does_not_write_any_more() {
    let (mut client, guard) = guarded(0);
    client.engine.effects().set_recording(true);
    client.fails(
        "redis.pcall('set', 'k', 1) redis.pcall('set', 'k', 2)",
        "Script killed by user with SCRIPT KILL...",
    );
    assert_eq!(client.run(&["EXISTS", "k"]), Value::Integer(0));
    assert!(client.engine.effects().is_empty());
    assert_eq!(guard.heard(), (2, 1, 2), "nor is it asked again");
}
