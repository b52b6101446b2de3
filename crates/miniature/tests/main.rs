//! The commands, as clients see them, and what they leave in the log.

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_miniature::COMMANDS;
use windlass_resp::Value;

const NOW_MS: u64 = 1_700_000_000_000;

/// An engine with the commands, and a session.
struct World {
    engine: Engine,
    session: SessionId,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let mut engine = Engine::new(Config { commands: COMMANDS, ..Config::default() });
        engine.effects().set_recording(true);
        let session = engine.open_session("test", Time::from_millis(NOW_MS));
        Self { engine, session, now_ms: NOW_MS }
    }

    /// The reply to a line of words.
    fn ask(&mut self, line: &str) -> Value {
        let args: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        let now = Time::from_millis(self.now_ms);
        self.engine.execute(self.session, &args, now).reply.expect("nothing here waits")
    }

    /// The names of the commands in the log since it was last asked for, in order.
    fn logged(&mut self) -> Vec<String> {
        let text = String::from_utf8(self.engine.effects().take()).expect("the test's data is text");
        let lines: Vec<&str> = text.split("\r\n").collect();
        let names = lines.iter().enumerate().filter(|(_, line)| line.starts_with('*'));
        names.map(|(place, _)| lines[place + 2].to_owned()).collect()
    }
}

fn texts(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::from(*text)).collect())
}

fn is_error(reply: &Value, start: &str) -> bool {
    matches!(reply, Value::Error(text) if text.starts_with(start))
}

#[test]
fn values_are_taken_and_deleted() {
    let mut world = World::new();
    world.ask("MSET a 1 b 1.5 c 3");
    world.ask("RPUSH list x y z");
    assert_eq!(world.ask("POP b"), Value::from("1.5"));
    assert_eq!(world.ask("POP b"), Value::Nil);
    assert_eq!(world.ask("MPOP a a none"), Value::Array(vec![Value::from("1"), Value::Nil, Value::Nil]));
    assert_eq!(world.ask("DELETE list"), Value::Integer(1));
    assert_eq!(world.ask("DELETE list"), Value::Integer(0));
    assert_eq!(world.ask("mdelete c none"), Value::Integer(1));
    assert_eq!(world.ask("LEN"), Value::Integer(0));
}

#[test]
fn what_cannot_be_taken_whole_is_not_taken_at_all() {
    let mut world = World::new();
    world.ask("SET a 1");
    world.ask("RPUSH list x");
    world.logged();
    assert!(is_error(&world.ask("MPOP a list"), "WRONGTYPE"));
    assert!(is_error(&world.ask("LFLUSH a"), "WRONGTYPE"));
    assert!(is_error(&world.ask("MSETEX 10 k v other"), "ERR wrong number of arguments for 'msetex'"));
    assert!(is_error(&world.ask("MSETEX 0 k v"), "ERR invalid expire time"));
    assert_eq!(world.logged(), [""; 0]);
    assert_eq!(world.ask("GET a"), Value::from("1"));
}

#[test]
fn a_user_reaches_no_key_by_them_that_it_may_not_use() {
    let mut world = World::new();
    world.ask("ADD 1 job");
    world.ask("SET mine:k v");
    world.ask("ACL SETUSER alice on nopass ~mine:* +pop +add +read +length_schedule +flush_schedule");
    world.ask("AUTH alice x");
    for line in ["FLUSH_SCHEDULE", "ADD 2 more", "READ", "LENGTH_SCHEDULE"] {
        assert!(
            is_error(&world.ask(line), "NOPERM this user has no permissions to access one of the keys"),
            "{line}"
        );
    }
    assert!(is_error(&world.ask("POP schedule"), "NOPERM"));
    // What it calls on keys of its own it need not be granted by name.
    assert_eq!(world.ask("POP mine:k"), Value::from("v"));
    world.ask("AUTH default x");
    assert_eq!(world.ask("LENGTH_SCHEDULE"), Value::Integer(1));
}

#[test]
fn keys_that_end_are_not_counted() {
    let mut world = World::new();
    assert_eq!(world.ask("MSETEX 10 a 1 b 2"), Value::OK);
    world.ask("SET c 3");
    assert_eq!(world.ask("LEN"), Value::Integer(3));
    world.now_ms += 10_000;
    world.engine.tick(Time::from_millis(world.now_ms), 100);
    assert_eq!(world.ask("LEN"), Value::Integer(1));
    // What comes to stand there later has no end of its predecessor's.
    world.ask("MSETEX 10 a 1");
    world.ask("POP a");
    world.ask("SET a 2");
    assert_eq!(world.ask("TTL a"), Value::Integer(-1));
}

#[test]
fn a_list_is_emptied_and_none_is_made_by_asking() {
    let mut world = World::new();
    world.ask("RPUSH list x y z");
    assert_eq!(world.ask("LFLUSH list"), Value::Integer(3));
    assert_eq!(world.ask("LFLUSH list"), Value::Integer(0));
    assert_eq!(world.ask("EXISTS list"), Value::Integer(0));
}

