//! Directories with snapshots of Redis's: as a base, at the start of a log file, alone.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};
use windlass_db::{Config, Database, EngineConfig, Error, Time};
use windlass_engine::Engine;

use crate::directory::open_error;
use crate::fault::TestDisk;
use crate::store::{Content, assert_same, content, ok, open, open_on};

const FILL: [&str; 9] = [
    "SET text before",
    "SET ended 1 PX 5",
    "SET lasting 1 PXAT 4000000000000",
    "RPUSH list a b 3",
    "ZADD zset 1.5 a 2 b",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me STREAMS stream >",
    "HSET hash f v",
];

/// A snapshot, and the content that it leads to.
fn snapshot() -> (Vec<u8>, Content) {
    let mut engine = Engine::new(EngineConfig::default());
    let time = Time::from_millis(1_600_000_000_000);
    let session = engine.open_session("test", time);
    let memory = Database::memory(Config::default()).unwrap();
    let twin = memory.session("test");
    for line in FILL {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = engine.execute(session, &words, time).reply.unwrap();
        assert!(!reply.is_error(), "{line}: {reply:?}");
        if !line.contains("ended") {
            ok(&twin, line);
        }
    }
    let mut file = Vec::new();
    engine.save_rdb(&mut file).unwrap();
    (file, content(&memory))
}

fn record(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    windlass_resp::encode_command(words, &mut bytes);
    bytes
}

/// A directory whose log has this base alone.
fn with_base(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let folder = directory.path().join("appendonlydir");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
    fs::write(folder.join("appendonly.aof.manifest"), format!("file {name} seq 1 type b\n")).unwrap();
    (directory, folder.join(name))
}

/// A directory with this one file.
fn with_file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_base_of_rdb_is_taken_and_gone_on_from() {
    let (snapshot, expected) = snapshot();
    let (directory, _) = with_base("appendonly.aof.1.base.rdb", &snapshot);
    let (database, recovery) = open(directory.path());
    assert_eq!((recovery.keys, recovery.records), (7, 0));
    // What ended long ago is there until the clock is looked at.
    assert_same(&content(&database), &expected, "opened");
    ok(&database.session("test"), "APPEND text -after");
    let after = content(&database);
    drop(database);
    let (database, recovery) = open(directory.path());
    assert_eq!(recovery.cut, None);
    assert_same(&content(&database), &after, "opened again");
    database.compact().unwrap();
    drop(database);
    assert_same(&content(&open(directory.path()).0), &after, "compacted");
    assert!(!names(&directory.path().join("appendonlydir")).iter().any(|name| name.ends_with(".rdb")));
}

#[test]
fn records_follow_a_snapshot_in_one_file() {
    let (snapshot, mut expected) = snapshot();
    let records = [record(&[b"SELECT", b"0"]), record(&[b"SET", b"text", b"after"])].concat();
    let (directory, _) = with_base("appendonly.aof", &[&snapshot[..], &records].concat());
    let (database, recovery) = open(directory.path());
    assert_eq!((recovery.keys, recovery.records), (7, 2));
    let twin = Database::memory(Config::default()).unwrap();
    ok(&twin.session("test"), "SET text after");
    expected.extend(content(&twin));
    assert_same(&content(&database), &expected, "opened");
}

#[test]
fn a_snapshot_alone_becomes_the_base_of_a_log() {
    let (snapshot, expected) = snapshot();
    let (directory, path) = with_file("dump.rdb", &snapshot);
    let (database, recovery) = open(directory.path());
    assert_eq!(recovery.keys, 7);
    assert_same(&content(&database), &expected, "opened");
    ok(&database.session("test"), "SET text after");
    let after = content(&database);
    drop(database);
    // It stays as it was, and is not looked at again.
    assert_eq!(fs::read(&path).unwrap(), snapshot);
    fs::write(&path, b"something else").unwrap();
    let (database, recovery) = open(directory.path());
    assert_eq!(recovery.keys, 0);
    assert_same(&content(&database), &after, "opened again");
}

