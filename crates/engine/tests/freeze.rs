//! A frozen copy stays what it was, and the engine goes on as if there were none.

use std::ops::ControlFlow;

use proptest::prelude::*;
use windlass_engine::{Config, Engine, Frozen, SessionId, Time};

const NOW: Time = Time::from_millis(1_800_000_000_000);

type Command = Vec<Vec<u8>>;

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn run(engine: &mut Engine, session: SessionId, args: &Command) {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let reply = engine.execute(session, &args, NOW).reply.expect("none of these waits");
    // The group of a stream that was deleted is gone with it; all else is right.
    if let windlass_resp::Value::Error(text) = reply {
        assert!(
            text.to_string().starts_with("NOGROUP") || text.to_string().contains("no such key"),
            "{text}"
        );
    }
}

fn written(frozen: &Frozen) -> Vec<Command> {
    let mut commands = Vec::new();
    let is_whole = frozen.clone().dump(|args| {
        commands.push(args.iter().map(|arg| arg.to_vec()).collect());
        ControlFlow::Continue(())
    });
    assert!(is_whole);
    commands
}

/// One key of each type and size, several blocks long where it is large.
fn setup() -> Vec<Command> {
    let mut commands = Vec::new();
    for (size, count) in [("small", 5), ("large", 1_500)] {
        for number in 0..count {
            let member = format!("m{number}");
            let long = format!("{number:040}");
            commands.push(command(&["HSET", &format!("hash:{size}"), &member, &long]));
            commands.push(command(&["SADD", &format!("set:{size}"), &member]));
            commands.push(command(&["RPUSH", &format!("list:{size}"), &member]));
            commands.push(command(&["ZADD", &format!("zset:{size}"), &number.to_string(), &member]));
            commands.push(command(&["XADD", &format!("stream:{size}"), "*", "field", &long]));
        }
        commands.push(command(&["SADD", &format!("integers:{size}"), "1", "2", "3"]));
        commands.push(command(&["SET", &format!("string:{size}"), &"x".repeat(count * 4)]));
        commands.push(command(&["XGROUP", "CREATE", &format!("stream:{size}"), "group", "0"]));
        let read =
            ["XREADGROUP", "GROUP", "group", "me", "COUNT", "3", "STREAMS", &format!("stream:{size}"), ">"];
        commands.push(command(&read));
    }
    for number in 0..800 {
        commands.push(command(&["SET", &format!("key:{number}"), "value", "EX", "1000"]));
    }
    commands
}

fn write() -> impl Strategy<Value = Command> {
    let size = prop::sample::select(vec!["small", "large"]);
    (0..24_u8, size, 0..1_700_usize).prop_map(|(kind, size, number)| {
        let member = format!("m{number}");
        let score = (number % 97).to_string();
        let key = |name: &str| format!("{name}:{size}");
        let id = format!("1800000000000-{number}");
        match kind {
            0 => command(&["HSET", &key("hash"), &member, "other"]),
            1 => command(&["HDEL", &key("hash"), &member]),
            2 => command(&["SADD", &key("set"), &member, &score]),
            3 => command(&["SREM", &key("set"), &member]),
            4 => command(&["SADD", &key("integers"), &score]),
            5 => command(&["RPUSH", &key("list"), &member]),
            6 => command(&["LPOP", &key("list"), &score]),
            7 => command(&["LREM", &key("list"), "0", &member]),
            8 => command(&["LINSERT", &key("list"), "BEFORE", &member, "inserted"]),
            9 => command(&["ZADD", &key("zset"), &score, &member]),
            10 => command(&["ZREM", &key("zset"), &member]),
            11 => command(&["ZPOPMIN", &key("zset"), "7"]),
            12 => command(&["XADD", &key("stream"), "*", "field", &member]),
            13 => command(&["XDEL", &key("stream"), &id]),
            14 => command(&["XACK", &key("stream"), "group", &id]),
            15 => command(&[
                "XREADGROUP",
                "GROUP",
                "group",
                &member,
                "COUNT",
                "5",
                "STREAMS",
                &key("stream"),
                ">",
            ]),
            16 => command(&["XTRIM", &key("stream"), "MAXLEN", &number.to_string()]),
            17 => command(&["APPEND", &key("string"), &member]),
            18 => command(&["SETRANGE", &key("string"), &number.to_string(), "y"]),
            19 => command(&["DEL", &format!("key:{number}")]),
            20 => command(&["SET", &format!("key:{number}"), &member]),
            21 => command(&["COPY", &key("hash"), &key("copy"), "REPLACE"]),
            22 => command(&["HSET", &key("copy"), &member, "of the copy"]),
            _ => command(&["UNLINK", &key(["hash", "set", "list", "zset", "stream"][number % 5])]),
        }
    })
}

