//! A log that a crash has torn, or that is damaged.

use std::fs;

use tempfile::tempdir;
use windlass_db::{Config, Cut, Database, Error};

use crate::fault::TestDisk;
use crate::store::{Content, assert_same, content, last_file, ok, open, open_on};

/// How much of the log's end is cut, byte by byte.
const CUT_BYTES: usize = 16 << 10;

/// A move of two writes, which no cut may halve.
const SCRIPT: &str = "redis.call('INCR','first');redis.call('RPUSH','l0',redis.call('INCR','second'))";

/// A log of mixed commands, with the content after each of its groups.
struct Written {
    bytes: Vec<u8>,
    /// Where each group ends, and the content then.
    states: Vec<(usize, Content)>,
}

fn write(lines: usize) -> Written {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    let file = last_file(directory.path());
    let mut states = vec![(0, content(&database))];
    for n in 0..lines {
        let key = n % 17;
        match n % 10 {
            0 => drop(ok(&session, &format!("SET k{key} {}", "v".repeat(n * 7 % 1200)))),
            1 => drop(ok(&session, &format!("INCRBY c{key} {n}"))),
            2 => drop(ok(&session, &format!("RPUSH l{} {n}", n % 3))),
            3 => drop(ok(&session, &format!("XADD s{key} {n}-1 field #WL"))),
            4 => drop(ok(&session, &format!("PEXPIRE k{key} {}", 1000 + n))),
            5 => drop(ok(&session, &format!("ZADD z{} {n} m{n}", n % 3))),
            6 => drop(ok(&session, &format!("LPOP l{}", n % 3))),
            7 => drop(ok(&session, &format!("EVAL {SCRIPT} 0"))),
            8 => drop(ok(&session, &format!("DEL k{}", (n + 3) % 17))),
            _ => {
                for line in ["MULTI", "INCR first", &format!("SET k{key} moved"), "INCR second", "EXEC"] {
                    ok(&session, line);
                }
            }
        }
        let end = fs::metadata(&file).unwrap().len() as usize;
        if end > states.last().unwrap().0 {
            states.push((end, content(&database)));
        }
    }
    Written { bytes: fs::read(&file).unwrap(), states }
}

/// Opens a log of these bytes on a fresh directory.
fn open_bytes(bytes: &[u8]) -> (tempfile::TempDir, windlass_db::Result<(Database, Option<Cut>)>) {
    let directory = tempdir().unwrap();
    let folder = directory.path().join("appendonlydir");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("appendonly.aof.1.incr.aof"), bytes).unwrap();
    fs::write(folder.join("appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n")
        .unwrap();
    let clock = windlass_db::ManualClock::new(windlass_db::Time::from_millis(1_700_000_000_000));
    let opened = Database::open_with(directory.path(), Config::default(), clock, TestDisk::default());
    (directory, opened.map(|(database, recovery)| (database, recovery.cut)))
}

#[test]
fn a_log_cut_anywhere_gives_the_state_of_its_last_whole_group() {
    let written = write(170);
    let length = written.bytes.len();
    assert!(length > CUT_BYTES, "the log has {length} bytes");
    // One directory for all: making files costs more than reading them.
    let (directory, opened) = open_bytes(&written.bytes);
    drop(opened);
    let file = last_file(directory.path());
    for cut in length - CUT_BYTES..length + 1 {
        let (end, state) = written.states.iter().rfind(|(end, _)| *end <= cut).unwrap();
        fs::write(&file, &written.bytes[..cut]).unwrap();
        let (database, recovery) = open(directory.path());
        let expected = Cut { file: file.clone(), offset: *end as u64, bytes: (cut - end) as u64 };
        assert_eq!(recovery.cut, (cut > *end).then_some(expected), "cut at {cut}");
        assert_eq!(fs::metadata(&file).unwrap().len(), *end as u64, "cut at {cut}");
        // Reading everything at each byte takes long; each group's first and last cut, and some between, are enough.
        if cut - end < 2 || cut % 64 == 0 {
            assert_same(&content(&database), state, &format!("cut at {cut}"));
        }
    }
}

#[test]
fn a_cut_log_goes_on_where_it_was_cut() {
    let written = write(50);
    let (directory, opened) = open_bytes(&written.bytes[..written.bytes.len() - 3]);
    let (database, _) = opened.unwrap();
    ok(&database.session("test"), "SET after 1");
    let before = content(&database);
    drop(database);
    let (database, recovery) = open(directory.path());
    assert_same(&content(&database), &before, "reopened");
    assert_eq!(recovery.cut, None);
}

#[test]
fn no_changed_bit_is_loaded_as_data() {
    let written = write(60);
    let last_start = written.states[written.states.len() - 2].0;
    for bit in (0..written.bytes.len() * 8).step_by(7) {
        let mut bytes = written.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match open_bytes(&bytes) {
            (_, Err(Error::Damaged { offset, .. })) => {
                assert!(offset <= (bit / 8) as u64 + 1, "bit {bit} found at {offset} only");
            }
            (_, Err(other)) => panic!("bit {bit}: {other}"),
            (_, Ok((database, cut))) => {
                assert!(bit / 8 >= last_start, "bit {bit} in the middle was not noticed");
                let cut = cut.unwrap_or_else(|| panic!("bit {bit} was not noticed"));
                assert_eq!(cut.offset, last_start as u64);
                assert_same(&content(&database), &written.states[written.states.len() - 2].1, "reopened");
            }
        }
    }
}

#[test]
fn pages_that_never_reached_the_disk_are_a_torn_end() {
    let written = write(60);
    let (end, state) = &written.states[written.states.len() - 2];
    for keep in [0, 1, 30] {
        let mut bytes = written.bytes.clone();
        bytes[end + keep..].fill(0);
        bytes.resize(bytes.len() + 4096, 0);
        let (_directory, opened) = open_bytes(&bytes);
        let (database, cut) = opened.unwrap();
        assert_eq!(cut.unwrap().offset, *end as u64);
        assert_same(&content(&database), state, "reopened");
    }
}

#[test]
fn damage_in_what_redis_wrote_is_refused_wherever_it_begins() {
    let damaged = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n:1\r\n*1\r\n$4\r\nPING\r\n".as_slice();
    let after_ours = [&write(3).bytes[..], damaged].concat();
    for bytes in [damaged, b"\x7fELF", &after_ours] {
        let (_directory, opened) = open_bytes(bytes);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_missing_group_is_found() {
    let written = write(60);
    let (from, to) = (written.states[10].0, written.states[11].0);
    let mut bytes = written.bytes.clone();
    bytes.drain(from..to);
    let (_directory, opened) = open_bytes(&bytes);
    let Err(Error::Damaged { offset, reason, .. }) = opened else { panic!("it was not found") };
    assert_eq!((offset, &*reason), (from as u64, "group 12 follows where group 11 belongs"));
}

#[test]
fn damage_in_a_file_that_is_not_the_last_is_refused() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    ok(&database.session("test"), "SET k v");
    database.compact().unwrap();
    drop(database);
    let base = directory.path().join("appendonlydir/appendonly.aof.1.base.aof");
    let bytes = fs::read(&base).unwrap();
    fs::write(&base, &bytes[..bytes.len() - 1]).unwrap();
    let error = Database::open(directory.path(), Config::default()).err().unwrap();
    assert!(matches!(&error, Error::Damaged { file, offset: 0, .. } if *file == base), "{error}");
}
