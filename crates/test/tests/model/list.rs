//! Lists.

use std::collections::VecDeque;

use windlass_resp::Value;

use crate::state::{Model, Reply, bulk, bulks, error, int, maybe, parsed, range};

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    match (name, args) {
        ("LPUSH" | "RPUSH", [key, values @ ..]) => {
            Some(model.list_or_new(key).map(|list| push(list, name, values)))
        }
        ("LMOVE", [from, to, source, target]) => Some(move_one(model, from, to, [source, target])),
        ("LPUSHX" | "RPUSHX" | "LPOP" | "RPOP", [key, args @ ..]) => Some(reply(model, name, key, args)),
        (_, [key, args @ ..]) if name.starts_with('L') => Some(reply(model, name, key, args)),
        _ => None,
    }
}

fn push(list: &mut VecDeque<String>, name: &str, values: &[&str]) -> Value {
    for value in values {
        put(list, name.starts_with('L'), (*value).to_owned());
    }
    int(list.len())
}

fn put(list: &mut VecDeque<String>, is_left: bool, value: String) {
    if is_left { list.push_front(value) } else { list.push_back(value) }
}

fn take(list: &mut VecDeque<String>, is_left: bool) -> Option<String> {
    if is_left { list.pop_front() } else { list.pop_back() }
}

fn reply(model: &mut Model, name: &str, key: &str, args: &[&str]) -> Reply {
    let Some(list) = model.list(key)? else {
        return match name {
            "LSET" => Err(error("ERR no such key")),
            "LRANGE" => Ok(Value::Array(Vec::new())),
            "LPOS" if args.contains(&"COUNT") => Ok(Value::Array(Vec::new())),
            "LTRIM" => Ok(Value::OK),
            "LPOP" | "RPOP" | "LINDEX" | "LPOS" => Ok(Value::Nil),
            _ => Ok(int(0)),
        };
    };
    let place = |at: &str| {
        let at = parsed(at);
        usize::try_from(if at < 0 { at + list.len() as i64 } else { at }).ok()
    };
    Ok(match (name, args) {
        ("LPUSHX" | "RPUSHX", values) => push(list, name, values),
        ("LPOP" | "RPOP", []) => maybe(take(list, name == "LPOP")),
        ("LPOP" | "RPOP", [count]) => {
            let taken = (0..parsed(count)).map_while(|_| take(list, name == "LPOP"));
            bulks(taken.collect::<Vec<_>>())
        }
        ("LLEN", []) => int(list.len()),
        ("LRANGE", [start, end]) => bulks(list.range(range(start, end, list.len()))),
        ("LINDEX", [at]) => maybe(place(at).and_then(|at| list.get(at))),
        ("LSET", [at, value]) => match place(at).and_then(|at| list.get_mut(at)) {
            None => error("ERR index out of range"),
            Some(item) => {
                *item = (*value).to_owned();
                Value::OK
            }
        },
        ("LREM", [count, value]) => remove(list, parsed(count), value),
        ("LTRIM", [start, end]) => {
            let kept = range(start, end, list.len());
            *list = list.range(kept).cloned().collect();
            Value::OK
        }
        ("LINSERT", [side, pivot, value]) => match list.iter().position(|item| item == pivot) {
            None => int(-1),
            Some(at) => {
                list.insert(at + usize::from(*side == "AFTER"), (*value).to_owned());
                int(list.len())
            }
        },
        ("LPOS", [value, "RANK", rank, count @ ..]) => find(list, value, parsed(rank), count.get(1).copied()),
        _ => panic!("the model knows no {name}"),
    })
}

fn remove(list: &mut VecDeque<String>, count: i64, value: &str) -> Value {
    let mut places: Vec<usize> = (0..list.len()).filter(|at| list[*at] == value).collect();
    if count < 0 {
        places.reverse();
    }
    if count != 0 {
        places.truncate(count.unsigned_abs() as usize);
    }
    places.sort_unstable();
    for at in places.iter().rev() {
        list.remove(*at);
    }
    int(places.len())
}

fn find(list: &VecDeque<String>, value: &str, rank: i64, count: Option<&str>) -> Value {
    let mut places: Vec<usize> = (0..list.len()).filter(|at| list[*at] == value).collect();
    if rank < 0 {
        places.reverse();
    }
    let mut places = places.into_iter().skip(rank.unsigned_abs() as usize - 1).map(int);
    match count.map(parsed) {
        None => places.next().unwrap_or(Value::Nil),
        Some(0) => Value::Array(places.collect()),
        Some(count) => Value::Array(places.take(count as usize).collect()),
    }
}

fn move_one(model: &mut Model, from: &str, to: &str, [source, target]: [&str; 2]) -> Reply {
    if model.list(from)?.is_none() {
        return Ok(Value::Nil);
    }
    model.list(to)?;
    let list = model.list(from)?.expect("it was there just now");
    let value = take(list, source == "LEFT").expect("no list is empty");
    put(model.list_or_new(to)?, target == "LEFT", value.clone());
    Ok(bulk(value))
}