fn engine() -> (Engine, SessionId) {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("test", NOW);
    setup().iter().for_each(|args| run(&mut engine, session, args));
    (engine, session)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_frozen_copy_stays_what_it_was(
        before in prop::collection::vec(write(), 0..40),
        between in prop::collection::vec(write(), 0..150),
        after in prop::collection::vec(write(), 0..150),
    ) {
        let ((mut engine, session), (mut control, its_session)) = (engine(), engine());
        let mut held = Vec::new();
        for commands in [before, between, after] {
            for args in &commands {
                run(&mut engine, session, args);
                run(&mut control, its_session, args);
            }
            engine.tick(NOW, 100);
            control.tick(NOW, 100);
            for (frozen, content) in &held {
                prop_assert!(written(frozen) == *content, "a frozen copy has changed");
            }
            prop_assert!(written(&engine.freeze()) == written(&control.freeze()), "sharing shows in the engine");
            let frozen = engine.freeze();
            let content = written(&frozen);
            held.push((frozen, content));
        }
        drop(held.remove(0));
        run(&mut engine, session, &command(&["FLUSHALL"]));
        while engine.next_due().is_some() {
            engine.tick(NOW, 1_000);
        }
        prop_assert_eq!(engine.bytes(), 0);
        for (frozen, content) in &held {
            prop_assert!(written(frozen) == *content, "freeing what is shared has changed it");
        }
    }
}

#[test]
fn memory_is_counted_back_to_nothing_although_blocks_were_copied() {
    let (mut engine, session) = engine();
    let keys: Vec<String> = ["hash", "set", "list", "zset", "stream", "string", "integers"]
        .iter()
        .flat_map(|name| [format!("{name}:small"), format!("{name}:large")])
        .chain((0..800).map(|number| format!("key:{number}")))
        .collect();
    for round in 0..3 {
        let _frozen = engine.freeze();
        for number in (round..1_500).step_by(7) {
            let (member, id) = (format!("m{number}"), format!("1800000000000-{number}"));
            for args in [
                &["HSET", "hash:large", &member, "short"][..],
                &["ZADD", "zset:large", "5", &member],
                &["ZREM", "zset:large", &format!("m{}", number + 1)],
                &["XDEL", "stream:large", &id],
                &["XADD", "stream:large", "*", "f", "v"],
                &["SREM", "set:large", &member],
                &["LPOP", "list:large"],
                &["APPEND", "string:large", "more"],
            ] {
                run(&mut engine, session, &command(args));
            }
        }
    }
    for key in keys {
        run(&mut engine, session, &command(&["DEL", &key]));
    }
    assert!(engine.bytes() < 100, "{} bytes are left", engine.bytes());
}

#[test]
fn a_dump_stops_where_it_is_told_to() {
    let (engine, _) = engine();
    let mut given = 0;
    let is_whole = engine.freeze().dump(|_| {
        given += 1;
        if given < 20 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!((is_whole, given), (false, 20));
}

#[test]
fn what_a_frozen_copy_costs_is_counted_once() {
    let (mut engine, session) = engine();
    let overwrite = |engine: &mut Engine| {
        for number in 0..1_500 {
            let (member, other) = (format!("m{number}"), format!("{:040}", number + 7));
            run(engine, session, &command(&["HSET", "hash:large", &member, &other]));
            run(engine, session, &command(&["ZADD", "zset:large", &(number + 1).to_string(), &member]));
            run(engine, session, &command(&["LSET", "list:large", &number.to_string(), &other]));
            run(engine, session, &command(&["SET", &format!("key:{}", number % 800), "other"]));
        }
        run(engine, session, &command(&["SETRANGE", "string:large", "5", &engine.bytes().to_string()]));
    };
    overwrite(&mut engine);
    assert_eq!(engine.take_copied(), 0, "nobody shares anything");
    let (frozen, bytes) = (engine.freeze(), engine.bytes());
    overwrite(&mut engine);
    let copied = engine.take_copied();
    assert!((bytes / 3..bytes).contains(&copied), "{copied} of {bytes} bytes were copied");
    overwrite(&mut engine);
    let again = engine.take_copied();
    // The values of the second round are nobody else's, and no block is copied twice.
    assert!(again * 100 < copied, "{again} bytes were copied although nobody shares them");

    let (frozen, again) = (frozen, engine.freeze());
    for key in ["hash:large", "set:large", "list:large", "zset:large", "stream:large", "string:large"] {
        let before = engine.bytes();
        run(&mut engine, session, &command(&["DEL", key]));
        while engine.next_due().is_some_and(|due| due <= NOW) {
            engine.tick(NOW, 100);
        }
        let (left, freed) = (engine.take_copied(), before - engine.bytes());
        assert!(left * 10 >= freed * 9, "{key}: {left} of {freed} bytes stay with the copies");
    }
    drop((frozen, again));
    engine.take_copied();
    overwrite(&mut engine);
    assert_eq!(engine.take_copied(), 0, "nobody shares anything any more");
}
