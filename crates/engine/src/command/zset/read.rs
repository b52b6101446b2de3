//! Reading scores, ranks and counts, and walking through a set.

use windlass_resp::Value;

use super::span::{By, Span};
use super::{Answer, Command, FIRST, READ, READ_FAST, row};
use crate::error::{Error, Result};
use crate::number::format_float;
use crate::pattern;
use crate::state::Call;
use crate::types::SortedSet;

pub const COMMANDS: &[Command] = &[
    row("zcard", 2, READ_FAST, FIRST, "Count the members", zcard),
    row("zscore", 3, READ_FAST, FIRST, "Get the score of a member", zscore),
    row("zmscore", -3, READ_FAST, FIRST, "Get the scores of members", zmscore),
    row("zrank", 3, READ_FAST, FIRST, "Count the members before a member", |call| rank(call, false)),
    row("zrevrank", 3, READ_FAST, FIRST, "Count the members after a member", |call| rank(call, true)),
    row("zcount", 4, READ_FAST, FIRST, "Count the members in a range of scores", |call| {
        count(call, By::Score)
    }),
    row("zlexcount", 4, READ_FAST, FIRST, "Count the members in a range of members", |call| {
        count(call, By::Lex)
    }),
    row("zscan", -3, READ, FIRST, "Walk through members and scores", zscan),
];

/// How many members ZSCAN visits at least where it is not told.
const SCAN_COUNT: usize = 10;

fn zcard(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.get::<SortedSet>(call.args[1])?.map_or(0, SortedSet::len)))
}

fn zscore(call: &mut Call<'_>) -> Answer {
    let member = call.args[2];
    let score = call.get::<SortedSet>(call.args[1])?.and_then(|set| set.score(member));
    Ok(score.map_or(Value::Nil, Value::Double))
}

fn zmscore(call: &mut Call<'_>) -> Answer {
    let members = call.args.from(2);
    let set = call.get::<SortedSet>(call.args[1])?;
    let score = |member: &&[u8]| set.and_then(|set| set.score(member)).map_or(Value::Nil, Value::Double);
    Ok(Value::Array(members.iter().map(score).collect()))
}

fn rank(call: &mut Call<'_>, is_reverse: bool) -> Answer {
    let member = call.args[2];
    let Some(set) = call.get::<SortedSet>(call.args[1])? else { return Ok(Value::Nil) };
    let rank = set.rank(member);
    Ok(rank.map(|rank| if is_reverse { set.len() - 1 - rank } else { rank }).into())
}

fn count(call: &mut Call<'_>, by: By) -> Answer {
    let span = Span::parse(by, call.args[2], call.args[3])?;
    Ok(Value::from(call.get::<SortedSet>(call.args[1])?.map_or(0, |set| span.ranks(set).len())))
}

fn zscan(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let invalid = || Error::new("ERR invalid cursor");
    let cursor = std::str::from_utf8(args[2]).map_err(|_| invalid())?;
    let mut cursor: u64 = cursor.parse().map_err(|_| invalid())?;
    let Some(set) = call.get::<SortedSet>(args[1])? else { return Ok(scan_reply(0, Vec::new())) };
    let (pattern, count) = scan_options(args.from(3))?;
    let (mut visited, mut items) = (0, Vec::new());
    loop {
        cursor = set.scan(cursor, |member, score| {
            visited += 1;
            if pattern.is_none_or(|pattern| pattern::matches(pattern, member)) {
                items.extend([Value::bulk(member), Value::bulk(scan_score(set, score))]);
            }
        });
        if cursor == 0 || visited >= count {
            return Ok(scan_reply(cursor, items));
        }
    }
}

/// ZSCAN shows a score as it is stored: the compact form has integers as such, however long.
fn scan_score(set: &SortedSet, score: f64) -> String {
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    if set.is_small() && score.fract() == 0.0 && score.abs() <= INTEGER_MAX {
        (score as i64).to_string()
    } else {
        format_float(score)
    }
}

fn scan_options<'a>(options: &[&'a [u8]]) -> Result<(Option<&'a [u8]>, usize)> {
    let (mut pattern, mut count) = (None, SCAN_COUNT);
    for option in options.chunks(2) {
        let [name, value] = option else { return Err(Error::SYNTAX) };
        match name.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = Some(*value),
            b"COUNT" => {
                let given = crate::number::parse_integer(value).ok_or(Error::NOT_INTEGER)?;
                count = usize::try_from(given).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
            }
            _ => return Err(Error::SYNTAX),
        }
    }
    Ok((pattern, count))
}

fn scan_reply(cursor: u64, items: Vec<Value>) -> Value {
    Value::Array(vec![Value::bulk(cursor.to_string()), Value::Array(items)])
}
