//! What is deleted is gone at once and freed later.

use windlass_engine::{Config, Engine, Time};
use windlass_resp::Value;

const NOW: Time = Time::from_millis(1_800_000_000_000);

#[test]
fn an_emptied_database_is_freed_by_tick() {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("test", NOW);
    for number in 0..5_000 {
        engine.execute(session, &[b"SET", format!("key:{number}").as_bytes(), b"value"], NOW);
    }
    engine.execute(session, &[b"FLUSHALL"], NOW);
    let reply = engine.execute(session, &[b"DBSIZE"], NOW).reply;
    assert_eq!(reply, Some(Value::Integer(0)));
    assert_eq!(engine.bytes(), 0);
    assert!(engine.next_due().is_some_and(|due| due <= NOW), "there is something to free");
    let mut ticks = 0;
    while engine.next_due().is_some() {
        engine.tick(NOW, 100);
        ticks += 1;
    }
    assert!((40..=120).contains(&ticks), "5,000 keys took {ticks} ticks of 100");
}

#[test]
fn memory_is_counted_back_to_nothing() {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("test", NOW);
    let long = vec![b'x'; 1_000];
    for args in [
        &[b"SET".as_slice(), b"k", &long][..],
        &[b"SET", b"k", b"short"],
        &[b"APPEND", b"k", &long],
        &[b"SETRANGE", b"k", b"5000", b"x"],
        &[b"EXPIRE", b"k", b"100"],
        &[b"RENAME", b"k", b"a rather long name for such a key"],
        &[b"COPY", b"a rather long name for such a key", b"k"],
        &[b"SETBIT", b"k", b"80000", b"1"],
        &[b"GETSET", b"k", &long],
        &[b"INCR", b"n"],
        &[b"DEL", b"k", b"n", b"a rather long name for such a key"],
    ] {
        let reply = engine.execute(session, args, NOW).reply;
        assert!(!reply.expect("these answer").is_error(), "{}", args[0].escape_ascii());
    }
    assert_eq!(engine.execute(session, &[b"DBSIZE"], NOW).reply, Some(Value::Integer(0)));
    // The table of keys keeps one bucket.
    assert!(engine.bytes() < 100, "{} bytes are left", engine.bytes());
}

/// The words of the n-th member in a command that adds it.
type Words = fn(usize) -> Vec<String>;

/// Makes a value of 20,000 members by commands of 100 each.
fn fill(
    engine: &mut Engine,
    session: windlass_engine::SessionId,
    name: &str,
    words: fn(usize) -> Vec<String>,
) {
    for start in (0..20_000).step_by(100) {
        let mut args = vec![name.to_owned(), "big".to_owned()];
        args.extend((start..start + 100).flat_map(words));
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let reply = engine.execute(session, &args, NOW).reply;
        assert!(!reply.expect("these answer").is_error(), "{name}");
    }
}

#[test]
fn a_big_value_of_every_type_is_freed_by_tick() {
    // A list is freed by blocks of some hundred items, a sorted set by blocks and by the buckets of its index.
    let makers: [(&str, Words, usize); 4] = [
        ("RPUSH", |n| vec![format!("{n:0>500}")], 6),
        ("SADD", |n| vec![format!("member:{n}")], 180),
        ("HSET", |n| vec![format!("field:{n}"), "value".into()], 180),
        ("ZADD", |n| vec![n.to_string(), format!("member:{n}")], 30),
    ];
    for (name, words, ticks_min) in makers {
        let mut engine = Engine::new(Config::default());
        let session = engine.open_session("test", NOW);
        fill(&mut engine, session, name, words);
        // An overwritten value is deleted, too.
        engine.execute(session, &[b"SET", b"big", b"small"], NOW);
        assert_freed_by_tick(&mut engine, name, ticks_min);
    }
}

#[test]
fn a_big_stream_with_pending_entries_is_freed_by_tick() {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("test", NOW);
    for _ in 0..10_000 {
        engine.execute(session, &[b"XADD", b"big", b"*", b"field", b"value"], NOW);
    }
    engine.execute(session, &[b"XGROUP", b"CREATE", b"big", b"group", b"0"], NOW);
    let read = [&b"XREADGROUP"[..], b"GROUP", b"group", b"me", b"STREAMS", b"big", b">"];
    engine.execute(session, &read, NOW);
    engine.execute(session, &[b"UNLINK", b"big"], NOW);
    assert_freed_by_tick(&mut engine, "XADD", 100);
}

fn assert_freed_by_tick(engine: &mut Engine, name: &str, ticks_min: usize) {
    let mut ticks = 0;
    while engine.next_due().is_some() && ticks < 1_000 {
        engine.tick(NOW, 100);
        ticks += 1;
    }
    assert!((ticks_min..=300).contains(&ticks), "what {name} made took {ticks} ticks of 100");
}

#[test]
fn keys_that_end_at_once_go_by_one_budget_in_all_databases() {
    const KEYS: usize = 20_000;
    const BUDGET: usize = 200;
    let mut engine = Engine::new(Config::default());
    let sessions = ["0", "5", "15"].map(|db| {
        let session = engine.open_session("test", NOW);
        engine.execute(session, &[b"SELECT", db.as_bytes()], NOW);
        session
    });
    let end = (NOW.millis() + 1000).to_string();
    for number in 0..KEYS {
        let key = format!("key:{number}");
        let args = [b"SET", key.as_bytes(), b"value", b"PXAT", end.as_bytes()];
        engine.execute(sessions[number % sessions.len()], &args, NOW);
    }
    let later = Time::from_millis(NOW.millis() + 1000);
    let mut left = KEYS;
    while engine.next_due().is_some() {
        engine.tick(later, BUDGET);
        let sizes = sessions.map(|session| match engine.execute(session, &[b"DBSIZE"], later).reply {
            Some(Value::Integer(size)) => usize::try_from(size).expect("a size"),
            other => panic!("DBSIZE answers a number, not {other:?}"),
        });
        let now = sizes.iter().sum();
        assert!((1..=BUDGET).contains(&(left - now)), "one tick ended {} keys", left - now);
        left = now;
    }
    assert_eq!(left, 0);
}

#[test]
fn a_growing_hash_is_never_copied_whole() {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("test", NOW);
    let mut before = engine.bytes();
    for number in 0..50_000 {
        let field = format!("field:{number}");
        engine.execute(session, &[b"HSET", b"big", field.as_bytes(), b"value"], NOW);
        // What one field adds is its own bytes, a bucket that is split, or a segment of buckets: never the whole again.
        let after = engine.bytes();
        let added = after.abs_diff(before);
        assert!(added < GROWTH_MAX, "field {number} changed {added} bytes of {after}");
        before = after;
    }
}

/// The most bytes by which one field may change what a hash takes: a segment of its table with its buckets.
const GROWTH_MAX: usize = 16 * 1024;