#[test]
fn a_log_of_one_file_becomes_the_base_of_a_log() {
    let (snapshot, _) = snapshot();
    let torn = b"*3\r\n$3\r\nSET\r\n$4\r\ntext\r\n$4\r\nha";
    let whole = [&snapshot[..], &record(&[b"SET", b"text", b"after"])].concat();
    let (directory, path) = with_file("appendonly.aof", &[&whole[..], torn].concat());
    let (database, recovery) = open(directory.path());
    assert_eq!(ok(&database.session("test"), "GET text"), "after".into());
    let cut = recovery.cut.unwrap();
    assert_eq!((cut.file, cut.offset, cut.bytes), (path.clone(), whole.len() as u64, torn.len() as u64));
    let before = content(&database);
    drop(database);
    assert_same(&content(&open(directory.path()).0), &before, "opened again");

    fs::write(directory.path().join("dump.rdb"), &snapshot).unwrap();
    fs::remove_dir_all(directory.path().join("appendonlydir")).unwrap();
    let error = open_error(directory.path());
    assert!(matches!(&error, Error::Foreign { .. }), "{error}");
    assert!(!directory.path().join("appendonlydir").exists());
}

#[test]
fn a_crash_at_any_step_of_taking_a_snapshot_loses_nothing() {
    let (snapshot, expected) = snapshot();
    let steps = {
        let (directory, _) = with_file("dump.rdb", &snapshot);
        let disk = TestDisk::default();
        drop(open_on(directory.path(), &disk, Config::default()));
        disk.operations()
    };
    assert!(steps > 8, "{steps} steps");
    for step in 0..steps {
        let (directory, _) = with_file("dump.rdb", &snapshot);
        let disk = TestDisk::default();
        disk.crash_after(step);
        drop(Database::open_with(
            directory.path(),
            Config::default(),
            windlass_db::ManualClock::new(Time::from_millis(1_700_000_000_000)),
            disk,
        ));
        for opening in 0..2 {
            let (database, _) = open(directory.path());
            assert_same(&content(&database), &expected, &format!("step {step}, opening {opening}"));
        }
        assert_eq!(names(&directory.path().join("appendonlydir")).len(), 3, "step {step}");
    }
}

#[test]
fn a_version_that_is_not_read_is_refused_and_nothing_is_changed() {
    let (directory, path) = with_file("dump.rdb", b"REDIS0012\xff\0\0\0\0\0\0\0\0");
    let error = open_error(directory.path());
    assert_eq!(
        error.to_string(),
        format!(
            "{} cannot be read: it has RDB version 12; versions up to 11 are read, which Redis up to 7.2 and Valkey up to 8 write",
            path.display()
        )
    );
    assert_eq!(names(directory.path()), ["dump.rdb"]);

    let (directory, path) = with_base("appendonly.aof.1.base.rdb", b"REDIS0080\xff\0\0\0\0\0\0\0\0");
    let folder = directory.path().join("appendonlydir");
    let before = names(&folder);
    let error = open_error(directory.path());
    assert!(error.to_string().contains("it has RDB version 80; versions up to 11 are read"), "{error}");
    assert_eq!(names(&folder), before);
    assert_eq!(fs::read(path).unwrap().len(), 18);
}

#[test]
fn a_snapshot_that_is_not_whole_is_refused_with_its_place() {
    let (snapshot, _) = snapshot();
    for length in [0, 4, 9, 40, snapshot.len() - 1] {
        let (directory, path) = with_file("dump.rdb", &snapshot[..length]);
        let error = open_error(directory.path());
        let Error::Damaged { file, offset, .. } = &error else { panic!("{length} bytes: {error}") };
        assert!(*file == path && *offset <= length as u64, "{length} bytes: {error}");
        assert_eq!(names(directory.path()), ["dump.rdb"]);
    }
    let mut changed = snapshot;
    changed[60] ^= 1;
    let (directory, path) = with_base("appendonly.aof.1.base.rdb", &changed);
    let error = open_error(directory.path());
    assert!(matches!(&error, Error::Damaged { file, .. } if *file == path), "{error}");
}
