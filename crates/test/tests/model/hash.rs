//! Hashes.

use windlass_resp::Value;

use crate::state::{Model, Reply, bulks, error, int, maybe, number, parsed};

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    match (name.starts_with('H'), args) {
        (true, [key, args @ ..]) => Some(reply(model, name, key, args)),
        _ => None,
    }
}

fn reply(model: &mut Model, name: &str, key: &str, args: &[&str]) -> Reply {
    if matches!(name, "HSET" | "HSETNX" | "HINCRBY") {
        return write(model, name, key, args);
    }
    let mut none = Default::default();
    let hash = model.hash(key)?.unwrap_or(&mut none);
    Ok(match name {
        "HGET" => maybe(hash.get(args[0])),
        "HMGET" => Value::Array(args.iter().map(|field| maybe(hash.get(*field))).collect()),
        "HGETALL" => bulks(hash.iter().flat_map(|(field, value)| [field, value])),
        "HKEYS" => bulks(hash.keys()),
        "HVALS" => bulks(hash.values()),
        "HLEN" => int(hash.len()),
        "HEXISTS" => int(i64::from(hash.contains_key(args[0]))),
        "HSTRLEN" => int(hash.get(args[0]).map_or(0, String::len)),
        "HDEL" => int(args.iter().filter(|field| hash.remove(**field).is_some()).count()),
        _ => panic!("the model knows no {name}"),
    })
}

fn write(model: &mut Model, name: &str, key: &str, args: &[&str]) -> Reply {
    let hash = model.hash_or_new(key)?;
    match name {
        "HSET" => {
            let mut put = |pair: &&[&str]| hash.insert(pair[0].to_owned(), pair[1].to_owned()).is_none();
            Ok(int(args.chunks(2).filter(|pair| put(pair)).count()))
        }
        "HSETNX" => {
            let is_new = !hash.contains_key(args[0]);
            hash.entry(args[0].to_owned()).or_insert(args[1].to_owned());
            Ok(int(i64::from(is_new)))
        }
        _ => {
            let old =
                hash.get(args[0]).map_or(Ok(0), |text| number(text, "ERR hash value is not an integer"))?;
            let new = old.checked_add(parsed(args[1]));
            let new = new.ok_or_else(|| error("ERR increment or decrement would overflow"))?;
            hash.insert(args[0].to_owned(), new.to_string());
            Ok(Value::Integer(new))
        }
    }
}
