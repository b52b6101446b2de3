//! Removing members by name and by range.

use windlass_resp::Value;

use super::span::{By, Span};
use super::{Answer, Command, FIRST, GROUP};
use crate::state::Call;
use crate::types::SortedSet;

pub const COMMANDS: &[Command] = &[
    GROUP.row("zrem", -3, flags![WRITE, FAST], FIRST, "Remove members", zrem),
    GROUP.row("zremrangebyrank", 4, flags![WRITE], FIRST, "Remove the members in a range of ranks", |call| {
        remove_range(call, By::Rank)
    }),
    GROUP.row(
        "zremrangebyscore",
        4,
        flags![WRITE],
        FIRST,
        "Remove the members in a range of scores",
        |call| remove_range(call, By::Score),
    ),
    GROUP.row(
        "zremrangebylex",
        4,
        flags![WRITE],
        FIRST,
        "Remove the members in a range of members",
        |call| remove_range(call, By::Lex),
    ),
];

fn zrem(call: &mut Call<'_>) -> Answer {
    let (key, members) = (call.args[1], call.args.from(2));
    let Some(mut set) = call.get_mut::<SortedSet>(key)? else { return Ok(Value::from(0_usize)) };
    let removed = members.iter().filter(|member| set.remove(member).is_some()).count();
    drop(set);
    if removed > 0 {
        call.changed(key);
        call.log();
    }
    Ok(Value::from(removed))
}

fn remove_range(call: &mut Call<'_>, by: By) -> Answer {
    let key = call.args[1];
    let span = Span::parse(by, call.args[2], call.args[3])?;
    let Some(mut set) = call.get_mut::<SortedSet>(key)? else { return Ok(Value::from(0_usize)) };
    let ranks = span.ranks(&set);
    let (removed, is_whole) = (ranks.len(), ranks.len() == set.len());
    if !is_whole {
        set.remove_range(ranks);
    }
    drop(set);
    if is_whole {
        // As a value that is deleted it is freed at once or piece by piece, whichever the keyspace does.
        call.notify_write(key);
        call.remove(key);
        call.log();
    } else if removed > 0 {
        call.changed(key);
        call.log();
    }
    Ok(Value::from(removed))
}
