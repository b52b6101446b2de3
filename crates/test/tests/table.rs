//! The table of commands against a real redis-server: what is there behaves as it says there.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;

use windlass_engine::{Config, Engine, Time};
use windlass_resp::{Protocol, Value, encode, encode_command};
use windlass_test::fixture::{Reader, notation};
use windlass_test::redis_server::RedisServer;

/// Commands that Redis has from a later version on.
const NEWER: &[&str] = &["client|setinfo"];

/// How many of the parts of a command's description are compared: name, arity, flags, keys, categories.
const PARTS: usize = 7;

#[test]
fn commands_behave_as_the_table_of_redis_says() {
    let may_skip = std::env::var_os("WINDLASS_TEST_NO_REDIS").is_some();
    let Some(server) = RedisServer::start_or_skip(&[], may_skip) else { return };
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let mut request = Vec::new();
    encode_command(&[b"COMMAND"], &mut request);
    stream.write_all(&request).expect("the server reads");
    let theirs = Reader::new(BufReader::new(stream)).read().expect("a reply").expect("a reply");
    let theirs = described(&theirs);

    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("table", Time::default());
    let reply = engine.execute(session, &[b"COMMAND"], Time::default()).reply.expect("a reply");
    let mut bytes = Vec::new();
    encode(&reply, Protocol::Resp2, &mut bytes);
    let ours = Reader::new(bytes.as_slice()).read().expect("a reply").expect("a reply");

    let differing: Vec<String> = described(&ours)
        .into_iter()
        .filter(|(name, _)| !NEWER.contains(&name.as_str()))
        .filter_map(|(name, ours)| match theirs.get(&name) {
            Some(theirs) if *theirs == ours => None,
            theirs => Some(format!("{ours}\n{}", theirs.map_or("is not there", String::as_str))),
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What is compared of each command, with its subcommands, by name.
fn described(commands: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Value::Array(commands) = commands else { panic!("{commands:?} is no array") };
    for command in commands {
        let Value::Array(parts) = command else { panic!("{command:?} is no array") };
        let Value::Bulk(name) = &parts[0] else { panic!("{command:?} has no name") };
        let shown: Vec<String> = parts[..PARTS].iter().map(|part| notation::render(&sorted(part))).collect();
        found.insert(String::from_utf8_lossy(name).into_owned(), shown.join(" "));
        found.extend(described(&parts[PARTS + 2]));
    }
    found
}

/// Flags and categories are in no order.
fn sorted(part: &Value) -> Value {
    match part {
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(notation::render);
            Value::Array(items)
        }
        other => other.clone(),
    }
}
