//! Reading scores, ranks and counts, and walking through a set.

use windlass_resp::Value;

use super::span::{By, Span};
use super::{Answer, Command, FIRST, GROUP};
use crate::command::scan::{self, Scan};
use crate::number::format_float;
use crate::state::Call;
use crate::types::SortedSet;

pub const COMMANDS: &[Command] = &[
    GROUP.row("zcard", 2, flags![READONLY, FAST], FIRST, "Count the members", zcard),
    GROUP.row("zscore", 3, flags![READONLY, FAST], FIRST, "Get the score of a member", zscore),
    GROUP.row("zmscore", -3, flags![READONLY, FAST], FIRST, "Get the scores of members", zmscore),
    GROUP.row("zrank", 3, flags![READONLY, FAST], FIRST, "Count the members before a member", |call| {
        rank(call, false)
    }),
    GROUP.row("zrevrank", 3, flags![READONLY, FAST], FIRST, "Count the members after a member", |call| {
        rank(call, true)
    }),
    GROUP.row("zcount", 4, flags![READONLY, FAST], FIRST, "Count the members in a range of scores", |call| {
        count(call, By::Score)
    }),
    GROUP.row(
        "zlexcount",
        4,
        flags![READONLY, FAST],
        FIRST,
        "Count the members in a range of members",
        |call| count(call, By::Lex),
    ),
    GROUP.row("zscan", -3, flags![READONLY], FIRST, "Walk through members and scores", zscan),
];

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
    let mut cursor = scan::cursor(args, 2)?;
    let Some(set) = call.get::<SortedSet>(args[1])? else { return Ok(scan::reply(0, Vec::new())) };
    let (options, mut found) = (Scan::parse(args, 3)?, Vec::new());
    cursor = options.run(cursor, |cursor, visited| {
        set.scan(cursor, |member, score| {
            *visited += 1;
            if options.matches(member) {
                found.extend([Value::bulk(member), Value::bulk(scan_score(set, score))]);
            }
        })
    });
    Ok(scan::reply(cursor, found))
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
