//! The table of commands against a real redis-server: what is there behaves as it says there, with all options.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::TcpStream;

use windlass_engine::{Config, Engine, Time};
use windlass_resp::{Protocol, Value, encode, encode_command};
use windlass_test::fixture::{Reader, Step, files, notation, parse};
use windlass_test::redis_server::RedisServer;

/// Commands that Redis has from a later version on.
const NEWER: &[&str] = &["client|setinfo"];

/// What COMMAND DOCS of Redis tells beside what is told here: its words, and since when it has which option.
const UNTOLD: [&str; 4] = ["summary", "complexity", "history", "replaced_by"];

/// How many of the parts of a command's description are compared: name, arity, flags, keys, categories.
const PARTS: usize = 7;

#[test]
fn commands_behave_as_the_table_of_redis_says() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let theirs = described(&reply_of(&server, &[b"COMMAND"]));
    let differing: Vec<String> = described(&our_reply(&[b"COMMAND"]))
        .into_iter()
        .filter(|(name, _)| !NEWER.contains(&name.as_str()))
        .filter_map(|(name, ours)| match theirs.get(&name) {
            Some(theirs) if *theirs == ours => None,
            theirs => Some(format!("{ours}\n{}", theirs.map_or("is not there", String::as_str))),
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn what_is_told_of_a_command_is_what_redis_tells() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let docs: &[&[u8]] = &[b"COMMAND", b"DOCS"];
    let theirs = told(&reply_of(&server, docs));
    let differing: Vec<String> = told(&our_reply(docs))
        .into_iter()
        .filter(|(name, _)| !NEWER.contains(&name.as_str()))
        .filter(|(name, ours)| theirs.get(name) != Some(ours))
        .map(|(name, ours)| format!("{name}: {ours}\n{:?}", theirs.get(&name)))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn a_rule_on_users_may_name_every_command_of_redis() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("table", Time::default());
    let names = described(&reply_of(&server, &[b"COMMAND"])).into_keys().filter(|name| !name.contains('|'));
    let refused: Vec<String> = names
        .filter(|name| {
            let rule = format!("+{name}");
            let args: &[&[u8]] = &[b"ACL", b"SETUSER", b"bob", rule.as_bytes()];
            engine.execute(session, args, Time::default()).reply != Some(Value::OK)
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join(" "));
}

#[test]
fn every_option_that_redis_documents_is_in_a_fixture() {
    let Some(server) = RedisServer::start_or_skip(&[]) else { return };
    let mut documented = BTreeMap::new();
    note_options(&reply_of(&server, &[b"COMMAND", b"DOCS"]), &mut documented);
    let shown = shown_words();
    let ours = described(&our_reply(&[b"COMMAND"]));
    let missing: Vec<String> = documented
        .iter()
        .filter(|(name, _)| ours.contains_key(*name))
        .flat_map(|(name, options)| options.iter().map(move |option| (name, option)))
        .filter(|(name, option)| !shown.get(*name).is_some_and(|words| words.contains(*option)))
        .map(|(name, option)| format!("{name} {option}"))
        .collect();
    assert!(missing.is_empty(), "no fixture has these options:\n{}", missing.join("\n"));
}

/// What a real server answers.
fn reply_of(server: &RedisServer, args: &[&[u8]]) -> Value {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let mut request = Vec::new();
    encode_command(args, &mut request);
    stream.write_all(&request).expect("the server reads");
    Reader::new(BufReader::new(stream)).read().expect("a reply").expect("a reply")
}

/// Our reply in the form of RESP2.
fn our_reply(args: &[&[u8]]) -> Value {
    let mut engine = Engine::new(Config::default());
    let session = engine.open_session("table", Time::default());
    let reply = engine.execute(session, args, Time::default()).reply.expect("a reply");
    let mut bytes = Vec::new();
    encode(&reply, Protocol::Resp2, &mut bytes);
    Reader::new(bytes.as_slice()).read().expect("a reply").expect("a reply")
}

/// What COMMAND DOCS tells of each command and subcommand, without what is untold here.
fn told(docs: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, facts) in pairs(docs) {
        let mut shown = String::new();
        for (fact, value) in pairs(facts) {
            match fact.as_str() {
                "subcommands" => found.extend(told(value)),
                fact if UNTOLD.contains(&fact) => {}
                fact => shown += &format!("{fact} {} ", notation::render(value)),
            }
        }
        found.insert(name, shown);
    }
    found
}

/// Notes the words that stand for options in COMMAND DOCS, in upper case, by command and subcommand.
fn note_options(docs: &Value, options: &mut BTreeMap<String, BTreeSet<String>>) {
    for (name, facts) in pairs(docs) {
        let mut words = BTreeSet::new();
        for (fact, value) in pairs(facts) {
            match fact.as_str() {
                "arguments" => note_tokens(value, &mut words),
                "subcommands" => note_options(value, options),
                _ => {}
            }
        }
        options.insert(name, words);
    }
}

fn note_tokens(arguments: &Value, words: &mut BTreeSet<String>) {
    let Value::Array(arguments) = arguments else { panic!("{arguments:?} is no array") };
    for (fact, value) in arguments.iter().flat_map(pairs) {
        match (fact.as_str(), value) {
            ("token", Value::Bulk(word)) => {
                words.insert(String::from_utf8_lossy(word).to_uppercase());
            }
            ("arguments", value) => note_tokens(value, words),
            _ => {}
        }
    }
}

/// What RESP2 shows of a map.
fn pairs(map: &Value) -> Vec<(String, &Value)> {
    let Value::Array(items) = map else { panic!("{map:?} is no array") };
    let name = |name: &Value| match name {
        Value::Bulk(name) => String::from_utf8_lossy(name).into_owned(),
        other => panic!("{other:?} is no name"),
    };
    items.chunks_exact(2).map(|pair| (name(&pair[0]), &pair[1])).collect()
}

/// All words that the fixtures give a command or a subcommand, in upper case.
fn shown_words() -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(None) {
        let text = std::fs::read_to_string(&path).expect("a fixture");
        let blocks = parse(&text).expect("a fixture is well-formed");
        for step in blocks.iter().flat_map(|block| &block.steps) {
            let Step::Send { args, .. } = step else { continue };
            let words: Vec<String> =
                args.iter().map(|arg| String::from_utf8_lossy(arg).to_uppercase()).collect();
            let name = words[0].to_lowercase();
            if let Some(second) = words.get(1) {
                let subcommand = format!("{name}|{}", second.to_lowercase());
                shown.entry(subcommand).or_default().extend(words.iter().skip(2).cloned());
            }
            shown.entry(name).or_default().extend(words.into_iter().skip(1));
        }
    }
    shown
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
