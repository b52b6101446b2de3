//! MessagePack in scripts: what is read can be written, and is then read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_fuzz::Fuzzed;
use windlass_resp::Value;

const SCRIPT: &[u8] = b"
local is_read, value = pcall(cmsgpack.unpack, ARGV[1])
if not is_read then return 'no' end
local is_written, text = pcall(cmsgpack.pack, value)
if not is_written then return 'no' end
local again = cmsgpack.pack(cmsgpack.unpack(text))
return #again == #text and 'same' or 'other'";

fuzz_target!(|bytes: &[u8]| {
    let reply = Fuzzed::default().call(&[b"EVAL", SCRIPT, b"0", bytes]);
    // Its budget may end a script.
    assert!(reply.is_error() || reply == Value::from("no") || reply == Value::from("same"), "{reply:?}");
});
