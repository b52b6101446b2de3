//! Choosing members at random.

use std::collections::BTreeSet;

use windlass_resp::Value;

use super::{Answer, Command, FIRST, GROUP, Scores};
use crate::args::Args;
use crate::command::random::{self, Count};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::state::Call;
use crate::types::SortedSet;

pub const COMMANDS: &[Command] =
    &[GROUP.row("zrandmember", -2, flags![READONLY], FIRST, "Get members chosen at random", zrandmember)];

fn zrandmember(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let count = if args.len() > 2 { Some(count(call.args)?) } else { None };
    let len = call.get::<SortedSet>(key)?.map_or(0, SortedSet::len);
    let Some(count) = count else {
        if len == 0 {
            return Ok(Value::Nil);
        }
        let rank = call.state.random.below(len);
        let set = call.get::<SortedSet>(key)?.expect("the key was there");
        return Ok(set.range(rank..rank + 1).next().map(|(member, _)| Value::bulk(member)).into());
    };
    if len == 0 {
        return Ok(Value::Array(Vec::new()));
    }
    let random = &mut call.state.random;
    let ranks = match count {
        Count::Repeated(count) => (0..count).map(|_| random.below(len)).collect(),
        Count::Distinct(count) => distinct(count, len, random),
    };
    let scores = Scores::of(call, args.len() > 3);
    let set = call.get::<SortedSet>(key)?.expect("the key was there");
    Ok(scores.reply(ranks.into_iter().filter_map(|rank| set.range(rank..rank + 1).next())))
}

/// The count, and that nothing but WITHSCORES follows it.
fn count(args: Args<'_>) -> Result<Count> {
    const PAIRS_MAX: usize = i64::MAX as usize / 2;
    let count = random::count(args, 2)?;
    let with_scores = args.len() > 3;
    if args.len() > 4 || with_scores && !args.is(3, "WITHSCORES") {
        return Err(Error::SYNTAX);
    }
    if with_scores && count.size() > PAIRS_MAX {
        return Err(Error::new("ERR value is out of range"));
    }
    count.check()?;
    Ok(count)
}

/// So many of the numbers below `len`, all different, in order (Floyd's sampling); all when there are not more.
fn distinct(count: usize, len: usize, random: &mut Random) -> Vec<usize> {
    if count >= len {
        return (0..len).collect();
    }
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let rank = random.below(last + 1);
        if !chosen.insert(rank) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_choices_are_fair() {
        let mut random = Random::new(3);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let chosen = distinct(3, 10, &mut random);
            assert!(chosen.len() == 3 && chosen.is_sorted_by(|a, b| a < b), "{chosen:?}");
            chosen.into_iter().for_each(|rank| counts[rank] += 1);
        }
        assert!(counts.iter().all(|count| (2_800..3_200).contains(count)), "{counts:?}");
    }
}
