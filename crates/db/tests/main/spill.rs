//! What a rewrite or a snapshot costs in memory, and the file that its content goes to when that is too much.

use std::fs;
use std::path::Path;
use std::thread;

use tempfile::tempdir;
use windlass_db::faults::Random;
use windlass_db::{Config, Database, Error};

use crate::compact::names;
use crate::fault::TestDisk;
use crate::rewrite::rewrite_slowly;
use crate::store::{Content, assert_same, content, ok, open, open_on, run};

const KEYS: usize = 60;
/// With so many keys a base has several groups.
const VALUE_BYTES: usize = 100_000;

/// Spills as soon as a tenth of the data is changed.
fn tight() -> Config {
    Config { preimage_bytes_max: 1, ..Config::default() }
}

fn fill(database: &Database) {
    let session = database.session("test");
    for key in 0..KEYS {
        ok(&session, &format!("SET k{key} {}", "x".repeat(VALUE_BYTES)));
    }
    for number in 0..300 {
        ok(&session, &format!("HSET hash f{number} {number}"));
        ok(&session, &format!("ZADD zset {number} m{number}"));
        ok(&session, &format!("RPUSH list i{number}"));
        ok(&session, &format!("SADD set m{number}"));
        ok(&session, &format!("XADD stream {}-1 f {number}", number + 1));
    }
    ok(&session, "XGROUP CREATE stream group 0");
}

/// Changes what is there in a way that a replay of it on another state would show.
fn change(database: &Database, number: usize) {
    let session = database.session("test");
    let key = number % KEYS;
    for line in [
        format!("APPEND k{key} more"),
        format!("HINCRBY hash f{} 1000", number % 300),
        format!("ZINCRBY zset 0.5 m{}", number % 300),
        "LPOP list".to_owned(),
        format!("RPUSH list late{number}"),
        format!("SREM set m{number}"),
        format!("XDEL stream {}-1", number * 3 + 1),
        "XREADGROUP GROUP group me COUNT 2 STREAMS stream >".to_owned(),
    ] {
        ok(&session, &line);
    }
}

fn has_spill(directory: &Path) -> bool {
    names(directory).iter().any(|name| name.starts_with("temp-"))
}

#[test]
fn a_rewrite_whose_content_is_overwritten_goes_to_a_file_beside_and_is_what_it_was() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, tight());
    fill(&database);
    rewrite_slowly(&database, &disk, || (0..KEYS).for_each(|number| change(&database, number))).0.unwrap();
    let facts = database.facts();
    assert_eq!((facts.spills, facts.preimage_bytes), (1, 0));
    assert!(facts.preimage_bytes_peak > 1_000_000, "{facts:?}");
    let text = format!("{:?}", run(&database.session("test"), "INFO persistence"));
    assert!(text.contains("current_cow_size:0") && text.contains("cow_spills:1"), "{text}");
    assert!(!has_spill(directory.path()), "{:?}", names(directory.path()));
    let expected = content(&database);
    drop(database);
    let (database, recovery) = open(directory.path());
    assert_same(&content(&database), &expected, "reopened");
    assert_eq!(recovery.cut, None);
}

/// Overwrites everything during a rewrite that keeps to a low rate; `write` makes the line that writes a value.
fn overwrite_during_a_slow_rewrite(write: impl Fn(usize, &str) -> String) {
    const BOUND: u64 = 1 << 20;
    const VALUES: usize = 7_000;
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    // The rate alone would take twenty seconds for what is to be let go of at once.
    let config = Config { preimage_bytes_max: BOUND, rewrite_bytes_per_s: 400_000, ..Config::default() };
    let (database, _) = open_on(directory.path(), &disk, config);
    let session = database.session("test");
    let write_all = |value: &str| (0..VALUES).for_each(|number| _ = ok(&session, &write(number, value)));
    write_all(&"x".repeat(1_000));
    thread::scope(|scope| {
        disk.close_base_gate();
        let rewriting = scope.spawn(|| database.compact());
        disk.wait_for_base();
        disk.open_base_gate();
        write_all(&"y".repeat(1_000));
        while database.facts().preimage_bytes > 0 {
            thread::yield_now();
        }
        let facts = database.facts();
        assert_eq!(facts.spills, 1, "{facts:?}");
        assert!(facts.preimage_bytes_peak <= BOUND + BOUND / 2, "{facts:?}");
        // All is in the file beside by now, and goes from there by the rate.
        assert!(facts.is_rewriting && has_spill(directory.path()), "{facts:?}");
        database.stop().unwrap();
        assert!(matches!(rewriting.join().unwrap(), Err(Error::Stopped)));
    });
    assert!(!has_spill(directory.path()), "what was given up leaves no file");
}

#[test]
fn the_bound_holds_while_every_key_is_overwritten_during_a_slow_rewrite() {
    overwrite_during_a_slow_rewrite(|number, value| format!("SET k{number} {value}"));
}

#[test]
fn the_bound_holds_while_all_of_one_key_is_overwritten_during_a_slow_rewrite() {
    overwrite_during_a_slow_rewrite(|number, value| format!("HSET hash f{number} {value}"));
}