#[test]
fn the_schedule_gives_what_is_due_in_order() {
    let mut world = World::new();
    assert_eq!(world.ask("ADD 1700000001.5 second"), Value::Integer(1));
    assert_eq!(world.ask("ADD 1700000000 first"), Value::Integer(1));
    assert_eq!(world.ask("ADD 1700000900 later"), Value::Integer(1));
    assert_eq!(world.ask("LENGTH_SCHEDULE"), Value::Integer(3));
    assert_eq!(world.ask("READ"), texts(&["first"]));
    assert_eq!(world.ask("READ"), texts(&[]));
    assert_eq!(world.ask("READ 1700000002"), texts(&["second"]));
    assert_eq!(world.ask("FLUSH_SCHEDULE"), Value::Integer(1));
    assert_eq!(world.ask("LENGTH_SCHEDULE"), Value::Integer(0));
    assert!(is_error(&world.ask("ADD tomorrow x"), "ERR a timestamp is"));
    assert!(is_error(&world.ask("ADD nan x"), "ERR a timestamp is"));
    assert!(is_error(&world.ask("READ 1 COUNT 0"), "ERR COUNT takes"));
    assert!(is_error(&world.ask("READ 1 WHATEVER"), "ERR syntax"));
}

#[test]
fn what_is_reserved_comes_again_unless_it_is_removed() {
    let mut world = World::new();
    world.ask("ADD 1699999999 a");
    world.ask("ADD 1699999998 b");
    assert_eq!(world.ask("READ RESERVE 60"), texts(&["b", "a"]));
    assert_eq!(world.ask("READ RESERVE 60"), texts(&[]));
    assert_eq!(world.ask("ZREM schedule a"), Value::Integer(1));
    world.now_ms += 61_000;
    assert_eq!(world.ask("READ"), texts(&["b"]));
}

#[test]
fn the_log_has_commands_of_redis_alone_and_each_call_whole() {
    let mut world = World::new();
    world.ask("MSETEX 10 a 1 b 2");
    world.ask("ADD 1 x");
    world.ask("ADD 2 y");
    world.logged();
    world.ask("MPOP a b");
    assert_eq!(world.logged(), ["MULTI", "DEL", "DEL", "EXEC"]);
    world.ask("READ");
    assert_eq!(world.logged(), ["MULTI", "ZREM", "ZREM", "EXEC"]);
}

#[test]
fn the_log_is_replayed_without_the_commands() {
    let mut world = World::new();
    for line in ["MSETEX 10 a 1 b 2", "POP a", "ADD 5 x", "ADD 6 y", "READ 5", "RPUSH l 1", "LFLUSH l"] {
        world.ask(line);
    }
    let log = world.engine.effects().take();
    let mut plain = Engine::new(Config::default());
    let session = plain.open_session("log", Time::default());
    let mut rest = &log[..];
    let mut decoder = windlass_resp::Decoder::default();
    while let Some(length) =
        decoder.decode(rest, windlass_resp::Limits::DEFAULT).expect("the log is well-formed")
    {
        let args: Vec<&[u8]> = decoder.args(&rest[..length]).collect();
        plain.replay(session, &args).expect("each record is a command of Redis's");
        rest = &rest[length..];
        decoder = windlass_resp::Decoder::default();
    }
    let now = Time::from_millis(NOW_MS);
    for words in [&["DBSIZE"][..], &["GET", "b"], &["PEXPIRETIME", "b"], &["ZRANGE", "schedule", "0", "-1"]] {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let reply = plain.execute(session, &args, now).reply;
        assert_eq!(reply, world.engine.execute(world.session, &args, now).reply, "{words:?}");
    }
    assert_eq!(plain.execute(session, &[b"DBSIZE"], now).reply, Some(Value::Integer(2)));
}

#[test]
fn transactions_and_scripts_have_them_and_command_shows_them() {
    let mut world = World::new();
    world.ask("SET a 1");
    world.ask("MULTI");
    assert_eq!(world.ask("POP a"), Value::QUEUED);
    assert_eq!(world.ask("LEN"), Value::QUEUED);
    assert_eq!(world.ask("EXEC"), Value::Array(vec![Value::from("1"), Value::Integer(0)]));
    world.ask("SET a 2");
    let script: &[&[u8]] = &[b"EVAL", b"return redis.call('pop', KEYS[1])", b"1", b"a"];
    let now = Time::from_millis(NOW_MS);
    assert_eq!(world.engine.execute(world.session, script, now).reply, Some(Value::from("2")));
    let Value::Array(rows) = world.ask("COMMAND INFO mpop") else { panic!("COMMAND INFO answers rows") };
    let Value::Array(row) = &rows[0] else { panic!("the command is known") };
    assert_eq!(row[..2], [Value::from("mpop"), Value::Integer(-2)]);
    assert_eq!(row[3..6], [Value::Integer(1), Value::Integer(-1), Value::Integer(1)]);
    assert_eq!(world.ask("COMMAND GETKEYS msetex 5 a 1 b 2"), texts(&["a", "b"]));
    assert!(is_error(&world.ask("POP"), "ERR wrong number of arguments for 'pop' command"));
}

#[test]
fn the_memory_limit_and_rules_on_users_hold_for_them() {
    let mut world = World::new();
    world.ask("SET a 1");
    world.ask("CONFIG SET maxmemory 1");
    assert!(is_error(&world.ask("MSETEX 10 b 2"), "OOM"));
    assert_eq!(world.ask("POP a"), Value::from("1"));
    world.ask("CONFIG SET maxmemory 0");
    world.ask("ACL SETUSER clerk on nopass ~mine:* +pop +mpop");
    world.ask("SET theirs:a 1");
    world.ask("AUTH clerk x");
    assert_eq!(world.ask("POP mine:a"), Value::Nil);
    assert!(is_error(&world.ask("POP theirs:a"), "NOPERM"));
    assert!(is_error(&world.ask("LEN"), "NOPERM"));
}
