//! Commands that wait, and the clock that ends their waits.

use std::time::Duration;

use windlass_db::{Called, Config, Database, ManualClock, Message, Position, Session, Time};
use windlass_resp::Value;

use crate::store::{ok, run};

fn database() -> (Database, ManualClock) {
    let clock = ManualClock::new(Time::from_millis(1_000_000));
    (Database::memory_with(Config::default(), clock.clone()).unwrap(), clock)
}

fn delivered(session: &Session) -> Option<Message> {
    session.take_delivery().map(|(message, _)| message)
}

#[test]
fn a_wait_is_served_by_a_push_or_ended_by_the_clock() {
    let (database, clock) = database();
    let (taker, pusher) = (database.session("taker"), database.session("pusher"));
    assert_eq!(taker.call(&[b"BLPOP", b"queue", b"0"]), Called::Waiting);
    ok(&pusher, "RPUSH queue job");
    let reply = Value::Array(vec!["queue".into(), "job".into()]);
    assert_eq!(delivered(&taker), Some(Message::Reply(reply)));

    assert_eq!(taker.call(&[b"BLPOP", b"queue", b"2"]), Called::Waiting);
    clock.advance(Duration::from_millis(1999));
    assert_eq!(delivered(&taker), None);
    clock.advance(Duration::from_millis(1));
    assert_eq!(delivered(&taker), Some(Message::Reply(Value::NilArray)));
}

#[test]
fn a_session_that_waits_cannot_call_and_may_give_up() {
    let (database, _) = database();
    let session = database.session("test");
    assert!(!session.stop_waiting());
    assert_eq!(session.call(&[b"BLPOP", b"queue", b"0"]), Called::Waiting);
    assert!(matches!(session.call(&[b"PING"]), Called::Reply(Value::Error(_), Position::START)));
    assert!(session.stop_waiting());
    ok(&session, "RPUSH queue job");
    assert_eq!(run(&session, "LLEN queue"), Value::Integer(1));
    assert_eq!(delivered(&session), None);
}

#[test]
fn a_session_that_went_away_takes_nothing() {
    let (database, _) = database();
    let session = database.session("gone");
    assert_eq!(session.call(&[b"BLPOP", b"queue", b"0"]), Called::Waiting);
    drop(session);
    let pusher = database.session("pusher");
    ok(&pusher, "RPUSH queue job");
    assert_eq!(run(&pusher, "LLEN queue"), Value::Integer(1));
}

#[test]
fn an_advance_ends_keys_and_waits_in_the_order_of_their_time() {
    let (database, clock) = database();
    let (first, second) = (database.session("first"), database.session("second"));
    ok(&first, "SET k v PX 500");
    assert_eq!(second.call(&[b"BLPOP", b"queue", b"3"]), Called::Waiting);
    assert_eq!(first.call(&[b"BLPOP", b"queue", b"1"]), Called::Waiting);
    clock.advance(Duration::from_secs(2));
    assert_eq!(delivered(&first), Some(Message::Reply(Value::NilArray)));
    assert_eq!(delivered(&second), None);
    assert_eq!(run(&first, "DBSIZE"), Value::Integer(0));
    clock.advance(Duration::from_secs(60));
    assert_eq!(delivered(&second), Some(Message::Reply(Value::NilArray)));
}

#[test]
fn the_systems_clock_ends_waits_by_itself() {
    let database = Database::memory(Config::default()).unwrap();
    let session = database.session("test");
    assert_eq!(session.call(&[b"BLPOP", b"queue", b"0.02"]), Called::Waiting);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let message = runtime.block_on(session.next_delivery()).unwrap();
    assert_eq!(message, Message::Reply(Value::NilArray));
}

#[test]
fn messages_of_a_channel_reach_who_subscribed() {
    let (database, _) = database();
    let (listener, speaker) = (database.session("listener"), database.session("speaker"));
    assert_eq!(listener.call(&[b"SUBSCRIBE", b"news"]), Called::Delivered);
    assert!(matches!(delivered(&listener), Some(Message::Push(_))));
    assert_eq!(run(&speaker, "PUBLISH news hello"), Value::Integer(1));
    let message = Value::Push(vec!["message".into(), "news".into(), "hello".into()]);
    assert_eq!(delivered(&listener), Some(Message::Push(message)));
}