#[test]
fn a_file_beside_that_cannot_be_written_gives_the_rewrite_up() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, tight());
    fill(&database);
    let (failed, ()) = rewrite_slowly(&database, &disk, || {
        (0..KEYS).for_each(|number| change(&database, number));
        disk.fill_for_spill();
    });
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    let left = names(directory.path());
    assert!(!left.iter().any(|name| name.starts_with("temp-") || name.contains(".base.")), "{left:?}");
    assert_eq!((database.facts().preimage_bytes, database.facts().failure), (0, None));
    change(&database, KEYS);
    disk.heal();
    database.compact().unwrap();
    let expected = content(&database);
    drop(database);
    assert_same(&content(&open(directory.path()).0), &expected, "reopened");
}

#[test]
fn a_crash_at_any_step_leaves_no_file_beside() {
    let fill_few = |database: &Database| {
        let session = database.session("test");
        for key in 0..16 {
            ok(&session, &format!("SET k{key} {}", "x".repeat(250_000)));
        }
    };
    let change_few = |database: &Database| {
        let session = database.session("test");
        (0..16).for_each(|key| _ = ok(&session, &format!("APPEND k{key} more")));
    };
    let rewrite = |disk: &TestDisk, directory: &Path, step: usize| {
        let (database, _) = open_on(directory, disk, tight());
        fill_few(&database);
        rewrite_slowly(&database, disk, || {
            change_few(&database);
            let expected = content(&database);
            disk.crash_after(step);
            expected
        })
        .1
    };
    let steps = {
        let (directory, disk) = (tempdir().unwrap(), TestDisk::default());
        let (database, _) = open_on(directory.path(), &disk, tight());
        fill_few(&database);
        let (done, before) = rewrite_slowly(&database, &disk, || {
            change_few(&database);
            disk.operations()
        });
        done.unwrap();
        assert_eq!(database.facts().spills, 1);
        disk.operations() - before
    };
    assert!(steps > 12, "{steps} steps");
    for step in 0..steps {
        let directory = tempdir().unwrap();
        let expected = rewrite(&TestDisk::default(), directory.path(), step);
        let (database, recovery) = open(directory.path());
        assert_same(&content(&database), &expected, &format!("step {step}"));
        assert_eq!(recovery.cut, None, "step {step}");
        assert!(!has_spill(directory.path()), "step {step}: {:?}", names(directory.path()));
    }
}

/// Saves a snapshot, does `meanwhile` while it is held up, and answers what is in it.
fn save_during(database: &Database, directory: &Path, disk: &TestDisk, meanwhile: impl FnOnce()) -> Content {
    disk.close_base_gate();
    let session = database.session("saver");
    ok(&session, "BGSAVE");
    disk.wait_for_base();
    meanwhile();
    disk.open_base_gate();
    while format!("{:?}", run(&session, "INFO persistence")).contains("rdb_bgsave_in_progress:1") {
        thread::yield_now();
    }
    let alone = tempdir().unwrap();
    fs::copy(directory.join("dump.rdb"), alone.path().join("dump.rdb")).unwrap();
    content(&open(alone.path()).0)
}

#[test]
fn a_snapshot_whose_content_is_overwritten_is_what_it_was() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, tight());
    fill(&database);
    let expected = content(&database);
    let change_all = || (0..KEYS).for_each(|number| change(&database, number));
    let saved = save_during(&database, directory.path(), &disk, change_all);
    assert_eq!(database.facts().spills, 1);
    assert_same(&saved, &expected, "the snapshot");
    assert!(!has_spill(directory.path()));

    // A process that died in the middle of one leaves its file.
    drop(database);
    let unfinished = directory.path().join("temp-windlass.rdb");
    fs::write(&unfinished, "half").unwrap();
    drop(open(directory.path()));
    assert!(!unfinished.exists(), "the next opening removes it");
}

#[test]
fn a_rewrite_and_a_snapshot_are_what_was_there_whether_or_not_they_spill() {
    for seed in 1..7 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut some = |count| (0..count).map(|_| random.below(90)).collect::<Vec<usize>>();
        let (before, during) = (some(8), some(30));
        let is_tight = seed % 2 == 0;
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let config = if is_tight { tight() } else { Config::default() };
        let (database, _) = open_on(directory.path(), &disk, config);
        fill(&database);
        before.iter().for_each(|number| change(&database, *number));
        let at_start = content(&database);
        let change_some = || during.iter().for_each(|number| change(&database, *number));
        let saved = save_during(&database, directory.path(), &disk, change_some);
        assert_same(&saved, &at_start, "the snapshot");
        rewrite_slowly(&database, &disk, change_some).0.unwrap();
        assert_eq!(database.facts().spills, if is_tight { 2 } else { 0 });
        let expected = content(&database);
        drop(database);
        assert_same(&content(&open(directory.path()).0), &expected, "reopened");
    }
}

#[test]
fn nothing_waits_and_nothing_is_counted_without_a_snapshot() {
    let directory = tempdir().unwrap();
    let (database, _) = open_on(directory.path(), &TestDisk::default(), tight());
    fill(&database);
    ok(&database.session("test"), "COPY hash other");
    change(&database, 1);
    let facts = database.facts();
    assert_eq!((facts.preimage_bytes, facts.preimage_bytes_peak, facts.spills), (0, 0, 0));
}
