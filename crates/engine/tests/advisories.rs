//! What was published as a way to break Redis by a script or a pattern, one test for each advisory: the engine lives,
//! answers as it should, and answers the next call, too.

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;

const NOW: Time = Time::from_millis(1_700_000_000_000);

struct Client {
    engine: Engine,
    session: SessionId,
}

impl Client {
    fn new() -> Self {
        let mut engine = Engine::new(Config::default());
        let session = engine.open_session("test", NOW);
        Self { engine, session }
    }

    fn run(&mut self, args: &[&[u8]]) -> Value {
        self.engine.execute(self.session, args, NOW).reply.expect("nothing here waits")
    }

    /// Runs a script, then another that finds everything in order.
    fn eval(&mut self, script: &str) -> Value {
        let reply = self.run(&[b"EVAL", script.as_bytes(), b"0"]);
        let next = b"return redis.call('ping').ok .. #cjson.encode({1}) .. ('x'):upper() .. tostring(nil)";
        assert_eq!(self.run(&[b"EVAL", next, b"0"]), Value::from("PONG3Xnil"), "after {script}");
        reply
    }

    #[track_caller]
    fn fails(&mut self, script: &str, part: &str) {
        match self.eval(script) {
            Value::Error(text) => assert!(text.contains(part), "{script} answered {text}"),
            other => panic!("{script} answered {other:?}"),
        }
    }
}

/// The package of Debian left `package` in the sandbox, and with it the way to any library of the system.
#[test]
fn cve_2022_0543_no_library_is_loaded_from_a_script() {
    let mut client = Client::new();
    let library = "/usr/lib/x86_64-linux-gnu/liblua5.1.so.0";
    let load =
        format!("local io = package.loadlib('{library}', 'luaopen_io')() return io.popen('id'):read('*a')");
    client.fails(&load, "nonexistent global variable 'package'");
    for name in ["require('io')", "module('x')", "io.popen('id')", "os.execute('id')", "debug.getregistry()"]
    {
        client.fails(&format!("return {name}"), "nonexistent global variable");
    }
    client.fails("return string.gmatch('x', 'x').package", "attempt to index");
}

/// A width of -2^31 has no positive counterpart, and so passed the check of the buffer's length.
#[test]
fn cve_2024_31449_tohex_takes_any_width() {
    let mut client = Client::new();
    assert_eq!(client.eval("return bit.tohex(65535, -2147483648)"), Value::from("0000FFFF"));
    assert_eq!(client.eval("return bit.tohex(65535, 2147483647)"), Value::from("0000ffff"));
    assert_eq!(client.eval("return bit.tohex(65535, -2147483649)"), Value::from("0000ffff"));
    assert_eq!(client.eval("return bit.tohex(65535, 0)"), Value::from(""));
}

/// Collectors of user data ran while the Lua state was closed, and touched what was freed.
#[test]
fn cve_2024_46981_no_finalizer_of_a_script_runs_when_the_state_is_closed() {
    let mut client = Client::new();
    client.fails(
        "local p = newproxy(true) getmetatable(p).__gc = function() end",
        "nonexistent global variable",
    );
    // A finalizer on a table is none in Lua 5.1, and user data of ours has no metatable that a script can reach.
    let script = "local t = setmetatable({}, {__gc = function(t) redis.call('set', 'leaked', '1') t.x = t end}) \
                  for i = 1, 1000 do setmetatable({t}, getmetatable(t)) end collectgarbage() return 1";
    for _ in 0..20 {
        assert_eq!(client.eval(script), Value::Integer(1));
        assert_eq!(client.run(&[b"SCRIPT", b"FLUSH", b"SYNC"]), Value::OK);
    }
    assert_eq!(client.run(&[b"EXISTS", b"leaked"]), Value::Integer(0));
    let script =
        "local ok, err = pcall(redis.call, 'nosuch') return type(err) .. tostring(getmetatable(err).__gc)";
    assert_eq!(client.eval(script), Value::from("stringnil"));
}

/// The name of a chunk was not held while it was parsed: a collection in the midst of it freed the name.
#[test]
fn cve_2025_49844_a_collection_while_a_chunk_is_parsed_frees_nothing_that_is_in_use() {
    let mut client = Client::new();
    // Every name is new and known to the parser alone, and every constant an allocation at which the collector may run.
    let script = "collectgarbage('setpause', 0) collectgarbage('setstepmul', 5000) \
                  for i = 1, 20 do \
                    local code = {} \
                    for j = 1, 400 do code[j] = ('\"%d-%d-%s\"'):format(i, j, ('x'):rep(50)) end \
                    local source = 'return {' .. table.concat(code, ',') .. '}' \
                    local f = assert(loadstring(source, '@' .. ('n'):rep(i * 10) .. i)) \
                    assert(#f() == 400) \
                    local bad, why = loadstring('x = = ' .. i, '@' .. ('m'):rep(i % 50) .. i) \
                    assert(bad == nil and why:find(('m'):rep(i % 50) .. i, 1, true)) \
                    assert(load(function() local piece = source source = nil return piece end, '=p' .. i)) \
                  end return 1";
    assert_eq!(client.eval(script), Value::Integer(1));
    // The same with scripts of their own, which the engine compiles.
    for number in 0..50 {
        let constants: Vec<String> = (0..200).map(|constant| format!("'{number}-{constant}'")).collect();
        let script = format!("return #{{{}}}", constants.join(","));
        assert_eq!(client.run(&[b"EVAL", script.as_bytes(), b"0"]), Value::Integer(200));
    }
}

