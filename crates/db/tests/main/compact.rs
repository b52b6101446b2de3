//! Compaction, and a crash at each of its steps.

use std::fs;

use tempfile::tempdir;
use windlass_db::faults::Operation;
use windlass_db::{Config, Database};

use crate::fault::TestDisk;
use crate::store::{assert_same, content, last_file, ok, open, open_on, rewritten_at};

pub fn fill(database: &Database) {
    let session = database.session("test");
    for n in 0..150 {
        ok(&session, &format!("SET k{n} {n}"));
        ok(&session, &format!("XADD stream {n}-1 field {n}"));
        ok(&session, &format!("RPUSH list {n}"));
        ok(&session, &format!("SADD set {n}"));
        ok(&session, &format!("ZADD zset {n}.5 {n}"));
        ok(&session, &format!("HSET hash {n} {n}"));
    }
    ok(&session, "XGROUP CREATE stream group 5-1");
    ok(&session, "XREADGROUP GROUP group consumer COUNT 3 STREAMS stream >");
    ok(&session, "PEXPIRE k1 100000");
    ok(&session, "SELECT 2");
    ok(&session, "SET other 1");
}

pub fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("appendonlydir")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_compacted_log_holds_the_same_content_in_fresh_files() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    fill(&database);
    let before = content(&database);
    database.compact().unwrap();
    assert_same(&content(&database), &before, "reopened");
    let files = ["appendonly.aof.1.base.aof", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"];
    assert_eq!(names(directory.path()), files);
    ok(&database.session("test"), "SET after 1");
    let after = content(&database);
    drop(database);
    let (database, recovery) = open(directory.path());
    assert_same(&content(&database), &after, "reopened");
    assert_eq!(recovery.cut, None);
}

#[test]
fn a_crash_at_any_step_of_a_compaction_loses_nothing() {
    let steps = {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        fill(&database);
        let before = disk.operations();
        database.compact().unwrap();
        disk.operations() - before
    };
    assert!(steps > 10, "{steps} steps");
    for step in 0..steps {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        fill(&database);
        let before = content(&database);
        disk.crash_after(step);
        let _ = database.compact();
        drop(database);
        for opening in 0..2 {
            let (database, recovery) = open(directory.path());
            assert_same(&content(&database), &before, &format!("step {step}, opening {opening}"));
            assert_eq!(recovery.cut, None, "step {step}, opening {opening}");
            assert!(names(directory.path()).len() <= 3, "step {step}: {:?}", names(directory.path()));
            ok(&database.session("test"), "SET k0 0");
        }
    }
}

#[test]
fn a_compaction_that_fails_leaves_the_log_in_force_or_ends_it() {
    for (operation, is_final) in [
        (Operation::Create, false),
        (Operation::Write, false),
        (Operation::Sync, false),
        (Operation::Rename, true),
    ] {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        fill(&database);
        disk.fail_after(operation, 0);
        database.compact().unwrap_err();
        disk.heal();
        assert_eq!(database.facts().failure.is_some(), is_final, "{operation:?}");
        if is_final {
            database.compact().unwrap();
        }
        ok(&database.session("test"), "SET after 1");
        let after = content(&database);
        drop(database);
        assert_same(&content(&open(directory.path()).0), &after, &format!("{operation:?}"));
    }
}

#[test]
fn a_log_that_has_grown_is_compacted_when_it_is_opened() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let session = database.session("test");
    for n in 0..1000 {
        ok(&session, &format!("SET k {n}"));
    }
    drop(session);
    drop(database);
    let before = fs::metadata(last_file(directory.path())).unwrap().len();
    let config = rewritten_at(1000, 200);
    let (database, _) = open_on(directory.path(), &disk, config);
    // It is done beside the first calls.
    while database.facts().compactions == 0 {
        std::thread::yield_now();
    }
    let facts = database.facts();
    assert!(facts.log_base_bytes + facts.log_incremental_bytes < before / 100);
}

#[test]
fn how_far_a_log_grows_can_be_set_while_it_is_open() {
    let directory = tempdir().unwrap();
    let (database, _) = open_on(directory.path(), &TestDisk::default(), rewritten_at(1000, 0));
    let session = database.session("test");
    let fill = || (0..100).for_each(|n| drop(ok(&session, &format!("SET k {n}"))));
    fill();
    assert_eq!(database.facts().compactions, 0, "at 0 percent never");
    ok(&session, "CONFIG SET auto-aof-rewrite-percentage 100 auto-aof-rewrite-min-size 2kb");
    fill();
    while database.facts().compactions == 0 {
        std::thread::yield_now();
    }
}
