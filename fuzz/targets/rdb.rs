//! Files and values in Redis's form: what is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_engine::{Config, Engine};
use windlass_fuzz::Fuzzed;

fn load(mut file: &[u8]) -> Option<Engine> {
    let mut engine = Engine::new(Config::default());
    engine.load_rdb(&mut file).ok()?;
    Some(engine)
}

fn save(engine: &Engine) -> Vec<u8> {
    let mut file = Vec::new();
    engine.save_rdb(&mut file).expect("a vector takes all");
    file
}

fuzz_target!(|bytes: &[u8]| {
    let file = [b"REDIS0010", bytes].concat();
    if let Some(engine) = load(&file) {
        let saved = save(&engine);
        let again = load(&saved).expect("what was written is read");
        assert_eq!(save(&again).len(), saved.len());
    }
    // The value of a key, as somebody else dumped it; the checksum of a version 10 is all that is added.
    let mut fuzzed = Fuzzed::default();
    fuzzed.call(&[b"RESTORE", b"key", b"0", bytes]);
    fuzzed.call(&[b"DUMP", b"key"]);
});