/// The count of values that `unpack` was to return overflowed, and the check of the stack passed.
#[test]
fn cve_2025_46817_unpack_checks_its_range() {
    let mut client = Client::new();
    for range in [
        "0, 2147483647",
        "-2147483648, 2147483647",
        "-2147483648, -1",
        "1, 1e300",
        "-1e300, 1e300",
        "0/0, 1",
        "1, 0/0",
        "-1/0, 1/0",
        "'-2147483648', '2147483647'",
        "2147483647 - 8000, 2147483647",
    ] {
        client.fails(&format!("return {{unpack({{1,2,3}}, {range})}}"), "too many results to unpack");
    }
    assert_eq!(client.eval("return {unpack({1, 2, 3}, 2)}"), Value::Array(vec![2_i64.into(), 3_i64.into()]));
    assert_eq!(client.eval("return #{unpack({1, 2, 3}, 5, 1)}"), Value::Integer(0));
}

/// Metatables of the basic types belong to everybody: what one user put there ran in the scripts of another.
#[test]
fn cve_2025_46818_the_metatables_of_basic_types_are_read_only() {
    let mut client = Client::new();
    for event in ["__index", "__add", "__call", "__len", "__concat", "__eq"] {
        let script = format!("getmetatable('').{event} = function() return 'theirs' end return 1");
        client.fails(&script, "Attempt to modify a readonly table");
        client.fails(&format!("rawset(getmetatable(''), '{event}', print) return 1"), "");
    }
    for value in ["nil", "true", "1", "function() end", "coroutine.create(function() end)"] {
        assert_eq!(client.eval(&format!("return tostring(getmetatable({value}))")), Value::from("nil"));
        client.fails(&format!("setmetatable({value}, {{__index = function() end}})"), "bad argument #1");
    }
    client.fails("string.upper = function() return 'theirs' end", "Attempt to modify a readonly table");
}

/// The parser read beyond a chunk whose long string or comment was opened by very many equals signs.
#[test]
fn cve_2025_46819_long_brackets_end_with_the_chunk() {
    let mut client = Client::new();
    for opening in ["[", "--[", "return ["] {
        for count in [1, 1000, 1_000_000] {
            let script = format!("{opening}{}", "=".repeat(count));
            let reply = client.run(&[b"EVAL", script.as_bytes(), b"0"]);
            let is_comment = opening.starts_with("--");
            assert_eq!(reply.is_error(), !is_comment, "{opening} and {count} signs");
        }
    }
    client.fails("return loadstring('return [' .. ('='):rep(100000))()", "attempt to call a nil value");
}

/// Lengths in `cjson` and `cmsgpack` were counted in 32 bits.
#[test]
fn cve_2022_24834_long_texts_are_encoded_whole_or_not_at_all() {
    let mut client = Client::new();
    let script = "local text = ('\\1'):rep(2000000) return #cjson.encode({text})";
    assert_eq!(client.eval(script), Value::Integer(2_000_000 * 6 + 4));
    client.fails("local t = ('x'):rep(100000000) return #cjson.encode({t, t, t, t, t, t})", "");
    client.fails("return cmsgpack.pack(unpack({}, 1, 100000))", "too many results");
}

/// A pattern with many stars was matched by recursion, and by as many steps as the stars allow.
#[test]
fn cve_2024_31228_a_pattern_is_matched_without_depth() {
    let mut client = Client::new();
    let key = "a".repeat(100);
    client.run(&[b"SET", key.as_bytes(), b"1"]);
    let pattern = "*a".repeat(50_000);
    assert_eq!(client.run(&[b"KEYS", pattern.as_bytes()]), Value::Array(Vec::new()));
    let pattern = format!("{}b", "*a".repeat(60));
    assert_eq!(client.run(&[b"KEYS", pattern.as_bytes()]), Value::Array(Vec::new()));
    let pattern = format!("{}*", "*a".repeat(60));
    assert_eq!(client.run(&[b"KEYS", pattern.as_bytes()]), Value::Array(vec![Value::from(&*key)]));
}
