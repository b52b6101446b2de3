//! A database that lives in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use windlass_db::{Called, Config, Database, ManualClock, Message, Position, Time};
use windlass_resp::Value;

fn reply(called: Called) -> Value {
    match called {
        Called::Reply(value, _) => value,
        other => panic!("no reply but {other:?}"),
    }
}

#[test]
fn sessions_of_several_threads_see_one_state() {
    let database = Database::memory(Config::default()).unwrap();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (database, done) = (&database, &done);
            scope.spawn(move || {
                let session = database.session("test");
                for number in 0..100 {
                    let key = format!("k{worker}-{number}");
                    assert_eq!(reply(session.call(&[b"SET", key.as_bytes(), b"v"])), Value::OK);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let session = database.session("test");
    assert_eq!(reply(session.call(&[b"GET", b"k3-99"])), Value::from("v"));
    assert_eq!(done.load(Ordering::Relaxed), 400);
    assert_eq!(database.facts().sessions, 1);
}

#[test]
fn nothing_is_pending_in_memory() {
    let database = Database::memory_with(Config::default(), ManualClock::new(Time::from_millis(1))).unwrap();
    let Called::Reply(_, position) = database.session("test").call(&[b"SET", b"k", b"v"]) else {
        panic!("SET waits")
    };
    assert_eq!(position, Position::START);
    assert!(database.is_durable(position));
    database.wait_durable(position).unwrap();
}

#[test]
fn a_stopped_database_refuses_calls_and_closes_its_sessions() {
    let database = Database::memory(Config::default()).unwrap();
    let session = database.session("test");
    database.stop().unwrap();
    assert_eq!(reply(session.call(&[b"GET", b"k"])), Value::Error("ERR the database is stopped".into()));
    assert_eq!(session.take_delivery(), Some((Message::Close, Position::START)));
    assert_eq!(database.session("late").take_delivery(), Some((Message::Close, Position::START)));
    database.stop().unwrap();
}
