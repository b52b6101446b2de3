//! Sorted sets: a map from members to scores, sorted anew for every reply.

use std::collections::BTreeMap;

use windlass_resp::Value;

use crate::state::{Model, Reply, bulk, int, parsed, range};

type Scores = BTreeMap<String, f64>;

pub fn run(model: &mut Model, name: &str, args: &[&str]) -> Option<Reply> {
    match (name, args) {
        ("ZADD", [key, args @ ..]) => Some(add(model, key, args)),
        ("ZINCRBY", [key, by, member]) => Some(add(model, key, &["INCR", by, member])),
        (_, [key, args @ ..]) if name.starts_with('Z') => Some(reply(model, name, key, args)),
        _ => None,
    }
}

fn reply(model: &mut Model, name: &str, key: &str, args: &[&str]) -> Reply {
    let mut none = Scores::new();
    let zset = model.zset(key)?.unwrap_or(&mut none);
    let mut all = sorted(zset);
    let score_of = |member: &&str| zset.get(*member).map_or(Value::Nil, score);
    Ok(match (name, args) {
        ("ZREM", members) => int(members.iter().filter(|member| zset.remove(**member).is_some()).count()),
        ("ZSCORE", [member]) => score_of(member),
        ("ZMSCORE", members) => Value::Array(members.iter().map(score_of).collect()),
        ("ZCARD", []) => int(zset.len()),
        ("ZRANK" | "ZREVRANK", [member]) => {
            if name == "ZREVRANK" {
                all.reverse();
            }
            all.iter().position(|(found, _)| found == member).map_or(Value::Nil, int)
        }
        ("ZCOUNT", [min, max]) => int(between(all, min, max).len()),
        ("ZRANGE", [start, end, options @ ..]) => {
            if options.contains(&"REV") {
                all.reverse();
            }
            shown(&all[range(start, end, all.len())], options)
        }
        ("ZRANGEBYSCORE", [min, max, options @ ..]) => {
            let found = between(all, min, max);
            match options {
                ["LIMIT", skip, count] => {
                    let count = usize::try_from(parsed(count)).unwrap_or(usize::MAX);
                    let found = found.into_iter().skip(parsed(skip) as usize).take(count);
                    shown(&found.collect::<Vec<_>>(), &[])
                }
                _ => shown(&found, options),
            }
        }
        ("ZREVRANGEBYSCORE", [max, min, options @ ..]) => {
            let mut found = between(all, min, max);
            found.reverse();
            shown(&found, options)
        }
        ("ZREMRANGEBYRANK", [start, end]) => removed(zset, all[range(start, end, all.len())].to_vec()),
        ("ZREMRANGEBYSCORE", [min, max]) => removed(zset, between(all, min, max)),
        ("ZPOPMIN" | "ZPOPMAX", count) => {
            if name == "ZPOPMAX" {
                all.reverse();
            }
            all.truncate(count.first().map_or(1, |count| parsed(count) as usize));
            let reply = shown(&all, &["WITHSCORES"]);
            removed(zset, all);
            reply
        }
        _ => panic!("the model knows no {name}"),
    })
}

fn add(model: &mut Model, key: &str, args: &[&str]) -> Reply {
    let words = args.iter().take_while(|word| word.starts_with(|first: char| first.is_ascii_uppercase()));
    let (options, pairs) = args.split_at(words.count());
    let has = |option| options.contains(&option);
    let zset = model.zset_or_new(key)?;
    let (mut added, mut changed, mut last) = (0, 0, Value::Nil);
    for pair in pairs.chunks(2) {
        let given: f64 = pair[0].parse().expect("the table has scores");
        let old = zset.get(pair[1]).copied();
        let new = if has("INCR") { old.unwrap_or(0.0) + given } else { given };
        let is_so = match old {
            None => !has("XX"),
            Some(old) => !has("NX") && (!has("GT") || new > old) && (!has("LT") || new < old),
        };
        if is_so {
            zset.insert(pair[1].to_owned(), new);
            added += i64::from(old.is_none());
            changed += i64::from(old.is_some_and(|old| old != new));
            last = score(&new);
        }
    }
    Ok(match (has("INCR"), has("CH")) {
        (true, _) => last,
        (false, true) => int(added + changed),
        (false, false) => int(added),
    })
}

fn sorted(zset: &Scores) -> Vec<(String, f64)> {
    // The map gives members in their order, and the sort keeps it among equal scores.
    let mut all: Vec<_> = zset.iter().map(|(member, score)| (member.clone(), *score)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all
}

fn between(mut all: Vec<(String, f64)>, min: &str, max: &str) -> Vec<(String, f64)> {
    let bound = |text: &str| {
        let (is_open, text) = text.strip_prefix('(').map_or((false, text), |text| (true, text));
        (is_open, text.parse::<f64>().expect("the table has bounds"))
    };
    let ((min_is_open, min), (max_is_open, max)) = (bound(min), bound(max));
    all.retain(|(_, score)| {
        let is_above = if min_is_open { *score > min } else { *score >= min };
        is_above && if max_is_open { *score < max } else { *score <= max }
    });
    all
}

fn removed(zset: &mut Scores, members: Vec<(String, f64)>) -> Value {
    for (member, _) in &members {
        zset.remove(member);
    }
    int(members.len())
}

fn shown(members: &[(String, f64)], options: &[&str]) -> Value {
    let with_scores = options.contains(&"WITHSCORES");
    let items = members.iter().flat_map(|(member, number)| {
        [Some(bulk(member)), with_scores.then(|| score(number))].into_iter().flatten()
    });
    Value::Array(items.collect())
}

/// A score as RESP2 has it. Those that the table can lead to are short in binary, so that Rust writes them as Redis.
fn score(number: &f64) -> Value {
    bulk(number.to_string())
}
