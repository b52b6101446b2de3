//! MessagePack in scripts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_fuzz::check_round_trip;

fuzz_target!(|bytes: &[u8]| check_round_trip(bytes, "cmsgpack.unpack", "cmsgpack.pack"));
