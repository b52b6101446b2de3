//! Sends a sequence to both and compares.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::{Protocol, Value, encode, encode_command};
use windlass_test::fixture::{Reader, notation};

use crate::table::{Command, KEYS, OWN_KEYS};

/// Commands whose replies are in no order.
const UNORDERED: [&str; 9] =
    ["KEYS", "HKEYS", "HVALS", "HGETALL", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "PUBSUB"];

/// A connection to a real server.
pub struct Redis {
    reader: Reader<BufReader<TcpStream>>,
    writer: TcpStream,
}

impl Redis {
    pub fn connect(address: SocketAddr) -> Self {
        let writer = TcpStream::connect(address).expect("the server listens");
        let reader = Reader::new(BufReader::new(writer.try_clone().expect("a second handle")));
        Self { reader, writer }
    }

    /// Sends all commands at once; answers a reply for each.
    fn call(&mut self, commands: &[Command]) -> Vec<Value> {
        let commands: Vec<Vec<&[u8]>> = commands.iter().map(words).collect();
        self.call_bytes(&commands)
    }

    fn call_bytes(&mut self, commands: &[Vec<&[u8]>]) -> Vec<Value> {
        let mut bytes = Vec::new();
        for command in commands {
            encode_command(command, &mut bytes);
        }
        self.writer.write_all(&bytes).expect("the server reads");
        commands.iter().map(|_| self.reader.read().expect("a reply").expect("the server goes on")).collect()
    }
}

fn words(command: &Command) -> Vec<&[u8]> {
    command.iter().map(|word| word.as_bytes()).collect()
}

/// The engine, by the system's clock.
struct Ours {
    engine: Engine,
    session: SessionId,
    protocol: Protocol,
}

impl Ours {
    fn new(protocol: Protocol) -> Self {
        let mut engine = Engine::new(Config { seed: 1, ..Config::default() });
        let session = engine.open_session("differential", now());
        let mut new = Self { engine, session, protocol };
        new.call(&hello(protocol));
        new
    }

    fn call(&mut self, command: &Command) -> Value {
        self.call_bytes(&words(command))
    }

    fn call_bytes(&mut self, words: &[&[u8]]) -> Value {
        let reply = self.engine.execute(self.session, words, now()).reply.expect("nothing waits");
        let mut bytes = Vec::new();
        encode(&reply, self.protocol, &mut bytes);
        Reader::new(bytes.as_slice()).read().expect("it was just written").expect("it is one value")
    }
}

/// Chooses a protocol.
fn hello(protocol: Protocol) -> Command {
    let version = if protocol == Protocol::Resp3 { "3" } else { "2" };
    ["HELLO", version].map(str::to_owned).to_vec()
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
    Time::from_micros(since.as_micros() as u64)
}

/// Runs a sequence on both.
///
/// # Errors
/// The first difference, in words.
pub fn check(redis: &mut Redis, commands: &[Command], protocol: Protocol) -> Result<(), String> {
    let mut ours = Ours::new(protocol);
    let reset = ["DISCARD", "UNWATCH", "FLUSHALL"].map(|word| vec![word.to_owned()]);
    redis.call(&reset);
    redis.call(&[hello(protocol)]);
    // What a transaction that was left open queued is not answered.
    let commands: Vec<Command> =
        commands.iter().cloned().chain([vec!["DISCARD".into()]]).chain(looks(&all_keys())).collect();
    let theirs = redis.call(&commands);
    let mut queued: Vec<&str> = Vec::new();
    for (command, theirs) in commands.iter().zip(theirs) {
        let name = command[0].as_str();
        let ours = ours.call(command);
        let (got, expected) = (canonical(name, &queued, ours), canonical(name, &queued, theirs));
        if got != expected {
            return Err(format!("{command:?} is answered\n{got}, not\n{expected}"));
        }
        match (name, got.as_str()) {
            (_, "+QUEUED") => queued.push(name),
            ("EXEC" | "DISCARD", _) => queued.clear(),
            _ => {}
        }
    }
    check_dumps(redis, &mut ours)
}

