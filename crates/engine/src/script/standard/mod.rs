//! Lua's own functions, counted: for Lua a call of one is an instruction, however much it does.
//!
//! This is the one place where what they do is counted in the budget of a script, in proportion, so that the budget, the limit
//! of time and SCRIPT KILL hold in the midst of their work. What is done in one go and ends is called as it is and counted
//! before or after; what may go on for ever is written anew and counts as it goes, in `string`, `matcher` and `table`. What takes
//! no time to speak of is left alone. So is what takes at most as long as passing over all that the script has in memory, as
//! `next`, `..` and `<` do: the hook looks the more often the more that is.
//!
//! Unsafe by the rules that `bridge` states: a function here may leave by a long jump and holds no value with a
//! destructor.
#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_CFunction, lua_State};
use mlua::{Function, Lua, Table};

use super::convert::text;
use super::hook::{self, BYTES_PER_INSTRUCTION};
use super::push::raise_stopped;

mod matcher;
mod string;
mod table;

/// What a call counts that does a little, but far more than an instruction.
const CALL_COST: u64 = 10;

/// What the collector takes for a kilobyte in use.
const COLLECT_COST: u64 = 50;

/// What a character of a format and of a source count.
const FORMAT_COST: u64 = 4;
const SOURCE_COST: u64 = 2;

/// What replaces which function. What it forwards to, Lua's own, is kept beside it.
const STRING: [(&str, lua_CFunction); 14] = [
    ("find", string::find),
    ("match", string::first_match),
    ("gmatch", string::gmatch),
    ("gfind", string::gmatch),
    ("gsub", string::gsub),
    ("format", format),
    ("rep", counted),
    ("sub", counted),
    ("lower", counted),
    ("upper", counted),
    ("reverse", counted),
    ("byte", counted),
    ("char", counted),
    ("dump", counted),
];
const TABLE: [(&str, lua_CFunction); 5] = [
    ("insert", table::insert),
    ("remove", table::remove),
    ("foreachi", table::foreachi),
    ("concat", table::concat),
    ("sort", table::sort),
];
const GLOBAL: [(&str, lua_CFunction); 5] = [
    ("unpack", counted),
    ("tostring", tostring),
    ("tonumber", tonumber),
    ("loadstring", loadstring),
    ("collectgarbage", collectgarbage),
];

/// Replaces Lua's own functions in a fresh state.
pub fn install(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    for (library, functions) in
        [(globals.get("string")?, &STRING[..]), (globals.get("table")?, &TABLE), (globals, &GLOBAL)]
    {
        let library: Table = library;
        for (name, function) in functions {
            let own: Function = library.raw_get(*name)?;
            // SAFETY: Lua's own function is on the stack, from which the new one takes it.
            let counting: Function =
                unsafe { lua.exec_raw(own, |state| ffi::lua_pushcclosure(state, *function, 1))? };
            library.raw_set(*name, counting)?;
        }
    }
    Ok(())
}

/// Counts, or stops the script by an error.
unsafe fn spend(state: *mut lua_State, instructions: u64) {
    if !hook::spend(instructions) {
        // SAFETY: who calls is called by Lua with the state that runs.
        unsafe { raise_stopped(state) }
    }
}

/// Counts the results on the top of the stack and the text that they are.
unsafe fn spend_results(state: *mut lua_State, count: c_int) {
    // SAFETY: as in `spend`; there are as many results.
    unsafe {
        let bytes = |place: c_int| text(state, -place).map_or(0, <[u8]>::len);
        let made: usize = (1..=count).map(bytes).sum();
        spend(state, count as u64 + (made / BYTES_PER_INSTRUCTION) as u64);
    }
}

/// The length of the text that is the first argument.
unsafe fn given(state: *mut lua_State) -> u64 {
    // SAFETY: as in `spend`; what is no argument is no text.
    unsafe { text(state, 1).map_or(0, <[u8]>::len) as u64 }
}

/// Calls Lua's own function with the same arguments, as if it had been called itself.
unsafe fn forward(state: *mut lua_State) -> c_int {
    // SAFETY: as in `spend`; `install` put the function there, which needs nothing beside it.
    unsafe {
        let own = ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1));
        own.expect("it is a function of C")(state)
    }
}

unsafe extern "C-unwind" fn counted(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        let count = forward(state);
        spend_results(state, count);
        count
    }
}

unsafe extern "C-unwind" fn format(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        spend(state, given(state) * FORMAT_COST);
        counted(state)
    }
}

unsafe extern "C-unwind" fn tostring(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        spend(state, CALL_COST);
        forward(state)
    }
}

unsafe extern "C-unwind" fn tonumber(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        spend(state, given(state) / BYTES_PER_INSTRUCTION as u64);
        forward(state)
    }
}

unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        spend(state, given(state) * SOURCE_COST);
        forward(state)
    }
}

