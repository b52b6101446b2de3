//! Keys, whatever they hold.

use windlass_resp::Value;

use crate::state::{Data, Model, Reply, bulks, error, int, parsed};

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    let now = model.now_ms as i64;
    Some(Ok(match (name, args) {
        ("DEL" | "UNLINK", keys) => int(keys.iter().filter(|key| model.keys.remove(**key).is_some()).count()),
        ("EXISTS", keys) => int(keys.iter().filter(|key| model.keys.contains_key(**key)).count()),
        ("TYPE", [key]) => Value::Simple(type_of(model, key).into()),
        ("KEYS", _) => bulks(model.keys.keys()),
        ("EXPIRE", [key, seconds, condition @ ..]) => {
            expire(model, key, now + parsed(seconds) * 1000, condition)
        }
        ("PEXPIRE", [key, ms, condition @ ..]) => expire(model, key, now + parsed(ms), condition),
        ("EXPIREAT", [key, at, condition @ ..]) => expire(model, key, parsed(at) * 1000, condition),
        ("PEXPIREAT", [key, at, condition @ ..]) => expire(model, key, parsed(at), condition),
        ("PERSIST", [key]) => {
            int(i64::from(model.keys.get_mut(*key).is_some_and(|entry| entry.expires.take().is_some())))
        }
        ("TTL", [key]) => time(model, key, |at, now| (at - now + 500) / 1000),
        ("PTTL", [key]) => time(model, key, |at, now| at - now),
        ("EXPIRETIME", [key]) => time(model, key, |at, _| (at + 500) / 1000),
        ("PEXPIRETIME", [key]) => time(model, key, |at, _| at),
        ("RENAME", [from, to]) => match model.keys.remove(*from) {
            None => error("ERR no such key"),
            Some(entry) => {
                model.keys.insert((*to).to_owned(), entry);
                Value::OK
            }
        },
        ("RENAMENX", [from, to]) => {
            if model.keys.contains_key(*from) && model.keys.contains_key(*to) {
                int(0)
            } else {
                match run(model, "RENAME", args)?.ok()? {
                    Value::Error(text) => Value::Error(text),
                    _ => int(1),
                }
            }
        }
        ("COPY", [from, to, ..]) if from == to => error("ERR source and destination objects are the same"),
        ("COPY", [from, to, replace @ ..]) => match model.keys.get(*from).cloned() {
            Some(entry) if !replace.is_empty() || !model.keys.contains_key(*to) => {
                model.keys.insert((*to).to_owned(), entry);
                int(1)
            }
            _ => int(0),
        },
        _ => return None,
    }))
}

fn type_of(model: &Model, key: &str) -> &'static str {
    match model.keys.get(key).map(|entry| &entry.data) {
        None => "none",
        Some(Data::String(_)) => "string",
        Some(Data::Hash(_)) => "hash",
        Some(Data::List(_)) => "list",
        Some(Data::Set(_)) => "set",
        Some(Data::Zset(_)) => "zset",
    }
}

fn expire(model: &mut Model, key: &str, at: i64, condition: &[&str]) -> Value {
    let Some(entry) = model.keys.get_mut(key) else { return int(0) };
    // No time at all counts as one that never comes.
    let old = entry.expires.map_or(i64::MAX, |old| old as i64);
    let is_so = match condition {
        ["NX"] => entry.expires.is_none(),
        ["XX"] => entry.expires.is_some(),
        ["GT"] => at > old,
        ["LT"] => at < old,
        _ => true,
    };
    if is_so {
        entry.expires = Some(at as u64);
    }
    int(i64::from(is_so))
}

fn time(model: &Model, key: &str, of: fn(i64, i64) -> i64) -> Value {
    match model.keys.get(key).map(|entry| entry.expires) {
        None => int(-2),
        Some(None) => int(-1),
        Some(Some(at)) => int(of(at as i64, model.now_ms as i64)),
    }
}
