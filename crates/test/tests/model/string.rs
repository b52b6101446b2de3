//! Strings.

use windlass_resp::Value;

use crate::state::{Data, Model, NOT_AN_INTEGER, Reply, error, int, maybe, number, parsed, range};

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    Some(match (name, args) {
        ("SET", [key, value, options @ ..]) => set(model, key, value, options),
        ("SETEX", [key, seconds, value]) => set(model, key, value, &["EX", seconds]).map(|_| Value::OK),
        ("SETNX", [key, value]) => {
            set(model, key, value, &["NX"]).map(|done| int(i64::from(done == Value::OK)))
        }
        ("GET", [key]) => get(model, key).map(maybe),
        ("GETSET", [key, value]) => set(model, key, value, &["GET"]),
        ("GETDEL", [key]) => get(model, key).map(|value| {
            model.keys.remove(*key);
            maybe(value)
        }),
        ("GETEX", [key, options @ ..]) => getex(model, key, options),
        ("MSET", [..]) => {
            for pair in args.chunks(2) {
                model.put(pair[0], Data::String(pair[1].to_owned()));
            }
            Ok(Value::OK)
        }
        ("MSETNX", [first, _, second, _]) => {
            let is_free = !model.keys.contains_key(*first) && !model.keys.contains_key(*second);
            if is_free {
                run(model, "MSET", args)?.ok()?;
            }
            Ok(int(i64::from(is_free)))
        }
        ("MGET", keys) => {
            Ok(Value::Array(keys.iter().map(|key| get(model, key).map_or(Value::Nil, maybe)).collect()))
        }
        ("APPEND", [key, value]) => model.string_or_new(key).map(|text| {
            text.push_str(value);
            int(text.len())
        }),
        ("STRLEN", [key]) => get(model, key).map(|text| int(text.unwrap_or_default().len())),
        ("INCR", [key]) => add(model, key, 1),
        ("INCRBY", [key, by]) => number(by, NOT_AN_INTEGER).and_then(|by| add(model, key, by)),
        ("DECRBY", [key, by]) => add(model, key, -parsed(by)),
        ("GETRANGE", [key, start, end]) => get(model, key).map(|text| {
            let text = text.unwrap_or_default();
            // Unlike other ranges, an end before the start of the text counts as its first place.
            let (from, to) = (parsed(start), parsed(end));
            let is_backwards = from < 0 && to < 0 && from > to;
            let end = if to < -(text.len() as i64) { "0" } else { end };
            let range = if is_backwards { 0..0 } else { range(start, end, text.len()) };
            Value::bulk(&text.as_bytes()[range])
        }),
        ("SETRANGE", [key, offset, value]) => set_range(model, key, parsed(offset) as usize, value),
        _ => return None,
    })
}

fn get(model: &mut Model, key: &str) -> Result<Option<String>, Value> {
    Ok(model.string(key)?.cloned())
}

fn set(model: &mut Model, key: &str, value: &str, options: &[&str]) -> Reply {
    let has = |option| options.contains(&option);
    let after =
        |option| options.iter().position(|found| *found == option).map(|at| parsed(options[at + 1]) as u64);
    let now = model.now_ms;
    let expires = after("PX").map(|ms| now + ms).or(after("PXAT")).or(after("EX").map(|s| now + s * 1000));
    let old = if has("GET") { Some(get(model, key)?) } else { None };
    let kept = model.keys.get(key).map(|entry| entry.expires);
    let is_done = !(has("NX") && kept.is_some() || has("XX") && kept.is_none());
    if is_done {
        model.put(key, Data::String(value.to_owned()));
        let entry = model.keys.get_mut(key).expect("it was just put");
        entry.expires = if has("KEEPTTL") { kept.flatten() } else { expires };
    }
    Ok(match old {
        Some(old) => maybe(old),
        None if is_done => Value::OK,
        None => Value::Nil,
    })
}

fn getex(model: &mut Model, key: &str, options: &[&str]) -> Reply {
    let value = get(model, key)?;
    let now = model.now_ms;
    if let Some(entry) = model.keys.get_mut(key) {
        entry.expires = match options {
            ["PX", ms] => Some(now + parsed(ms) as u64),
            ["PXAT", at] => Some(parsed(at) as u64),
            _ => None,
        };
    }
    Ok(maybe(value))
}

fn add(model: &mut Model, key: &str, by: i64) -> Reply {
    let old = get(model, key)?.map_or(Ok(0), |text| number(&text, NOT_AN_INTEGER))?;
    let new = old.checked_add(by).ok_or_else(|| error("ERR increment or decrement would overflow"))?;
    *model.string_or_new(key)? = new.to_string();
    Ok(Value::Integer(new))
}

fn set_range(model: &mut Model, key: &str, offset: usize, value: &str) -> Reply {
    if value.is_empty() {
        return Ok(int(get(model, key)?.unwrap_or_default().len()));
    }
    let text = model.string_or_new(key)?;
    let end = offset + value.len();
    if text.len() < end {
        text.push_str(&"\0".repeat(end - text.len()));
    }
    text.replace_range(offset..end, value);
    Ok(int(text.len()))
}
