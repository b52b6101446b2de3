//! Sessions that look at, close and wake each other.

use windlass_engine::{Config, Delivery, Engine, Message, SessionId, Time};
use windlass_resp::Value;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn engine() -> (Engine, SessionId, SessionId) {
    let mut engine = Engine::new(Config::default());
    let first = engine.open_session("10.0.0.1:1000", NOW);
    let second = engine.open_session("10.0.0.2:2000", NOW);
    (engine, first, second)
}

fn number(id: SessionId) -> Vec<u8> {
    id.0.to_string().into_bytes()
}

#[test]
fn client_list_shows_every_session_and_its_caller() {
    let (mut engine, first, second) = engine();
    engine.execute(second, &[b"CLIENT", b"SETNAME", b"two"], NOW);
    engine.execute(second, &[b"SELECT", b"3"], NOW);
    engine.note_socket(second, "10.0.0.9:6380", 7);
    engine.note_unread(second, 1234);
    // Nobody's client: a session of the process that has asked for nothing.
    engine.open_session("embedded", NOW);
    let later = Time::from_millis(NOW.millis() + 7_000);
    let Some(Value::Verbatim("txt", text)) = engine.execute(first, &[b"CLIENT", b"LIST"], later).reply else {
        panic!("CLIENT LIST answers text");
    };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("id=1 addr=10.0.0.1:1000 laddr= fd=-1 name= age=7 idle=0 flags=N db=0"),
        "{text}"
    );
    assert!(
        lines[1].starts_with(
            "id=2 addr=10.0.0.2:2000 laddr=10.0.0.9:6380 fd=7 name=two age=7 idle=7 flags=N db=3"
        ),
        "{text}"
    );
    assert!(lines[0].contains(" qbuf=26 ") && lines[1].contains(" qbuf=0 "), "{text}");
    assert!(lines[0].contains(" omem=0 ") && lines[1].contains(" oll=1 omem=1234 "), "{text}");
}

#[test]
fn client_kill_closes_by_number_and_by_address() {
    let (mut engine, first, second) = engine();
    let outcome = engine.execute(first, &[b"CLIENT", b"KILL", b"ID", &number(second)], NOW);
    assert_eq!(outcome.reply, Some(Value::Integer(1)));
    assert_eq!(outcome.deliveries, [Delivery { session: second, message: Message::Close }]);
    let outcome = engine.execute(first, &[b"CLIENT", b"KILL", b"10.0.0.1:1000"], NOW);
    assert_eq!(outcome.reply, Some(Value::OK));
    assert_eq!(outcome.deliveries, [Delivery { session: first, message: Message::Close }]);
}

#[test]
fn client_kill_passes_over_its_caller_unless_told_otherwise() {
    let (mut engine, first, second) = engine();
    let outcome = engine.execute(first, &[b"CLIENT", b"KILL", b"TYPE", b"normal"], NOW);
    assert_eq!(outcome.deliveries, [Delivery { session: second, message: Message::Close }]);
    // The other is gone already.
    let args: &[&[u8]] = &[b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"no"];
    assert_eq!(engine.execute(first, args, NOW).reply, Some(Value::Integer(1)));
}

#[test]
fn a_session_that_was_killed_runs_nothing_more_and_goes_on_if_it_is_of_the_process() {
    let (mut engine, first, second) = engine();
    let own = engine.open_session("embedded", NOW);
    engine.execute(own, &[b"SUBSCRIBE", b"c"], NOW);
    for id in [second, own] {
        let reply = engine.execute(first, &[b"CLIENT", b"KILL", b"ID", &number(id)], NOW).reply;
        assert_eq!(reply, Some(Value::Integer(1)));
    }
    assert_eq!(engine.execute(second, &[b"SET", b"k", b"second"], NOW).reply, None);
    assert_eq!(engine.execute(own, &[b"GET", b"k"], NOW).reply, Some(Value::Nil));
    assert_eq!(engine.execute(first, &[b"PUBLISH", b"c", b"x"], NOW).reply, Some(Value::Integer(0)));
}

#[test]
fn a_password_set_later_binds_who_comes_later() {
    let (mut engine, first, _) = engine();
    engine.execute(first, &[b"CONFIG", b"SET", b"requirepass", b"secret"], NOW);
    assert_eq!(engine.execute(first, &[b"GET", b"k"], NOW).reply, Some(Value::Nil));
    let third = engine.open_session("10.0.0.3:3000", NOW);
    let reply = engine.execute(third, &[b"GET", b"k"], NOW).reply;
    assert_eq!(reply, Some(Value::Error("NOAUTH Authentication required.".into())));
}

