//! Sets.

use std::collections::BTreeSet;

use windlass_resp::Value;

use crate::state::{Data, Model, Reply, bulks, int};

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    if let Some(name) = name.strip_suffix("STORE").filter(|_| name.starts_with('S')) {
        return Some(combine(model, name, &args[1..]).map(|members| {
            let count = members.len();
            // An empty result removes the key, as every empty value does.
            model.put(args[0], Data::Set(members));
            int(count)
        }));
    }
    match (name, args) {
        ("SADD", [key, members @ ..]) => Some(
            model
                .set_or_new(key)
                .map(|set| int(members.iter().filter(|member| set.insert((**member).to_owned())).count())),
        ),
        ("SMOVE", [from, to, member]) => Some(move_one(model, from, to, member)),
        ("SINTER" | "SUNION" | "SDIFF", keys) => Some(combine(model, name, keys).map(bulks)),
        (_, [key, members @ ..]) if name.starts_with('S') => Some(reply(model, name, key, members)),
        _ => None,
    }
}

fn reply(model: &mut Model, name: &str, key: &str, members: &[&str]) -> Reply {
    let mut none = BTreeSet::new();
    let set = model.set(key)?.unwrap_or(&mut none);
    let has = |member: &&str| int(i64::from(set.contains(*member)));
    Ok(match name {
        "SREM" => int(members.iter().filter(|member| set.remove(**member)).count()),
        "SISMEMBER" => has(&members[0]),
        "SMISMEMBER" => Value::Array(members.iter().map(has).collect()),
        "SMEMBERS" => bulks(set.iter()),
        "SCARD" => int(set.len()),
        _ => panic!("the model knows no {name}"),
    })
}

fn combine(model: &mut Model, name: &str, keys: &[&str]) -> Result<BTreeSet<String>, Value> {
    let mut sets = Vec::new();
    for key in keys {
        sets.push(model.set(key)?.cloned().unwrap_or_default());
    }
    let of = match name {
        "SINTER" => |a: BTreeSet<String>, b: BTreeSet<String>| &a & &b,
        "SUNION" => |a: BTreeSet<String>, b: BTreeSet<String>| &a | &b,
        _ => |a: BTreeSet<String>, b: BTreeSet<String>| &a - &b,
    };
    Ok(sets.into_iter().reduce(of).unwrap_or_default())
}

fn move_one(model: &mut Model, from: &str, to: &str, member: &str) -> Reply {
    if model.set(from)?.is_none() {
        return Ok(int(0));
    }
    model.set(to)?;
    let set = model.set(from)?.expect("it was there just now");
    if !set.remove(member) {
        return Ok(int(0));
    }
    model.set_or_new(to)?.insert(member.to_owned());
    Ok(int(1))
}
