//! The part of a sorted set that a command names by ranks, scores or members.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::number::{parse_any_float, parse_integer};
use crate::types::{LexBound, ScoreBound, SortedSet};

/// By what a part is named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Rank,
    Score,
    Lex,
}

/// A part of a sorted set, both ends included unless they say otherwise.
#[derive(Clone, Copy)]
pub enum Span<'a> {
    /// Negative ranks count from the end.
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

impl<'a> Span<'a> {
    pub fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self> {
        Ok(match by {
            By::Rank => Self::Rank(rank(min)?, rank(max)?),
            By::Score => Self::Score(score(min)?, score(max)?),
            By::Lex => Self::Lex(lex(min)?, lex(max)?),
        })
    }

    /// The ranks of the part in `set`.
    pub fn ranks(&self, set: &SortedSet) -> Range<usize> {
        match *self {
            Self::Rank(first, last) => ranks(first, last, set.len()),
            Self::Score(min, max) => set.ranks_by_score(min, max),
            Self::Lex(min, max) => set.ranks_by_lex(min, max),
        }
    }
}

fn rank(text: &[u8]) -> Result<i64> {
    parse_integer(text).ok_or(Error::NOT_INTEGER)
}

/// A score, exclusive after `(`. Redis reads it with `strtod`, for which nothing is 0 and leading space is fine.
fn score(text: &[u8]) -> Result<ScoreBound> {
    let (is_exclusive, number) = match text {
        [b'(', number @ ..] => (true, number),
        number => (false, number),
    };
    let number = number.trim_ascii_start();
    let score = if number.is_empty() { Some(0.0) } else { parse_any_float(number) };
    let score = score.ok_or_else(|| Error::new("ERR min or max is not a float"))?;
    Ok(ScoreBound { score, is_exclusive })
}

fn lex(text: &[u8]) -> Result<LexBound<'_>> {
    match text {
        b"-" => Ok(LexBound::First),
        b"+" => Ok(LexBound::Last),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(Error::new("ERR min or max not valid string range item")),
    }
}

fn ranks(first: i64, last: i64, len: usize) -> Range<usize> {
    let from_start = |rank: i64| {
        if rank < 0 {
            len.checked_sub(usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX))
        } else {
            Some(usize::try_from(rank).unwrap_or(usize::MAX))
        }
    };
    let start = from_start(first).unwrap_or(0).min(len);
    let end = from_start(last).map_or(0, |last| last.saturating_add(1)).min(len);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::ranks;

    #[test]
    fn negative_ranks_count_from_the_end() {
        for ((first, last), expected) in [
            ((0, -1), 0..5),
            ((-2, -1), 3..5),
            ((-100, 1), 0..2),
            ((1, 100), 1..5),
            ((3, 1), 3..3),
            ((0, -6), 0..0),
            ((7, 9), 5..5),
            ((i64::MIN, i64::MAX), 0..5),
        ] {
            assert_eq!(ranks(first, last, 5), expected, "{first} {last}");
        }
    }
}
