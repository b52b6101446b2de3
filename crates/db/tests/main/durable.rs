//! Replies wait for what they could have seen; a failed log is final.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use tempfile::tempdir;
use windlass_db::faults::Operation;
use windlass_db::{Called, Config, Durability, Error, Message, Position};
use windlass_resp::Value;

use crate::fault::TestDisk;
use crate::store::{assert_same, content, ok, open, open_on, run};

/// The script that ends jobs and takes others, which the engine knows.
const EXCHANGE: &str = concat!(
    include_str!("../../../windlass/lua/fence.lua"),
    include_str!("../../../windlass/lua/after.lua"),
    include_str!("../../../windlass/lua/exchange.lua")
);

fn position(called: Called) -> Position {
    match called {
        Called::Reply(reply, position) if !reply.is_error() => position,
        other => panic!("no reply but {other:?}"),
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn what_was_answered_is_there_after_a_reopening() {
    for durability in [Durability::Always, Durability::Everysec, Durability::None] {
        let directory = tempdir().unwrap();
        let config = Config { durability, ..Config::default() };
        let (database, recovery) = open_on(directory.path(), &TestDisk::default(), config);
        assert_eq!(recovery.records, 0);
        let session = database.session("test");
        ok(&session, "SET a 1");
        ok(&session, "SET b 2 PX 100000");
        ok(&session, "SELECT 3");
        ok(&session, "XADD s * field value");
        ok(&session, "DEL a");
        let before = content(&database);
        drop(session);
        drop(database);
        let (database, recovery) = open(directory.path());
        assert_same(&content(&database), &before, &format!("{durability:?}"));
        assert_eq!(recovery.cut, None);
        let session = database.session("test");
        ok(&session, "SELECT 3");
        assert_eq!(ok(&session, "XLEN s"), Value::Integer(1));
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_answered() {
    for durability in [Durability::Always, Durability::Everysec, Durability::None] {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config { durability, ..Config::default() });
        let session = database.session("test");
        ok(&session, "SET a 1");
        let before = content(&database);
        // Nothing that the process does from here on, its orderly end included, reaches the file.
        disk.crash_after(0);
        position(session.call(&[b"SET", b"b", b"2"]));
        drop(session);
        drop(database);
        assert_same(&content(&open(directory.path()).0), &before, &format!("{durability:?}"));
    }
}

#[test]
fn no_reply_leaves_before_the_sync_of_what_it_could_have_seen() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let (writer, reader) = (database.session("writer"), database.session("reader"));
    disk.close_gate();
    let written = position(writer.call(&[b"SET", b"k", b"v"]));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| database.wait_durable(written));
        disk.wait_for_sync();

        let Called::Reply(refused, seen) = reader.call(&[b"SET", b"k", b"w", b"NX"]) else { panic!() };
        assert_eq!(refused, Value::Nil);
        let Called::Reply(value, read) = reader.call(&[b"GET", b"k"]) else { panic!() };
        assert_eq!(value, Value::from("v"));
        let mut answers = [database.durable(written), database.durable(seen), database.durable(read)];
        for answer in &mut answers {
            assert!(poll(answer).is_pending(), "a reply left before the sync");
        }
        assert!(!waiting.is_finished());

        disk.open_gate();
        for answer in answers {
            block_on(answer).unwrap();
        }
        waiting.join().unwrap().unwrap();
    });
    assert!(
        database.is_durable(position(reader.call(&[b"GET", b"k"]))),
        "with nothing pending there is no wait"
    );
}

#[test]
fn a_take_waits_for_the_push_and_not_for_its_own_record() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let (pusher, worker) = (database.session("pusher"), database.session("worker"));
    ok(&pusher, "XADD stream 1-1 j first");
    ok(&pusher, "XGROUP CREATE stream w 0");
    let Called::Reply(Value::Bulk(digest), _) = worker.call(&[b"SCRIPT", b"LOAD", EXCHANGE.as_bytes()])
    else {
        panic!("the script is not well-formed")
    };
    let keys = "stream suspect moved stats gate gate stream wake suspect";
    let take = format!("EVALSHA {} 9 {keys} worker 0 1 0 0 0", String::from_utf8(digest).unwrap());
    let take = || {
        let words: Vec<&[u8]> = take.split(' ').map(str::as_bytes).collect();
        let Called::Reply(Value::Array(answer), position) = worker.call(&words) else { panic!("no answer") };
        assert_eq!(answer.len(), 3, "a job is taken");
        position
    };
    disk.close_gate();
    assert!(database.is_durable(take()), "what it saw is safe");
    let looked = position(pusher.call(&[b"XPENDING", b"stream", b"w"]));
    assert!(!database.is_durable(looked), "whoever sees the take waits for its record");
    let pushed = position(pusher.call(&[b"XADD", b"stream", b"2-1", b"j", b"second"]));
    let taken = take();
    assert_eq!(taken, pushed, "it waits for what it saw");
    disk.wait_for_sync();
    assert!(!database.is_durable(taken));
    disk.open_gate();
    database.wait_durable(taken).unwrap();
}

