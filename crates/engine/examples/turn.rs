//! What a job costs the engine alone: pushes jobs and has a worker end them and take the next, in batches.
//!
//! `cargo run --release -p windlass-engine --example turn -- [batches] [jobs per batch] [text]`; with
//! `text` the scripts run as Lua, without their native bodies. To compare two versions count instructions, which do not
//! depend on what else the machine does: `perf stat -e instructions:u`, or callgrind.

use std::time::Instant;

use windlass_engine::{Config, Engine, Time};
use windlass_resp::Value;

const PUSH: &str = include_str!("../../windlass/lua/push.lua");
const EXCHANGE: &str = concat!(
    include_str!("../../windlass/lua/fence.lua"),
    include_str!("../../windlass/lua/after.lua"),
    include_str!("../../windlass/lua/exchange.lua")
);
/// The bytes of an envelope.
const ENVELOPE: usize = 120;

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let native_scripts = args.pop_if(|last| last == "text").is_none();
    let mut numbers = args.iter().map(|arg| arg.parse().expect("a number"));
    let (batches, jobs) = (numbers.next().unwrap_or(20_000), numbers.next().unwrap_or(50));
    let mut now = Time::from_millis(1_700_000_000_000);
    let mut engine = Engine::new(Config { native_scripts, ..Config::default() });
    engine.effects().set_recording(true);
    let session = engine.open_session("turn", now);
    let mut load =
        |text: &str| match engine.execute(session, &[b"SCRIPT", b"LOAD", text.as_bytes()], now).reply {
            Some(Value::Bulk(digest)) => digest,
            other => panic!("the script is not well-formed: {other:?}"),
        };
    let (push_digest, exchange_digest) = (load(PUSH), load(EXCHANGE));
    let create: [&[u8]; 6] = [b"XGROUP", b"CREATE", b"wl:{default}:ready:default", b"w", b"0", b"MKSTREAM"];
    engine.execute(session, &create, now);

    let envelope = vec![b'e'; ENVELOPE];
    let mut push: Vec<&[u8]> = vec![
        b"EVALSHA",
        &push_digest,
        b"2",
        b"wl:{default}:ready:default",
        b"wl:{default}:wake:default",
        b"count",
    ];
    push.extend(std::iter::repeat_n(&*envelope, jobs));
    let count = jobs.to_string();
    let mut head: Vec<&[u8]> = vec![b"EVALSHA", &exchange_digest, b"9"];
    head.extend::<[&[u8]; 9]>([
        b"wl:{default}:ready:default",
        b"wl:{default}:suspect:default",
        b"wl:{default}:moved",
        b"wl:{default}:stats",
        b"wl:{default}:gate:default",
        b"wl:{default}:gate:default",
        b"wl:{default}:ready:default",
        b"wl:{default}:wake:default",
        b"wl:{default}:suspect:default",
    ]);
    head.push(b"worker-0123456789abcdef");

    let (mut log, mut ended, mut done) = (Vec::new(), Vec::new(), 0);
    let started = Instant::now();
    for _ in 0..batches {
        now = Time::from_micros(now.micros() + 150);
        engine.execute(session, &push, now);
        engine.effects().append_to(&mut log);
        let held = entries(&ended);
        let number = held.len().to_string();
        let mut exchange = head.clone();
        exchange.extend::<[&[u8]; 5]>([number.as_bytes(), count.as_bytes(), b"0", b"0", b"0"]);
        exchange.extend(held.iter().flat_map(|id| [id, b"1".as_slice()]));
        let reply = engine.execute(session, &exchange, now).reply;
        engine.effects().append_to(&mut log);
        done += held.len();
        let Some(Value::Array(answer)) = reply else { panic!("no answer: {reply:?}") };
        ended = answer;
        log.clear();
    }
    let each = started.elapsed().as_nanos() as f64 / done as f64;
    println!("{done} jobs, {each:.0} ns each");
}

/// The ids of the entries that an exchange gave.
fn entries(answer: &[Value]) -> Vec<&[u8]> {
    let Some(taken) = answer.get(2) else { return Vec::new() };
    items(&items(taken)[1])
        .iter()
        .map(|entry| if let Value::Bulk(id) = &items(entry)[0] { id } else { &[][..] })
        .collect()
}

fn items(value: &Value) -> &[Value] {
    if let Value::Array(items) = value { items } else { panic!("{value:?} is no array") }
}
