//! Parts of a sorted set: between scores, between members, between ranks.

use std::ops::Range;
use std::slice;

use super::SortedSet;
use super::tree::Entry;

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    pub score: f64,
    pub is_exclusive: bool,
}

/// An end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before every member.
    First,
    /// After every member.
    Last,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
}

impl SortedSet {
    /// The ranks of the members with scores from `min` to `max`.
    pub fn ranks_by_score(&self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let start =
            self.partition_point(
                |_, score| {
                    if min.is_exclusive { score <= min.score } else { score < min.score }
                },
            );
        let end = self.partition_point(
            |_, score| {
                if max.is_exclusive { score < max.score } else { score <= max.score }
            },
        );
        start..end.max(start)
    }

    /// The ranks of the members from `min` to `max`, which means something where all scores are the same.
    pub fn ranks_by_lex(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let start = match min {
            LexBound::First => 0,
            LexBound::Last => self.len(),
            LexBound::Inclusive(bound) => self.partition_point(|member, _| member < bound),
            LexBound::Exclusive(bound) => self.partition_point(|member, _| member <= bound),
        };
        let end = match max {
            LexBound::First => 0,
            LexBound::Last => self.len(),
            LexBound::Inclusive(bound) => self.partition_point(|member, _| member <= bound),
            LexBound::Exclusive(bound) => self.partition_point(|member, _| member < bound),
        };
        start..end.max(start)
    }

    /// The members of these ranks with their scores, from both ends; ranks beyond the last member are left out.
    pub fn range(&self, ranks: Range<usize>) -> Members<'_> {
        let end = ranks.end.min(self.len());
        Members {
            set: self,
            ranks: ranks.start.min(end)..end,
            front: Default::default(),
            back: Default::default(),
        }
    }

    /// Every member with its score.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..self.len())
    }

    /// The number of members from the first on for which `is_before` holds.
    fn partition_point(&self, is_before: impl Fn(&[u8], f64) -> bool) -> usize {
        self.tree.partition_point(|entry| is_before(self.arena.member(entry.id), entry.score))
    }
}

/// Members and scores in order. A leaf is looked up when the one before is used up.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    set: &'a SortedSet,
    ranks: Range<usize>,
    front: slice::Iter<'a, Entry>,
    back: slice::Iter<'a, Entry>,
}

impl<'a> Members<'a> {
    fn pair(&self, entry: Entry) -> (&'a [u8], f64) {
        (self.set.arena.member(entry.id), entry.score)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        if self.front.len() == 0 {
            let (leaf, offset) = self.set.tree.leaf_at(rank);
            self.front = leaf[offset..].iter();
        }
        self.front.next().map(|entry| self.pair(*entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        if self.back.len() == 0 {
            let (leaf, offset) = self.set.tree.leaf_at(rank);
            self.back = leaf[..=offset].iter();
        }
        self.back.next_back().map(|entry| self.pair(*entry))
    }
}

impl ExactSizeIterator for Members<'_> {}