#[test]
fn a_message_is_held_until_the_log_is_safe() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let (taker, pusher) = (database.session("taker"), database.session("pusher"));
    assert_eq!(taker.call(&[b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"$"]), Called::Waiting);
    disk.close_gate();
    let pushed = position(pusher.call(&[b"XADD", b"s", b"1-1", b"f", b"v"]));
    let mut delivery = taker.next_delivery();
    assert!(poll(&mut delivery).is_pending());
    disk.wait_for_sync();
    assert!(poll(&mut delivery).is_pending(), "a message left before the sync");
    disk.open_gate();
    let Message::Reply(Value::Array(streams)) = block_on(delivery).unwrap() else { panic!("no reply") };
    assert_eq!(streams.len(), 1);
    assert!(database.is_durable(pushed));
}

#[test]
fn many_callers_share_one_sync() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    disk.close_gate();
    let syncs = disk.count(Operation::Sync);
    thread::scope(|scope| {
        let first = position(database.session("test").call(&[b"SET", b"first", b"v"]));
        let leader = scope.spawn({
            let database = database.clone();
            move || database.wait_durable(first)
        });
        disk.wait_for_sync();
        let later: Vec<Position> = (0..50)
            .map(|n| position(database.session("test").call(&[b"SET", n.to_string().as_bytes(), b"v"])))
            .collect();
        let followers: Vec<_> = later
            .into_iter()
            .map(|at| {
                scope.spawn({
                    let database = database.clone();
                    move || database.wait_durable(at)
                })
            })
            .collect();
        disk.open_gate();
        leader.join().unwrap().unwrap();
        for follower in followers {
            follower.join().unwrap().unwrap();
        }
    });
    assert_eq!(disk.count(Operation::Sync) - syncs, 2);
}

#[test]
fn threads_that_block_and_tasks_that_wait_all_get_their_answer() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    thread::scope(|scope| {
        for worker in 0..6 {
            let database = &database;
            scope.spawn(move || {
                let session = database.session("test");
                for number in 0..200 {
                    let key = format!("{worker}-{number}");
                    let at = position(session.call(&[b"SET", key.as_bytes(), b"v"]));
                    if worker % 2 == 0 {
                        database.wait_durable(at).unwrap();
                    } else {
                        block_on(database.durable(at)).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(run(&database.session("test"), "DBSIZE"), Value::Integer(1200));
}

#[test]
fn threads_that_block_do_not_wait_for_each_other_for_ever() {
    let directory = tempdir().unwrap();
    // Real syncs: the log's thread must be found writing by some, and others must come while it does.
    let (database, _) = windlass_db::Database::open(directory.path(), Config::default()).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let session = database.session("test");
                for _ in 0..100 {
                    database.wait_durable(position(session.call(&[b"INCR", b"k"]))).unwrap();
                }
            });
        }
    });
    assert_eq!(run(&database.session("test"), "GET k"), Value::from("800"));
}

#[test]
fn a_failed_sync_ends_writes_but_not_reads() {
    for operation in [Operation::Write, Operation::Sync] {
        let directory = tempdir().unwrap();
        let disk = TestDisk::default();
        let (database, _) = open_on(directory.path(), &disk, Config::default());
        let session = database.session("test");
        ok(&session, "SET safe 1");
        disk.fail_after(operation, 0);
        let lost = position(session.call(&[b"SET", b"unsure", b"1"]));
        assert!(matches!(block_on(database.durable(lost)), Err(Error::OutcomeUnknown { .. })));
        assert!(matches!(database.wait_durable(lost), Err(Error::OutcomeUnknown { .. })));
        disk.heal();

        let syncs = disk.count(Operation::Sync);
        let Called::Reply(Value::Error(text), at) = session.call(&[b"SET", b"late", b"1"]) else { panic!() };
        assert!(text.starts_with("MISCONF "), "{text}");
        database.wait_durable(at).unwrap();
        assert_eq!(run(&session, "GET safe"), Value::from("1"));
        assert_eq!(run(&session, "EXISTS late"), Value::Integer(0));
        let Value::Error(text) = run(&session, "PING") else { panic!("it is not well") };
        assert!(text.starts_with("MISCONF "), "{text}");
        let script = |body: &str| match session.call(&[b"EVAL", body.as_bytes(), b"0"]) {
            Called::Reply(reply, _) => reply,
            other => panic!("{other:?}"),
        };
        let Value::Error(text) = script("return redis.call('SET', 'scripted', 1)") else { panic!("it ran") };
        assert!(text.starts_with("MISCONF "), "{text}");
        assert_eq!(script("return redis.call('EXISTS', 'scripted')"), Value::Integer(0));
        let Value::Verbatim(_, info) = run(&session, "INFO persistence") else { panic!("no text") };
        assert!(info.contains("aof_last_write_status:err"));
        assert_eq!(disk.count(Operation::Sync), syncs, "a file whose sync failed is not synced again");

        database.compact().unwrap();
        ok(&session, "SET later 1");
        assert_eq!(run(&session, "PING"), Value::Simple("PONG".into()));
        drop(session);
        assert!(database.stop().is_ok());
        let after = content(&open(directory.path()).0);
        assert_eq!(after.keys().collect::<Vec<_>>(), ["later", "safe", "unsure"]);
    }
}

#[test]
fn a_transaction_queued_before_the_failure_is_refused_whole() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let (database, _) = open_on(directory.path(), &disk, Config::default());
    let (session, other) = (database.session("test"), database.session("other"));
    ok(&session, "MULTI");
    ok(&session, "SET a 1");
    ok(&session, "GET a");
    disk.fail_after(Operation::Sync, 0);
    let lost = position(other.call(&[b"SET", b"b", b"1"]));
    database.wait_durable(lost).unwrap_err();
    let Value::Error(text) = run(&session, "EXEC") else { panic!("EXEC ran") };
    assert!(text.starts_with("MISCONF "), "{text}");
    assert_eq!(run(&session, "EXISTS a"), Value::Integer(0));
}

