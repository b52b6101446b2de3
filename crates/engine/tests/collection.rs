//! Lists, hashes and sets from outside: the log and the dump both rebuild them, also where random choice and the
//! larger forms of the structures come in, which fixtures are too short for.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;

/// When everything happens.
const NOW: Time = Time::from_millis(1_800_000_000_000);

fn engine(seed: u64) -> (Engine, SessionId) {
    let mut engine = Engine::new(Config { seed, ..Config::default() });
    let session = engine.open_session("test", NOW);
    (engine, session)
}

/// Runs one command that is written with spaces.
fn run(engine: &mut Engine, session: SessionId, command: &str) -> Value {
    let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    engine.execute(session, &args, NOW).reply.expect("no command here waits")
}

/// What is stored, whatever the order in which sets and hashes give it.
#[derive(Debug, Default, PartialEq)]
struct Content {
    lists: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    others: BTreeSet<Vec<Vec<u8>>>,
}

fn content(engine: &Engine) -> Content {
    let mut content = Content::default();
    engine.dump(|args| {
        assert!(args.len() <= 66, "a record of {} words", args.len());
        let words: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        match args[0] {
            b"RPUSH" => content.lists.entry(words[1].clone()).or_default().extend_from_slice(&words[2..]),
            name => {
                let width = if name == b"HSET" { 2 } else { 1 };
                for member in words[1..].get(1..).unwrap_or_default().chunks(width) {
                    content.others.insert([&words[..2], member].concat());
                }
            }
        }
    });
    content
}

/// The records of a log.
fn records(mut log: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let number = |mark: u8, log: &mut &[u8]| -> usize {
        let end = log.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
        assert_eq!(log[0], mark);
        let number = std::str::from_utf8(&log[1..end]).expect("a number").parse().expect("a number");
        *log = &log[end + 2..];
        number
    };
    let mut records = Vec::new();
    while !log.is_empty() {
        let words = number(b'*', &mut log);
        let mut record = Vec::new();
        for _ in 0..words {
            let length = number(b'$', &mut log);
            record.push(log[..length].to_vec());
            log = &log[length + 2..];
        }
        records.push(record);
    }
    records
}

fn replayed(records: &[Vec<Vec<u8>>]) -> Engine {
    let (mut engine, session) = engine(99);
    for record in records {
        let args: Vec<&[u8]> = record.iter().map(Vec::as_slice).collect();
        engine.replay(session, &args).expect("a record fits the state");
    }
    engine
}

/// Many members in one command, `number` of them.
fn many(command: &str, key: u8, from: u16, number: u16, word: &str) -> String {
    let members: Vec<String> = (from..from + number).map(|member| format!("{word}{member}")).collect();
    format!("{command} {key} {}", members.join(" "))
}

fn command() -> impl Strategy<Value = String> {
    let key = 0..3_u8;
    let span = (0..600_u16, 1..200_u16);
    let word = prop::sample::select(vec!["", "w", "a-member-that-is-longer-than-what-is-stored-in-place-"]);
    let list = prop::sample::select(vec!["LPUSH l", "RPUSH l"]);
    let set = prop::sample::select(vec!["SADD s", "SADD s", "SREM s"]);
    prop_oneof![
        (list, key.clone(), span.clone(), word.clone())
            .prop_map(|(command, key, (from, number), word)| many(command, key, from, number, word)),
        (set, key.clone(), span.clone(), word.clone())
            .prop_map(|(command, key, (from, number), word)| many(command, key, from, number, word)),
        (key.clone(), (0..600_u16, 1..100_u16), word).prop_map(|(key, (from, number), word)| many(
            "HSET h",
            key,
            from,
            number * 2,
            word
        )),
        (key.clone(), span).prop_map(|(key, (from, number))| many("HDEL h", key, from, number, "")),
        (key.clone(), 0..300_u16).prop_map(|(key, count)| format!("SPOP s {key} {count}")),
        (key.clone(), 0..300_u16).prop_map(|(key, count)| format!("LPOP l {key} {count}")),
        (key.clone(), -300..300_i16).prop_map(|(key, count)| format!("LREM l {key} {count} w7")),
        (key.clone(), 0..90_i16).prop_map(|(key, start)| format!("LTRIM l {key} {start} -{}", start + 1)),
        (key.clone(), key.clone()).prop_map(|(from, to)| format!("BLMOVE l {from} l {to} LEFT RIGHT 0")),
        (key.clone(), 1..100_u16).prop_map(|(key, count)| format!("BLMPOP 0 1 l {key} RIGHT COUNT {count}")),
        (key.clone(), 0..9_u8).prop_map(|(key, field)| format!("HINCRBYFLOAT h {key} n{field} 0.1")),
        (key.clone(), key.clone(), key.clone())
            .prop_map(|(to, a, b)| format!("SDIFFSTORE s {to} s {a} s {b}")),
        (key.clone(), key).prop_map(|(from, to)| format!("SMOVE s {from} s {to} w7")),
    ]
}

/// Joins a family's letter with the number of its key: `l 1` becomes `l1`.
fn join_keys(command: &str) -> String {
    ["l", "h", "s"]
        .iter()
        .fold(command.to_owned(), |text, letter| text.replace(&format!(" {letter} "), &format!(" {letter}")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_log_and_the_dump_rebuild_the_state(commands in prop::collection::vec(command(), 1..60)) {
        let (mut engine, session) = engine(1);
        engine.effects().set_recording(true);
        // A blocking command in a transaction answers at once.
        for command in &commands {
            run(&mut engine, session, "MULTI");
            run(&mut engine, session, &join_keys(command));
            let reply = run(&mut engine, session, "EXEC");
            prop_assert!(matches!(&reply, Value::Array(replies) if !replies[0].is_error()), "{} {:?}", command, reply);
        }
        let log = engine.effects().take();
        let expected = content(&engine);
        prop_assert_eq!(&content(&replayed(&records(&log))), &expected);
        let mut dumped = Vec::new();
        engine.dump(|args| dumped.push(args.iter().map(|arg| arg.to_vec()).collect()));
        prop_assert_eq!(&content(&replayed(&dumped)), &expected);
        run(&mut engine, session, "DEL l0 l1 l2 h0 h1 h2 s0 s1 s2");
        // What is left is the keyspace's own first bucket, which a key that came and went leaves, too.
        let (mut empty, other) = self::engine(1);
        for command in ["SET k v", "DEL k"] {
            run(&mut engine, session, command);
            run(&mut empty, other, command);
        }
        prop_assert_eq!(engine.bytes(), empty.bytes());
    }
}

#[test]
fn a_big_collection_is_freed_by_budget() {
    let (mut engine, session) = engine(1);
    for command in ["RPUSH l", "SADD s", "HSET h"] {
        for from in (0..6_000).step_by(200) {
            run(&mut engine, session, &join_keys(&many(command, 0, from, 200, "member-")));
        }
    }
    assert_eq!(run(&mut engine, session, "DEL l0 s0 h0"), Value::Integer(3));
    let mut ticks = 0;
    while engine.next_due().is_some() {
        engine.tick(NOW, 100);
        ticks += 1;
        assert!(ticks < 1_000, "the freeing does not end");
    }
    // The list goes by blocks, of which it has a few.
    assert!(ticks >= 80, "10,000 members and a list were freed in {ticks} steps of 100");
}
