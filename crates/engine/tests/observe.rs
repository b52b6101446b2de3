//! What the engine shows of its calls to whom it concerns, and what it leaves to its owner.

use windlass_engine::{Config, Engine, Message, SessionId, Time};
use windlass_resp::Value;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn engine() -> (Engine, SessionId) {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("10.0.0.1:1000", NOW);
    (engine, session)
}

fn run(engine: &mut Engine, session: SessionId, command: &str) -> Value {
    let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    engine.execute(session, &args, NOW).reply.expect("it is answered at once")
}

/// Runs a command that takes so many microseconds.
fn run_for(engine: &mut Engine, session: SessionId, command: &str, took_us: u64) {
    run(engine, session, command);
    let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    engine.note_duration(session, &args, took_us, NOW);
}

#[test]
fn the_slow_log_keeps_what_took_long_with_its_arguments_shortened() {
    let (mut engine, session) = engine();
    let long = format!("SET k {}", "x".repeat(200));
    let many = format!("DEL{}", " k".repeat(40));
    run_for(&mut engine, session, "GET fast", 9_999);
    run_for(&mut engine, session, &long, 10_000);
    run_for(&mut engine, session, &many, 20_000);
    let Value::Array(calls) = run(&mut engine, session, "SLOWLOG GET") else { panic!("an array") };
    let parts = |call: &Value| match call {
        Value::Array(parts) => parts.clone(),
        other => panic!("{other:?} is no array"),
    };
    let [newest, oldest] = [parts(&calls[0]), parts(&calls[1])];
    assert_eq!(newest[..3], [Value::Integer(1), Value::Integer(1_800_000_000), Value::Integer(20_000)]);
    let args = parts(&newest[3]);
    assert_eq!((args.len(), args.last()), (32, Some(&Value::from("... (10 more arguments)"))));
    let shortened = format!("{}... (72 more bytes)", "x".repeat(128));
    assert_eq!(parts(&oldest[3]), [Value::from("SET"), Value::from("k"), Value::from(shortened.as_str())]);
    assert_eq!(oldest[4..], [Value::from("10.0.0.1:1000"), Value::from("")]);
}

#[test]
fn a_secret_is_in_no_slow_log() {
    let (mut engine, session) = engine();
    run_for(&mut engine, session, "ACL SETUSER alice >secret on", 20_000);
    run_for(&mut engine, session, "CONFIG SET requirepass secret", 20_000);
    let shown = format!("{:?}", run(&mut engine, session, "SLOWLOG GET"));
    let secret = format!("{:?}", Value::from("secret"));
    assert!(!shown.contains(&secret) && !shown.contains(&format!("{:?}", Value::from(">secret"))), "{shown}");
}

#[test]
fn delays_are_events_from_the_threshold_on() {
    let (mut engine, session) = engine();
    run(&mut engine, session, "CONFIG SET latency-monitor-threshold 10");
    run_for(&mut engine, session, "GET k", 9_000);
    run_for(&mut engine, session, "GET k", 15_000);
    run_for(&mut engine, session, "KEYS *", 30_000);
    let event = |name: &str, took_ms: i64| {
        Value::Array(vec![
            Value::from(name),
            Value::Integer(1_800_000_000),
            Value::Integer(took_ms),
            Value::Integer(took_ms),
        ])
    };
    let latest = run(&mut engine, session, "LATENCY LATEST");
    assert_eq!(latest, Value::Array(vec![event("command", 30), event("fast-command", 15)]));
    assert_eq!(run(&mut engine, session, "LATENCY RESET command"), Value::Integer(1));
    assert_eq!(run(&mut engine, session, "LATENCY HISTORY command"), Value::Array(Vec::new()));
}

#[test]
fn a_removed_user_is_disconnected() {
    let (mut engine, session) = engine();
    run(&mut engine, session, "ACL SETUSER alice on nopass +@all ~*");
    let other = engine.open_session("10.0.0.2:2000", NOW);
    assert_eq!(run(&mut engine, other, "AUTH alice any"), Value::OK);
    let outcome = engine.execute(session, &[b"ACL", b"DELUSER", b"alice"], NOW);
    let closed: Vec<_> = outcome.deliveries.into_iter().map(|d| (d.session, d.message)).collect();
    assert_eq!(closed, [(other, Message::Close)]);
}

#[test]
fn without_random_bytes_there_is_no_password() {
    let (mut engine, session) = engine();
    assert!(run(&mut engine, session, "ACL GENPASS").is_error());
    engine.give_entropy([1; 32]);
    let Value::Bulk(first) = run(&mut engine, session, "ACL GENPASS") else { panic!("a password") };
    assert_eq!(first.len(), 64);
    assert!(run(&mut engine, session, "ACL GENPASS").is_error(), "random bytes are used once");
}

#[test]
fn shutdown_is_for_an_owner_that_listens() {
    let (mut engine, session) = engine();
    assert!(run(&mut engine, session, "SHUTDOWN").is_error());
    engine.set_facts("config", vec![("shutdown".into(), "yes".into())]);
    let outcome = engine.execute(session, &[b"SHUTDOWN", b"NOSAVE"], NOW);
    assert!(outcome.wants_shutdown && outcome.reply.is_none());
}

#[test]
fn keyspace_events_reach_subscribers_while_a_known_script_runs() {
    let (mut engine, session) = engine();
    run(&mut engine, session, "CONFIG SET notify-keyspace-events E$");
    let listener = engine.open_session("10.0.0.2:2000", NOW);
    engine.execute(listener, &[b"SUBSCRIBE", b"__keyevent@0__:set"], NOW);
    let outcome = engine.execute(session, &[b"EVAL", b"return redis.call('SET', 'k', 'v')", b"0"], NOW);
    let message = ["message", "__keyevent@0__:set", "k"].map(Value::from).to_vec();
    assert_eq!(outcome.deliveries[0].message, Message::Push(Value::Push(message)));
}

#[test]
fn info_tells_the_longest_call_and_tick_until_they_are_reset() {
    let (mut engine, session) = engine();
    run_for(&mut engine, session, "GET k", 1_234);
    run_for(&mut engine, session, "GET k", 12);
    engine.note_tick(2_345, NOW);
    engine.note_tick(23, NOW);
    let told = |engine: &mut Engine| {
        let Value::Verbatim(_, text) = run(engine, session, "INFO stats") else {
            panic!("INFO answers text")
        };
        let longest = text.lines().filter(|line| line.starts_with("longest_"));
        longest.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut engine), ["longest_call_us:1234", "longest_tick_us:2345"]);
    run(&mut engine, session, "CONFIG RESETSTAT");
    assert_eq!(told(&mut engine), ["longest_call_us:0", "longest_tick_us:0"]);
}