unsafe extern "C-unwind" fn collectgarbage(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the state that runs.
    unsafe {
        if text(state, 1) != Some(b"count") {
            spend(state, ffi::lua_gc(state, ffi::LUA_GCCOUNT, 0) as u64 * COLLECT_COST);
        }
        forward(state)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tells what the functions of patterns answer, errors included.
    const TELL: &str = "
        local text, pattern, by = ...
        local told = {}
        local function tell(...)
            told[#told + 1] = select('#', ...)
            for at = 1, select('#', ...) do told[#told + 1] = tostring((select(at, ...))) end
        end
        tell(pcall(string.find, text, pattern))
        tell(pcall(string.find, text, pattern, -2))
        tell(pcall(string.find, text, pattern, 2, true))
        tell(pcall(string.match, text, pattern, 2))
        tell(pcall(string.gsub, text, pattern, by))
        tell(pcall(string.gsub, text, pattern, '%1-%0', 2))
        tell(pcall(string.gsub, text, pattern, { a = 'A', ab = 1, b = false, [1] = {} }))
        tell(pcall(string.gsub, text, pattern, function(...) tell(...) return (...) end))
        tell(pcall(function() for one, other in string.gmatch(text, pattern) do tell(one, other) end end))
        return table.concat(told, '|')";

    const PARTS: [&str; 36] = [
        "a", "b", ".", "%a", "%D", "%s", "%W", "%z", "%x", "%p", "[ab]", "[^a]", "[a-c%d]", "[]]", "[^%s-]",
        "%b()", "%b", "%f[%w]", "%f", "(", ")", "()", "(a", "*", "+", "-", "?", "^", "$", "%1", "%2", "%",
        "[", "]", "1", "\0",
    ];

    fn plain_and_counting() -> [Lua; 2] {
        hook::start(u64::MAX, None, None);
        let pair = [Lua::new(), Lua::new()];
        install(&pair[1]).unwrap();
        pair
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn patterns_find_what_those_of_lua_find(
            text in "[ab1 ()\\x00-]{0,10}",
            pattern in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8),
            by in "[a%012]{0,4}",
        ) {
            let told = |lua: &Lua| {
                let told: mlua::LuaString = lua.load(TELL).call((&*text, pattern.concat(), &*by)).unwrap();
                told.as_bytes().to_vec()
            };
            let [plain, counting] = plain_and_counting();
            prop_assert_eq!(told(&plain), told(&counting));
        }
    }

    #[test]
    fn tables_and_texts_are_treated_as_by_lua() {
        let pair = plain_and_counting();
        for code in [
            "local t = {1, 2, 3} table.insert(t, 2, 'x') table.insert(t, 9) return table.concat(t, ',')",
            "local t = {1, 2, 3} table.insert(t, 6, 'x') return t[6], #t",
            "local t = {1, 2, 3} table.insert(t, -1, 'x') return t[-1], t[0], t[1], t[4]",
            "table.insert({}) return 1",
            "table.insert({}, 1, 2, 3) return 1",
            "table.insert(1, 2) return 1",
            "table.insert({}, 'x', 2) return 1",
            "local t = {1, 2, 3} return table.remove(t, 1), table.remove(t), table.concat(t, ',')",
            "local t = {1, 2, 3} return table.remove(t, 0), table.remove(t, 4), #t, select('#', table.remove({}))",
            "table.remove() return 1",
            "return table.foreachi({1, 2, 3}, function(at, one) if one == 2 then return at, one end end)",
            "table.foreachi({}, 1) return 1",
            "return table.concat({1, 'a', 2.5}, ', ', 2, 3), table.concat({}), table.concat({1}, ',', 2, 1)",
            "return table.concat({1, {}, 3}, ',')",
            "return table.concat({1}, ',', 1, 2)",
            "return table.concat({1}, {})",
            "return table.concat('x')",
            "local t = {3, 1, 2} table.sort(t) return table.concat(t, ',')",
            "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t, ',')",
            "local t = {'b', 'a', 'c'} table.sort(t, nil) return table.concat(t, ',')",
            "local t = {} for i = 1, 20 do t[i] = ('x'):rep(300) .. i * 7 % 20 end table.sort(t) return table.concat(t)",
            "local t = {} for i = 1, 11000 do t[i] = i * 7 % 11 end table.sort(t) return table.concat(t)",
            "table.sort({1, 'a'}) return 1",
            "table.sort({{}, {}}) return 1",
            "table.sort({1, 2}, 3) return 1",
            "table.sort() return 1",
            "table.sort({3, 2, 1}, rawequal) return 1",
            "return ('x'):rep(3), ('abc'):sub(2), ('abc'):byte(1, -1), string.char(65, 66), ('Ab'):upper()",
            "return string.format('%5.1f|%q|%s', 1.25, 'a', 'b')",
            "return string.format('%d', 'x')",
            "return ('x'):rep()",
            "return string.char(256)",
            "return unpack({1, 2, 3}, 2)",
            "return tostring(1.5), tostring(nil), tonumber('0x10'), tonumber('z', 36), tonumber('  12  ')",
            "return tostring()",
            "return tonumber()",
            "return loadstring('return 1')(), loadstring('x x', 'name')",
            "return type(collectgarbage('count')), collectgarbage('step', 1) ~= nil, collectgarbage()",
            "return collectgarbage('x')",
            "return ('x'):find({})",
            "return ('x'):find()",
            "return ('x'):gsub('x')",
            "return ('x'):gsub('x', 'y', {})",
            "return ('x'):gsub('x', function() return {} end)",
            "return ('x'):gmatch()",
            "return (1):find(1)",
            "return string.find(121, 2), string.gsub(121, 1, 3), string.match(121, 2)",
        ] {
            let [plain, counting] = [0, 1].map(|at| {
                let tell = "local told = {pcall(...)} for at = 1, 9 do told[at] = tostring(told[at]) end
                    return table.concat(told, '|')";
                let run = pair[at].load(code).set_name("=code").into_function();
                run.and_then(|run| pair[at].load(tell).call::<String>(run))
                    .unwrap_or_else(|error| error.to_string())
            });
            assert_eq!(plain, counting, "{code}");
        }
    }
}
