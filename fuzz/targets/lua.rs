//! Scripts: whatever they are, they end, and leave nothing behind for those that come after.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_fuzz::Fuzzed;
use windlass_resp::Value;

/// What a script of another user sees of the world. No address is in it: a script that used up its memory takes the state
/// of Lua with it, and in the next one functions are elsewhere.
const PROBE: &[u8] = b"
local seen = {}
for name, value in pairs(_G) do seen[#seen + 1] = name .. type(value) end
table.sort(seen)
local is_lua = pcall(string.dump, ('x').upper)
return table.concat(seen, ' ') .. ('x'):upper() .. tostring(is_lua) .. tostring(getmetatable('').__index == string)";

fuzz_target!(|bytes: &[u8]| {
    let mut fuzzed = Fuzzed::default();
    // One call of these takes half a gigabyte, which is what it should.
    fuzzed.call(&[b"ACL", b"SETUSER", b"default", b"-setrange", b"-setbit", b"-bitfield"]);
    let before = fuzzed.call(&[b"EVAL", PROBE, b"0"]);
    assert!(matches!(before, Value::Bulk(_)), "{before:?}");
    fuzzed.call(&[b"EVAL", bytes, b"1", b"key", b"argument"]);
    fuzzed.call(&[b"EVAL_RO", bytes, b"0"]);
    assert_eq!(fuzzed.call(&[b"EVAL", PROBE, b"0"]), before);
});
