//! How long a freeze of many keys holds the engine, and what the first writes after it cost.
//!
//! `cargo run --release -p windlass-engine --example freeze -- [keys]`.

use std::time::{Duration, Instant};

use windlass_engine::{Config, Engine, Time};

/// Writes that are timed one by one after the freeze.
const WRITES: usize = 2_000;

fn main() {
    let keys: usize = std::env::args().nth(1).map_or(10_000_000, |arg| arg.parse().expect("a number"));
    let now = Time::from_millis(1_700_000_000_000);
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("freeze", now);
    for number in 0..keys {
        engine.execute(session, &[b"SET", format!("key:{number}").as_bytes(), b"value"], now);
        for (name, place) in
            [(&b"HSET"[..], &b"hash"[..]), (b"RPUSH", b"list"), (b"ZADD", b"zset"), (b"XADD", b"stream")]
        {
            let (member, id) = (number.to_string(), format!("{}-1", number + 1));
            match name {
                b"RPUSH" => engine.execute(session, &[name, place, member.as_bytes()], now),
                b"XADD" => {
                    engine.execute(session, &[name, place, id.as_bytes(), b"field", member.as_bytes()], now)
                }
                _ => engine.execute(session, &[name, place, member.as_bytes(), member.as_bytes()], now),
            };
        }
    }
    let sets = |engine: &mut Engine| {
        let mut each: Vec<Duration> = (0..WRITES)
            .map(|number| {
                let key = format!("key:{}", number * (keys / WRITES));
                let started = Instant::now();
                engine.execute(session, &[b"SET", key.as_bytes(), b"other"], now);
                started.elapsed()
            })
            .collect();
        spread(&mut each)
    };
    println!("a SET before a freeze: {}", sets(&mut engine));
    let started = Instant::now();
    let frozen = engine.freeze();
    println!("a freeze of {} keys took {:?}", frozen.len(), started.elapsed());
    println!("the first SET of each key after it: {}", sets(&mut engine));
    println!("the second: {}", sets(&mut engine));
    let member = (keys / 2).to_string();
    let member = member.as_bytes();
    let writes: [&[&[u8]]; 4] = [
        &[b"HSET", b"hash", member, b"other"],
        &[b"RPUSH", b"list", member],
        &[b"ZADD", b"zset", b"1", member],
        &[b"XADD", b"stream", b"*", b"field", b"value"],
    ];
    for write in writes {
        let mut each = [Duration::ZERO; 2];
        for took in &mut each {
            let started = Instant::now();
            engine.execute(session, write, now);
            *took = started.elapsed();
        }
        println!("{} into {keys} members: first {:?}, then {:?}", write[0].escape_ascii(), each[0], each[1]);
    }
    let started = Instant::now();
    drop(frozen);
    println!("the copy was dropped, on whatever thread has it, in {:?}", started.elapsed());
}

fn spread(each: &mut [Duration]) -> String {
    each.sort();
    let at = |share: usize| each[(each.len() - 1) * share / 1_000];
    format!("median {:?}, 99% within {:?}, at most {:?}", at(500), at(990), at(1_000))
}
