//! What goes on while the log is rewritten.

use std::thread;
use std::time::Duration;

use tempfile::tempdir;
use windlass_db::faults::Operation;
use windlass_db::{Called, Config, Database, Error, ManualClock, Message, Time};
use windlass_resp::Value;

use crate::compact::{fill, names};
use crate::fault::TestDisk;
use crate::store::{Content, assert_same, content, ok, open, open_on, rewritten_at, run};

/// Writes to every type, to what is there and to what is not.
fn write(database: &Database, round: usize) {
    let session = database.session("test");
    for line in [
        "SET k1 changed".to_owned(),
        "DEL k2".to_owned(),
        format!("SET new{round} 1"),
        format!("APPEND grown {}", "x".repeat(50)),
        format!("XADD stream {}-1 field late", 1_000 + round),
        "XREADGROUP GROUP group consumer COUNT 2 STREAMS stream >".to_owned(),
        "XACK stream group 6-1".to_owned(),
        "LPOP list".to_owned(),
        format!("RPUSH list late{round}"),
        "SREM set 5".to_owned(),
        format!("ZADD zset 3 late{round}"),
        "HINCRBY hash 5 7".to_owned(),
        "SELECT 2".to_owned(),
        format!("SET other {round}"),
    ] {
        ok(&session, &line);
    }
}

/// The content of both databases that the tests write to.
fn both(database: &Database) -> (Content, Value) {
    let session = database.session("look");
    ok(&session, "SELECT 2");
    (content(database), run(&session, "GET other"))
}

fn assert_both(found: &(Content, Value), expected: &(Content, Value), when: &str) {
    assert_same(&found.0, &expected.0, when);
    assert_eq!(found.1, expected.1, "{when}");
}

/// Rewrites the log; once the base is being written does `meanwhile`, then lets the rewrite end.
pub fn rewrite_slowly<T>(
    database: &Database,
    disk: &TestDisk,
    meanwhile: impl FnOnce() -> T,
) -> (Result<(), Error>, T) {
    disk.close_base_gate();
    let rewriting = {
        let database = database.clone();
        thread::spawn(move || database.compact())
    };
    disk.wait_for_base();
    let done = meanwhile();
    disk.open_base_gate();
    (rewriting.join().unwrap(), done)
}

fn info(database: &Database) -> String {
    let Value::Verbatim(_, text) = run(&database.session("info"), "INFO persistence") else {
        panic!("INFO answers a text")
    };
    text
}

#[test]
fn writes_go_on_while_the_base_is_written() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    fill(&database);
    let (done, ()) = rewrite_slowly(&database, &disk, || {
        (0..20).for_each(|round| write(&database, round));
        assert!(database.facts().is_rewriting);
        assert!(info(&database).contains("aof_rewrite_in_progress:1"), "{}", info(&database));
    });
    done.unwrap();
    let text = info(&database);
    for line in ["aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok", "aof_rewrites:1"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    write(&database, 20);
    let expected = both(&database);
    drop(database);
    assert_eq!(names(directory.path()).len(), 3, "{:?}", names(directory.path()));
    let (database, recovery) = open(directory.path());
    assert_both(&both(&database), &expected, "reopened");
    assert_eq!(recovery.cut, None);
}

#[test]
fn a_crash_at_any_step_after_writes_during_a_rewrite_loses_nothing() {
    let steps = {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        fill(&database);
        let (done, before) = rewrite_slowly(&database, &disk, || {
            write(&database, 0);
            disk.operations()
        });
        done.unwrap();
        disk.operations() - before
    };
    assert!(steps > 8, "{steps} steps");
    for step in 0..steps {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        fill(&database);
        let (_, expected) = rewrite_slowly(&database, &disk, || {
            write(&database, 0);
            let expected = both(&database);
            disk.crash_after(step);
            expected
        });
        drop(database);
        for opening in 0..2 {
            let when = format!("step {step}, opening {opening}");
            let (database, recovery) = open(directory.path());
            assert_both(&both(&database), &expected, &when);
            assert_eq!(recovery.cut, None, "{when}");
        }
    }
}

#[test]
fn a_rewrite_that_finds_the_disk_full_is_given_up_and_the_log_goes_on() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    fill(&database);
    let (done, ()) = rewrite_slowly(&database, &disk, || {
        write(&database, 0);
        disk.fill_for_base();
    });
    assert!(matches!(done, Err(Error::Io { .. })), "{done:?}");
    assert!(!names(directory.path()).iter().any(|name| name.contains(".base.")), "it is removed");
    assert!(info(&database).contains("aof_last_bgrewrite_status:err"));
    assert_eq!(database.facts().failure, None);
    write(&database, 1);
    let expected = both(&database);
    drop(database);
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    assert_both(&both(&database), &expected, "after the failure");
    disk.heal();
    database.compact().unwrap();
    drop(database);
    assert_both(&both(&open(directory.path()).0), &expected, "after a rewrite that succeeds");
    assert_eq!(names(directory.path()).len(), 3, "{:?}", names(directory.path()));
}

#[test]
fn a_log_that_fails_during_a_rewrite_has_its_way_back() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    fill(&database);
    let (done, ()) = rewrite_slowly(&database, &disk, || {
        disk.fail_after(Operation::Sync, 0);
        let Called::Reply(_, position) = database.session("test").call(&[b"SET", b"lost", b"1"]) else {
            panic!("SET is answered")
        };
        database.wait_durable(position).unwrap_err();
        disk.heal();
    });
    assert!(matches!(done, Err(Error::OutcomeUnknown { .. })), "{done:?}");
    assert!(run(&database.session("test"), "SET k 1").is_error());
    database.compact().unwrap();
    write(&database, 0);
    let expected = both(&database);
    drop(database);
    assert_both(&both(&open(directory.path()).0), &expected, "reopened");
}

