//! Patterns of keys, of channels and of users.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_fuzz::Fuzzed;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says where the pattern ends and the key begins.
    let Some((&at, rest)) = bytes.split_first() else { return };
    let (pattern, key) = rest.split_at(rest.len().min(usize::from(at)));
    let mut fuzzed = Fuzzed::default();
    fuzzed.call(&[b"SET", key, b"value"]);
    fuzzed.call(&[b"KEYS", pattern]);
    fuzzed.call(&[b"SCAN", b"0", b"MATCH", pattern]);
    fuzzed.call(&[b"ACL", b"SETUSER", b"other", b"~", pattern]);
    fuzzed.call(&[b"CONFIG", b"GET", pattern]);
});