#[test]
fn a_log_that_is_too_far_behind_refuses_writes_before_they_run() {
    let directory = tempdir().unwrap();
    let disk = TestDisk::default();
    let config = Config { log_pending_bytes_max: 1000, ..Config::default() };
    let (database, _) = open_on(directory.path(), &disk, config);
    let session = database.session("test");
    disk.close_gate();
    let first = position(session.call(&[b"SET", b"k", b"v"]));
    let mut safe = database.durable(first);
    assert!(poll(&mut safe).is_pending());
    disk.wait_for_sync();
    let value = vec![b'x'; 2000];
    position(session.call(&[b"SET", b"big", &value]));
    let Called::Reply(refusal, _) = session.call(&[b"SET", b"more", b"v"]) else { panic!() };
    assert!(matches!(&refusal, Value::Error(text) if text.starts_with("OOM ")), "{refusal:?}");
    disk.open_gate();
    let Called::Reply(_, read) = session.call(&[b"GET", b"big"]) else { panic!() };
    block_on(database.durable(read)).unwrap();
    assert_eq!(ok(&session, "SET more v"), Value::OK);
}

#[test]
fn a_stop_makes_safe_what_nobody_waited_for() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    position(database.session("test").call(&[b"SET", b"k", b"v"]));
    database.stop().unwrap();
    let (again, _) = open(directory.path());
    assert_eq!(run(&again.session("test"), "GET k"), Value::from("v"));
}

/// What ends a batch of jobs would be most of a log if each of its entries had a record of its own.
#[test]
fn a_command_on_many_entries_of_a_stream_is_one_record() {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    ok(&session, "XGROUP CREATE s g 0 MKSTREAM");
    for id in ["1-1", "1-2", "1-3"] {
        ok(&session, &format!("XADD s {id} f v"));
    }
    ok(&session, "XREADGROUP GROUP g a COUNT 3 STREAMS s >");
    ok(&session, "XCLAIM s g b 0 1-1 1-2 1-3");
    ok(&session, "XACK s g 1-1 1-2 1-3");
    ok(&session, "XDEL s 1-1 1-2 1-3");
    drop(session);
    drop(database);
    let log = std::fs::read(crate::store::last_file(directory.path())).unwrap();
    let count = |name: &str| {
        let frame = format!("${}\r\n{name}\r\n", name.len());
        log.windows(frame.len()).filter(|window| *window == frame.as_bytes()).count()
    };
    assert_eq!((count("XACK"), count("XDEL")), (1, 1));
    // The taking of all of them, and the handing on.
    assert_eq!(count("XCLAIM"), 2);
}
