//! A database that is served while its log is replayed.

use std::cell::Cell;

use tempfile::tempdir;
use windlass_db::{Config, Database, Error, Loaded};
use windlass_resp::Value;

use crate::directory::open_error;
use crate::store::{last_file, ok, open, run};

const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// A directory with a log of some megabytes.
fn written() -> tempfile::TempDir {
    let directory = tempdir().unwrap();
    let (database, _) = open(directory.path());
    let session = database.session("test");
    let value = "v".repeat(1 << 20);
    for n in 0..4 {
        ok(&session, &format!("SET k{n} {value}"));
    }
    ok(&session, "SET short v");
    database.stop().unwrap();
    directory
}

#[test]
fn commands_on_data_are_answered_with_loading_until_the_log_is_replayed() {
    let directory = written();
    let (database, opening) = Database::begin(directory.path(), Config::default()).unwrap();
    let session = database.session("test");
    for line in ["GET short", "SET a b", "PING", "DBSIZE", "EVAL return 0", "KEYS *", "BLPOP l 0"] {
        assert_eq!(run(&session, line), Value::Error(LOADING.into()), "{line}");
    }
    assert_eq!(ok(&session, "SELECT 3"), Value::OK);
    assert_eq!(ok(&session, "CLIENT SETNAME me"), Value::OK);
    ok(&session, "WATCH short");
    let info = |session| match ok(session, "INFO persistence") {
        Value::Verbatim(_, text) => text,
        other => panic!("{other:?}"),
    };
    assert!(
        info(&session).contains("loading:1\r\nloading_start_time:") || info(&session).contains("loading:1")
    );

    let (told, last) = (Cell::new(0), Cell::new(Loaded::default()));
    let recovery = opening
        .finish(|loaded| {
            assert_eq!(run(&session, "GET short"), Value::Error(LOADING.into()), "sessions run meanwhile");
            assert!(loaded.bytes > last.get().bytes && loaded.bytes_total > 4 << 20, "{loaded:?}");
            told.set(told.get() + 1);
            last.set(loaded);
        })
        .unwrap();
    assert_eq!(recovery.records, 6);
    assert_eq!(told.get(), 4, "once a megabyte");
    // The session is as it was.
    assert_eq!(ok(&session, "CLIENT GETNAME"), Value::from("me"));
    assert_eq!(ok(&session, "GET short"), Value::Nil, "it is in database 3");
    for line in ["MULTI", "SET in-three v"] {
        ok(&session, line);
    }
    assert!(matches!(run(&session, "EXEC"), Value::Nil | Value::NilArray), "what was watched has changed");
    ok(&session, "SELECT 0");
    assert_eq!(ok(&session, "GET short"), Value::from("v"));
    assert!(info(&session).contains("loading:0"));
    ok(&session, "SET after w");
    drop((session, database));
    assert_eq!(
        ok(&open(directory.path()).0.session("test"), "MGET short after"),
        Value::Array(vec!["v".into(), "w".into()])
    );
}

#[test]
fn a_database_that_is_stopped_while_it_loads_gives_the_directory_back() {
    let directory = written();
    let (database, opening) = Database::begin(directory.path(), Config::default()).unwrap();
    let stopper = Cell::new(None);
    let failed = opening.finish(|_| {
        if stopper.take().is_none() {
            let database = database.clone();
            stopper.set(Some(std::thread::spawn(move || database.stop())));
        }
        // Until the stop has begun, the replay goes on.
        while !run(&database.session("test"), "SELECT 0").is_error() {
            std::thread::yield_now();
        }
    });
    assert!(matches!(failed, Err(Error::Stopped)), "{failed:?}");
    stopper.take().unwrap().join().unwrap().unwrap();
    assert_eq!(ok(&open(directory.path()).0.session("test"), "DBSIZE"), Value::Integer(5));
}

#[test]
fn a_damaged_log_ends_the_loading_and_frees_the_directory() {
    let directory = written();
    let file = last_file(directory.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (database, opening) = Database::begin(directory.path(), Config::default()).unwrap();
    assert!(matches!(opening.finish(|_| {}), Err(Error::Damaged { .. })));
    assert!(run(&database.session("test"), "GET short").is_error());
    // It is free, although a handle is left, and as it was.
    assert!(matches!(open_error(directory.path()), Error::Damaged { .. }));
}