#[test]
fn what_expires_while_a_failed_log_is_replaced_stays_gone() {
    let directory = tempdir().unwrap();
    let (disk, start) = (TestDisk::default(), 1_700_000_000_000);
    let clock = ManualClock::new(Time::from_millis(start));
    let config = Config { log_retry_ms: 0, ..Config::default() };
    let (database, _) = Database::open_with(directory.path(), config, clock.clone(), disk.clone()).unwrap();
    fill(&database);
    let session = database.session("test");
    ok(&session, "SET brief 1 PX 50");
    disk.fail_after(Operation::Write, 0);
    let Called::Reply(_, position) = session.call(&[b"SET", b"lost", b"1"]) else {
        panic!("SET is answered")
    };
    database.wait_durable(position).unwrap_err();
    disk.heal();
    let (done, ()) = rewrite_slowly(&database, &disk, || {
        clock.advance(Duration::from_millis(60));
        assert_eq!(run(&session, "EXISTS brief"), Value::Integer(0), "reads go on");
        assert!(run(&session, "SET k 1").is_error(), "writes are refused until the log is there");
    });
    done.unwrap();
    write(&database, 0);
    let expected = both(&database);
    drop((session, database));
    // The clock of this opening stands at the start, where the key would still be there.
    assert_both(&both(&open(directory.path()).0), &expected, "reopened");
}

#[test]
fn a_database_that_is_closed_gives_its_rewrite_up() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    // So slow that it would take an hour.
    let config = Config { rewrite_bytes_per_s: 1, ..Config::default() };
    let (database, _) = open_on(directory.path(), &disk, config);
    fill(&database);
    let expected = both(&database);
    let (done, stopped) = {
        disk.close_base_gate();
        let rewriting = {
            let database = database.clone();
            thread::spawn(move || database.compact())
        };
        disk.wait_for_base();
        disk.open_base_gate();
        let stopped = database.stop();
        (rewriting.join().unwrap(), stopped)
    };
    stopped.unwrap();
    assert!(matches!(done, Err(Error::Stopped)), "{done:?}");
    assert!(!names(directory.path()).iter().any(|name| name.contains(".base.")), "it is removed");
    assert!(matches!(database.compact(), Err(Error::Stopped)));
    drop(database);
    assert_both(&both(&open(directory.path()).0), &expected, "reopened");
}

#[test]
fn a_log_that_has_grown_is_rewritten_while_it_is_in_use() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let config = rewritten_at(1_000, 200);
    let (database, _) = open_on(directory.path(), &disk, config);
    disk.close_base_gate();
    fill(&database);
    disk.wait_for_base();
    write(&database, 0);
    let expected = both(&database);
    disk.open_base_gate();
    // A rewrite by hand comes after the one that is going on.
    database.compact().unwrap();
    assert_eq!(database.facts().compactions, 2);
    drop(database);
    assert_both(&both(&open(directory.path()).0), &expected, "reopened");
}

#[test]
fn a_rewrite_can_be_asked_for_by_a_command() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    fill(&database);
    let session = database.session("test");
    disk.close_base_gate();
    let reply = ok(&session, "BGREWRITEAOF");
    assert_eq!(reply, Value::Simple("Background append only file rewriting started".into()));
    disk.wait_for_base();
    assert!(run(&session, "BGREWRITEAOF").is_error(), "there is one at a time");
    disk.open_base_gate();
    // One by hand comes after it.
    database.compact().unwrap();
    assert_eq!(database.facts().compactions, 2);
}

#[test]
fn a_snapshot_is_saved_beside_the_log_and_has_everything() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    fill(&database);
    let expected = content(&database);
    let session = database.session("test");
    let Value::Integer(started) = ok(&session, "LASTSAVE") else { panic!("it is a number") };
    assert_eq!(ok(&session, "BGSAVE"), Value::Simple("Background saving started".into()));
    assert!(run(&session, "BGSAVE NOW").is_error());
    let snapshot = directory.path().join("dump.rdb");
    while !snapshot.exists() {
        std::thread::yield_now();
    }
    ok(&session, "FLUSHALL");
    let Value::Integer(saved) = ok(&session, "LASTSAVE") else { panic!("it is a number") };
    assert!(saved >= started);
    drop((session, database));
    assert_eq!(content(&open(directory.path()).0).len(), 0, "the log is what counts");
    let other = tempdir().unwrap();
    std::fs::copy(&snapshot, other.path().join("dump.rdb")).unwrap();
    assert_same(&content(&open(other.path()).0), &expected, "from the snapshot");
}

#[test]
fn a_save_that_is_waited_for_is_there_when_it_is_answered() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    fill(&database);
    let expected = content(&database);
    let session = database.session("test");
    assert_eq!(session.call(&[b"SAVE"]), Called::Waiting);
    let answer = crate::durable::block_on(session.next_delivery()).unwrap();
    assert_eq!(answer, Message::Reply(Value::OK));
    let other = tempdir().unwrap();
    std::fs::copy(directory.path().join("dump.rdb"), other.path().join("dump.rdb")).unwrap();
    assert_same(&content(&open(other.path()).0), &expected, "from the snapshot");
}

#[test]
fn a_database_in_memory_has_no_log_to_rewrite() {
    let database = Database::memory(Config::default()).unwrap();
    assert!(run(&database.session("test"), "BGREWRITEAOF").is_error());
    assert!(run(&database.session("test"), "BGSAVE").is_error());
}
