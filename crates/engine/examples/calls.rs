//! What a call costs the engine alone: one command, or one script, again and again. What the scripts of jobs cost is
//! told by the example `turn`.
//!
//! `cargo run --release -p windlass-engine --example calls -- <case> [calls]`; without a case it names them. To compare two
//! versions count instructions, which do not depend on what else the machine does:
//! `perf stat -e instructions:u`, or callgrind. A run with 0 calls tells what the start takes.

use windlass_engine::{Config, Engine, Time};
use windlass_resp::Value;

/// The script of `windlass bench store`.
const FIVE_CALLS: &str = "local n = redis.call('INCR', KEYS[1]) redis.call('SET', KEYS[2], n) redis.call('GET', KEYS[2]) \
    redis.call('HSET', KEYS[3], 'f', n) return redis.call('HLEN', KEYS[3])";
/// Replies with many values, tables and numbers.
const TABLES: &str = "local t = redis.call('LRANGE', KEYS[1], 0, -1) local n = 0 \
    for i = 1, #t do n = n + #t[i] end return {n, t[1], ARGV[1]}";

/// Commands: `#` stands for a number that changes from call to call, `$` for a value of 16 bytes.
const COMMANDS: [(&str, &str); 11] = [
    ("set", "SET key:# $"),
    ("get", "GET key:#"),
    ("missing", "GET none:#"),
    ("incr", "INCR counter:#"),
    ("lpush", "LPUSH list $"),
    ("rpop", "RPOP list"),
    ("sadd", "SADD set member:#"),
    ("hset", "HSET hash field:# $"),
    ("zadd", "ZADD zset # member:#"),
    ("xadd", "XADD stream MAXLEN ~ 100000 * j $"),
    ("ping", "PING"),
];
/// How many different numbers there are.
const NUMBERS: u64 = 100_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let case = args.next().unwrap_or_default();
    let calls: u64 = args.next().map_or(300_000, |arg| arg.parse().expect("a number"));
    let mut driver = Driver::new();
    match case.as_str() {
        "script" => driver.scripts(FIVE_CALLS, &["3", "a:#", "b:#", "c:#"], calls),
        "empty" => driver.scripts("return 1", &["0"], calls),
        "tables" => {
            (0..20).for_each(|_| drop(driver.run(&[b"RPUSH", b"list", b"element"])));
            driver.scripts(TABLES, &["1", "list", "argument"], calls);
        }
        name => match COMMANDS.iter().find(|(other, _)| *other == name) {
            Some((_, command)) => driver.commands(command, calls),
            None => {
                let names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
                println!("script, empty, tables, {}", names.join(", "));
            }
        },
    }
}

struct Driver {
    engine: Engine,
    session: windlass_engine::SessionId,
    now: Time,
    number: u64,
    log: Vec<u8>,
}

impl Driver {
    fn new() -> Self {
        let now = Time::from_millis(1_700_000_000_000);
        let mut engine = Engine::new(Config { native_scripts: false, ..Config::default() });
        let session = engine.open_session("calls", now);
        Self { engine, session, now, number: 0, log: Vec::new() }
    }

    fn run(&mut self, args: &[&[u8]]) -> Option<Value> {
        let reply = self.engine.execute(self.session, args, self.now).reply;
        self.engine.effects().append_to(&mut self.log);
        self.log.clear();
        reply
    }

    fn load(&mut self, text: &str) -> String {
        match self.run(&[b"SCRIPT", b"LOAD", text.as_bytes()]) {
            Some(Value::Bulk(digest)) => String::from_utf8_lossy(&digest).into_owned(),
            other => panic!("the script is not well-formed: {other:?}"),
        }
    }

    fn commands(&mut self, command: &str, calls: u64) {
        let words: Vec<&str> = command.split(' ').collect();
        if words[0] == "GET" {
            for number in 0..NUMBERS {
                self.run(&[b"SET", format!("key:{number}").as_bytes(), &[b'x'; 16]]);
            }
        }
        if words[0] == "RPOP" {
            (0..calls).for_each(|_| drop(self.run(&[b"LPUSH", b"list", &[b'x'; 16]])));
        }
        let mut texts: Vec<Vec<u8>> = vec![Vec::new(); words.len()];
        for _ in 0..calls {
            self.number =
                (self.number.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1_442_695_040_888_963_407);
            let number = ((self.number >> 33) % NUMBERS).to_string();
            for (text, word) in texts.iter_mut().zip(&words) {
                text.clear();
                match word.strip_suffix('#') {
                    Some(head) => text.extend_from_slice(&[head.as_bytes(), number.as_bytes()].concat()),
                    None if *word == "$" => text.extend_from_slice(&[b'x'; 16]),
                    None => text.extend_from_slice(word.as_bytes()),
                }
            }
            let args: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let reply = self.run(&args);
            assert!(!matches!(reply, Some(Value::Error(_))), "{reply:?}");
        }
    }

    fn scripts(&mut self, text: &str, parameters: &[&str], calls: u64) {
        let digest = self.load(text);
        let command = format!("EVALSHA {digest} {}", parameters.join(" "));
        self.commands(&command, calls);
    }
}