/// Gives each the other's DUMP of every key, and looks at what became of it.
fn check_dumps(redis: &mut Redis, ours: &mut Ours) -> Result<(), String> {
    let dump_of = |key: &'static str| vec![b"DUMP".as_slice(), key.as_bytes()];
    let keys = all_keys();
    let theirs = redis.call_bytes(&keys.iter().copied().map(dump_of).collect::<Vec<_>>());
    let mut restored = Vec::new();
    for (key, theirs) in keys.into_iter().zip(theirs) {
        let (Value::Bulk(theirs), Value::Bulk(own)) = (theirs, ours.call_bytes(&dump_of(key))) else {
            continue;
        };
        let restore = |dump: &[u8]| [b"RESTORE", key.as_bytes(), b"0", dump, b"REPLACE"].map(<[u8]>::to_vec);
        let (to_us, to_them) = (restore(&theirs), restore(&own));
        let replies = [
            ours.call_bytes(&to_us.each_ref().map(Vec::as_slice)),
            redis.call_bytes(&[to_them.iter().map(Vec::as_slice).collect()]).remove(0),
        ];
        if replies != [Value::OK, Value::OK] {
            return Err(format!("the DUMP of {key} is restored with {replies:?}, ours first"));
        }
        restored.push(key);
    }
    let looks: Vec<Command> = looks(&restored).collect();
    for (command, theirs) in looks.iter().zip(redis.call(&looks)) {
        let ours = ours.call(command);
        let (got, expected) = (canonical(&command[0], &[], ours), canonical(&command[0], &[], theirs));
        if got != expected {
            return Err(format!(
                "after the DUMP of the other {command:?} is answered\n{got}, not\n{expected}"
            ));
        }
    }
    Ok(())
}

fn all_keys() -> Vec<&'static str> {
    KEYS.iter().chain(OWN_KEYS).copied().collect()
}

/// Commands that show everything that there is at some keys, and how many keys there are.
fn looks(keys: &[&'static str]) -> impl Iterator<Item = Command> {
    const LOOKS: [&str; 11] = [
        "TYPE $",
        "OBJECT ENCODING $",
        "PEXPIRETIME $",
        "GET $",
        "LRANGE $ 0 -1",
        "HGETALL $",
        "SMEMBERS $",
        "ZRANGE $ 0 -1 WITHSCORES",
        "XRANGE $ - +",
        "XPENDING $ g - + 100",
        "XINFO STREAM $",
    ];
    let of_key = |key: &'static str| {
        LOOKS.iter().map(move |look| look.split(' ').map(|word| word.replace('$', key)).collect())
    };
    keys.iter().flat_map(move |key| of_key(key)).chain([vec!["DBSIZE".to_owned()]])
}

/// The names and values of a map, one after the other, as RESP2 has them.
fn flat(pairs: Vec<(Value, Value)>) -> Value {
    Value::Array(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

/// A reply as text, sorted where there is no order, without what depends on time or memory.
fn canonical(name: &str, queued: &[&str], reply: Value) -> String {
    match reply {
        // RESP3 says more of what a reply is, and that is to be the same.
        Value::Map(pairs) => format!("map of {}", canonical(name, queued, flat(pairs))),
        Value::Set(items) => format!("set of {}", canonical("SMEMBERS", queued, Value::Array(items))),
        Value::Array(items) if name == "EXEC" => {
            let items = items.into_iter().zip(queued).map(|(item, name)| canonical(name, &[], item));
            items.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) if name == "HGETALL" => {
            let mut pairs: Vec<String> =
                items.chunks(2).map(|pair| notation::render(&Value::Array(pair.to_vec()))).collect();
            pairs.sort();
            pairs.join(", ")
        }
        Value::Array(items) if UNORDERED.contains(&name) => {
            let mut items: Vec<String> = items.iter().map(notation::render).collect();
            items.sort();
            items.join(", ")
        }
        // How a stream lies in memory is each server's own.
        Value::Array(items) if name == "XINFO" => {
            let facts = items
                .chunks(2)
                .filter(|fact| !matches!(&fact[0], Value::Bulk(name) if name.starts_with(b"radix-tree")));
            facts.map(|fact| notation::render(&Value::Array(fact.to_vec()))).collect::<Vec<_>>().join(", ")
        }
        // When an entry was delivered differs by the time between the two calls.
        Value::Array(items) if name == "XPENDING" => {
            let without_time = |item: &Value| match item {
                Value::Array(parts) if parts.len() == 4 => notation::render(&Value::Array(vec![
                    parts[0].clone(),
                    parts[1].clone(),
                    parts[3].clone(),
                ])),
                other => notation::render(other),
            };
            items.iter().map(without_time).collect::<Vec<_>>().join(", ")
        }
        // Forms that depend on more than the value: what made a string, and whether SORT has seen a sorted set.
        Value::Bulk(text) if name == "OBJECT" => match text.as_slice() {
            b"raw" | b"embstr" | b"int" => "a string".to_owned(),
            b"skiplist" | b"listpack" => "a listpack or a skiplist".to_owned(),
            other => notation::render(&Value::bulk(other)),
        },
        other => notation::render(&other),
    }
}
