//! What an engine holds, so that two of them can be compared, and an engine made from another's log or dump.

use std::collections::BTreeMap;

use windlass_engine::{Config, Engine, Time};
use windlass_resp::Value;

use crate::fixture::Reader;

/// What the engine holds, as lines that do not depend on the order of keys and members.
pub fn content(engine: &Engine) -> Vec<String> {
    let mut lines = Vec::new();
    let mut db = Vec::new();
    let mut list_places: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    engine.dump(|args| {
        let mut line = |args: &[&[u8]], place: usize| {
            lines.push(format!("{}{} {place}", show(&[&db]), show(args)));
        };
        match (args[0], args) {
            (b"SELECT", args) => {
                db = args[1].to_vec();
                list_places.clear();
            }
            (b"RPUSH", [name, key, items @ ..]) => {
                for item in items {
                    let place = list_places.entry(key.to_vec()).or_default();
                    *place += 1;
                    line(&[name, key, item], *place);
                }
            }
            (b"SADD", [name, key, members @ ..]) => {
                members.iter().for_each(|member| line(&[name, key, member], 0))
            }
            (b"HSET" | b"ZADD", [name, key, pairs @ ..]) => {
                pairs.chunks(2).for_each(|pair| line(&[name, key, pair[0], pair[1]], 0));
            }
            (_, args) => line(args, 0),
        }
    });
    lines.sort();
    lines
}

/// A fresh engine into which the records of a log were replayed.
///
/// # Errors
/// What is wrong with the log, in words.
pub fn replayed(log: &[u8]) -> Result<Engine, String> {
    let (mut engine, session) = fresh();
    let mut reader = Reader::new(log);
    while let Some(record) = reader.read().map_err(|error| format!("the log cannot be read: {error}"))? {
        let Value::Array(items) = record else { return Err("a record of the log is no array".into()) };
        let args: Vec<&[u8]> = items.iter().filter_map(bytes).collect();
        let replay = engine.replay(session, &args);
        replay.map_err(|error| format!("the log does not replay: {}: {error}", show(&args)))?;
    }
    Ok(engine)
}

/// A fresh engine into which the dump of another was replayed.
///
/// # Errors
/// Which command of the dump was refused, and why.
pub fn restored(from: &Engine) -> Result<Engine, String> {
    let (mut engine, session) = fresh();
    let mut refused = None;
    from.dump(|args| {
        if let Err(error) = engine.replay(session, args) {
            refused.get_or_insert(format!("the dump does not replay: {}: {error}", show(args)));
        }
    });
    match refused {
        None => Ok(engine),
        Some(reason) => Err(reason),
    }
}

/// Compares what two engines hold.
///
/// # Errors
/// Both ways in which they differ, in words.
pub fn compare(expected: &Engine, got: &Engine) -> Result<(), String> {
    let (expected, got) = (content(expected), content(got));
    if expected == got {
        return Ok(());
    }
    let missing: Vec<_> = expected.iter().filter(|line| !got.contains(line)).collect();
    let extra: Vec<_> = got.iter().filter(|line| !expected.contains(line)).collect();
    Err(format!("\n    missing {missing:?}\n    extra   {extra:?}"))
}

/// An engine of another seed than those that tests run commands on, and a session of it.
fn fresh() -> (Engine, windlass_engine::SessionId) {
    let mut engine = Engine::new(Config { seed: 2, ..Config::default() });
    let session = engine.open_session("replay", Time::default());
    (engine, session)
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::Bulk(bytes) = value { Some(bytes) } else { None }
}

fn show(args: &[&[u8]]) -> String {
    args.iter().map(|arg| format!("{} ", arg.escape_ascii())).collect()
}
