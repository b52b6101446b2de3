//! Files and values in Redis's form: what is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_engine::rdb::{Error, Reader, Record, Writer};
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

fn records(mut file: &[u8]) -> Result<Vec<Record>, Error> {
    let mut reader = Reader::open(&mut file)?;
    std::iter::from_fn(|| reader.next_record().transpose()).collect()
}

/// The records as `windlass export` writes them.
fn write(records: &[Record]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file);
    for record in records {
        match record {
            Record::Library(library) => writer.write_library(library),
            Record::Key(saved) => writer.write(saved).expect("what was read is written"),
        }
    }
    writer.finish().expect("a vector takes all");
    file
}

/// What says which record it is; members of a collection may come in another order.
fn name(record: &Record) -> (&[u8], Option<(u64, Option<u64>)>) {
    match record {
        Record::Library(library) => (library.source(), None),
        Record::Key(saved) => (&saved.key, Some((saved.db, saved.expires_ms))),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let file = [b"REDIS0010", bytes].concat();
    if let Ok(read) = records(&file) {
        let again = records(&write(&read)).expect("what was written is read");
        assert!(again.iter().map(name).eq(read.iter().map(name)));
    }
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
