//! Reading a part of a sorted set in order, and storing it.

use std::ops::Range;

use windlass_resp::Value;

use super::span::{By, Span};
use super::{Answer, Command, FIRST, GROUP, Scores, store};
use crate::command::Keys;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::SortedSet;

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "zrange",
        -4,
        flags![READONLY],
        FIRST,
        "Get the members in a range of ranks, scores or members",
        |call| read(call, None, None),
    ),
    GROUP.row(
        "zrevrange",
        -4,
        flags![READONLY],
        FIRST,
        "Get the members in a range of ranks, highest first",
        |call| read(call, Some(By::Rank), Some(Direction::Down)),
    ),
    GROUP.row("zrangebyscore", -4, flags![READONLY], FIRST, "Get the members in a range of scores", |call| {
        read(call, Some(By::Score), Some(Direction::Up))
    }),
    GROUP.row(
        "zrevrangebyscore",
        -4,
        flags![READONLY],
        FIRST,
        "Get the members in a range of scores, highest first",
        |call| read(call, Some(By::Score), Some(Direction::Down)),
    ),
    GROUP.row("zrangebylex", -4, flags![READONLY], FIRST, "Get the members in a range of members", |call| {
        read(call, Some(By::Lex), Some(Direction::Up))
    }),
    GROUP.row(
        "zrevrangebylex",
        -4,
        flags![READONLY],
        FIRST,
        "Get the members in a range of members, last first",
        |call| read(call, Some(By::Lex), Some(Direction::Down)),
    ),
    GROUP.row(
        "zrangestore",
        -5,
        flags![WRITE, DENY_OOM],
        Keys::Range(1, 2, 1),
        "Store the members in a range",
        zrangestore,
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What one of the ZRANGE family asks for.
struct Query<'a> {
    span: Span<'a>,
    direction: Direction,
    with_scores: bool,
    /// How many to leave out and how many to give at most; a negative offset gives nothing, a negative count all.
    limit: Option<(i64, i64)>,
}

fn read(call: &mut Call<'_>, by: Option<By>, direction: Option<Direction>) -> Answer {
    let query = Query::parse(call, 1, by, direction)?;
    let scores = Scores::of(call, query.with_scores);
    let Some(set) = call.get::<SortedSet>(call.args[1])? else { return Ok(Value::Array(Vec::new())) };
    let members = set.range(query.ranks(set));
    Ok(match query.direction {
        Direction::Up => scores.reply(members),
        Direction::Down => scores.reply(members.rev()),
    })
}

fn zrangestore(call: &mut Call<'_>) -> Answer {
    let query = Query::parse(call, 2, None, None)?;
    let mut result = SortedSet::new(call.state.config.seed);
    if let Some(set) = call.get::<SortedSet>(call.args[2])? {
        for (member, score) in set.range(query.ranks(set)) {
            result.insert(member, score);
        }
    }
    store(call, call.args[1], result)
}

impl<'a> Query<'a> {
    /// The query that follows the source key at index `key`. What the command's name does not say, its options may.
    fn parse(
        call: &Call<'a>,
        key: usize,
        fixed_by: Option<By>,
        fixed_direction: Option<Direction>,
    ) -> Result<Self> {
        let args = call.args;
        let is_store = key > 1;
        let (mut by, mut direction) = (fixed_by, fixed_direction);
        let (mut with_scores, mut limit) = (false, None);
        let mut at = key + 3;
        while at < args.len() {
            match args.word(at).as_str() {
                "WITHSCORES" if !is_store => with_scores = true,
                "LIMIT" if at + 2 < args.len() => {
                    limit = Some((args.integer(at + 1)?, args.integer(at + 2)?));
                    at += 2;
                }
                "REV" if direction.is_none() => direction = Some(Direction::Down),
                "BYLEX" if by.is_none() => by = Some(By::Lex),
                "BYSCORE" if by.is_none() => by = Some(By::Score),
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        let (by, direction) = (by.unwrap_or(By::Rank), direction.unwrap_or(Direction::Up));
        // Redis takes a count of -1 for no LIMIT at all.
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (first, second) = (args[key + 1], args[key + 2]);
        let is_swapped = direction == Direction::Down && by != By::Rank;
        let (min, max) = if is_swapped { (second, first) } else { (first, second) };
        Ok(Self { span: Span::parse(by, min, max)?, direction, with_scores, limit })
    }

    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = self.span.ranks(set);
        let is_down = self.direction == Direction::Down;
        if let Span::Rank(..) = self.span {
            return if is_down { set.len() - ranks.end..set.len() - ranks.start } else { ranks };
        }
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
        let taken = usize::try_from(count).unwrap_or(usize::MAX).min(ranks.len() - skipped);
        if is_down {
            let end = ranks.end - skipped;
            end - taken..end
        } else {
            let start = ranks.start + skipped;
            start..start + taken
        }
    }
}