#[test]
fn facts_replace_and_add_lines_of_info_and_config() {
    let (mut engine, first, _) = engine();
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    engine.set_facts("server", vec![line("tcp_port", "6379"), line("run_id", "abc")]);
    engine.set_facts("windlass", vec![line("directory", "/data")]);
    engine.set_facts("config", vec![line("appendonly", "yes")]);
    let Some(Value::Verbatim("txt", text)) = engine.execute(first, &[b"INFO"], NOW).reply else {
        panic!("INFO answers text");
    };
    assert!(text.contains("tcp_port:6379\r\n") && !text.contains("tcp_port:0\r\n"), "{text}");
    assert!(text.contains("run_id:abc\r\n") && text.contains("# windlass\r\ndirectory:/data\r\n"), "{text}");
    let reply = engine.execute(first, &[b"CONFIG", b"GET", b"appendonly"], NOW).reply;
    assert_eq!(reply, Some(Value::Map(vec![(Value::from("appendonly"), Value::from("yes"))])));
}

#[test]
fn client_unblock_ends_a_wait_as_its_timeout_would_or_with_an_error() {
    let (mut engine, first, second) = engine();
    let unblock = |engine: &mut Engine, reason: &[&[u8]]| {
        assert_eq!(engine.execute(second, &[b"BLPOP", b"k", b"0"], NOW).reply, None);
        let id = number(second);
        let args = [&[b"CLIENT".as_slice(), b"UNBLOCK", &id], reason].concat();
        let outcome = engine.execute(first, &args, NOW);
        assert_eq!(outcome.reply, Some(Value::Integer(1)));
        outcome.deliveries
    };
    let reply = |value| [Delivery { session: second, message: Message::Reply(value) }];
    assert_eq!(unblock(&mut engine, &[]), reply(Value::NilArray));
    assert_eq!(unblock(&mut engine, &[b"TIMEOUT"]), reply(Value::NilArray));
    let error = Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into());
    assert_eq!(unblock(&mut engine, &[b"ERROR"]), reply(error));
    assert!(!engine.is_waiting(second));
    let args: &[&[u8]] = &[b"CLIENT", b"UNBLOCK", &number(second)];
    assert_eq!(engine.execute(first, args, NOW).reply, Some(Value::Integer(0)));
}

#[test]
fn a_killed_session_that_waits_takes_nothing_more() {
    let (mut engine, first, second) = engine();
    engine.execute(second, &[b"BLPOP", b"k", b"0"], NOW);
    engine.execute(first, &[b"CLIENT", b"KILL", b"ID", &number(second)], NOW);
    let outcome = engine.execute(first, &[b"RPUSH", b"k", b"v"], NOW);
    assert_eq!((outcome.reply, outcome.deliveries.len()), (Some(Value::Integer(1)), 0));
    assert_eq!(engine.execute(first, &[b"LLEN", b"k"], NOW).reply, Some(Value::Integer(1)));
}

#[test]
fn swapping_databases_serves_who_waits_for_a_key_that_came_with_it() {
    let (mut engine, first, second) = engine();
    engine.execute(second, &[b"BLPOP", b"k", b"0"], NOW);
    engine.execute(first, &[b"SELECT", b"1"], NOW);
    engine.execute(first, &[b"RPUSH", b"k", b"v"], NOW);
    let outcome = engine.execute(first, &[b"SWAPDB", b"0", b"1"], NOW);
    let popped = Value::Array(vec![Value::from("k"), Value::from("v")]);
    assert_eq!(outcome.deliveries, [Delivery { session: second, message: Message::Reply(popped) }]);
}

#[test]
fn taking_from_a_stream_breaks_a_watch_and_wakes_nobody() {
    let (mut engine, first, second) = engine();
    for number in [b"1-1", b"1-2", b"1-3"] {
        engine.execute(first, &[b"XADD", b"s", number, b"f", b"v"], NOW);
    }
    let read: &[&[u8]] = &[b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"$"];
    assert_eq!(engine.execute(second, read, NOW).reply, None);
    let take: [&[&[u8]]; 2] = [&[b"XDEL", b"s", b"1-1"], &[b"XTRIM", b"s", b"MAXLEN", b"1"]];
    for args in take {
        engine.execute(first, &[b"WATCH", b"s"], NOW);
        assert_eq!(engine.execute(first, args, NOW).deliveries, []);
        engine.execute(first, &[b"MULTI"], NOW);
        assert_eq!(engine.execute(first, &[b"EXEC"], NOW).reply, Some(Value::NilArray));
    }
    let outcome = engine.execute(first, &[b"XADD", b"s", b"1-4", b"f", b"v"], NOW);
    assert_eq!(outcome.deliveries.len(), 1);
}
