//! The sorted set: members in the order of their scores, members of one score in the order of their bytes.
//!
//! A member is stored once, in the arena, with its score. The tree has the order, as scores and numbers of members;
//! the index finds a member's number by its bytes. A small set has no index: looking at every member is as fast and
//! costs nothing.

mod arena;
mod range;
mod tree;

use std::cmp::Ordering;
use std::ops::Range;

use foldhash::quality::FixedState;

use self::arena::Arena;
use self::tree::{Entry, Tree};
use super::budget::Budget;
use super::table::Table;
use crate::blob::Blob;
use crate::keyspace::hash_of;

pub use self::range::{LexBound, ScoreBound};

/// The most members of a set without an index; where Redis's default leaves its compact form.
const SMALL_LEN_MAX: usize = 128;
/// The longest member of a set without an index; Redis's default as well.
const SMALL_MEMBER_MAX: usize = 64;

/// A sorted set. A score is never NaN.
#[derive(Clone, Debug)]
pub struct SortedSet {
    arena: Arena,
    tree: Tree,
    index: Option<Index>,
    seed: u64,
}

/// Numbers of members by the hash of their bytes.
#[derive(Clone, Debug)]
struct Index {
    table: Table<u32>,
    hasher: FixedState,
}

impl SortedSet {
    pub fn new(seed: u64) -> Self {
        Self { arena: Arena::default(), tree: Tree::default(), index: None, seed }
    }

    pub fn len(&self) -> usize {
        self.tree.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.table.bytes());
        size_of::<Self>() + self.arena.bytes() + self.tree.bytes() + index
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.arena.clone_bytes() + self.index.as_ref().map_or(0, |index| index.table.clone_bytes())
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        let index = self.index.as_ref().map_or((0, 0), |index| index.table.own_blocks());
        let parts = [self.arena.own_blocks(), self.tree.own_blocks(), index];
        parts.into_iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        if self.is_small() { "listpack" } else { "skiplist" }
    }

    /// True for the form without an index, which Redis calls listpack.
    pub fn is_small(&self) -> bool {
        self.index.is_none()
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(member).map(|id| self.arena.get(id).1)
    }

    /// The number of members before `member`.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let order = self.order(self.find(member)?);
        Some(self.tree.partition_point(|entry| order(entry).is_lt()))
    }

    /// Sets the score of a member, which is added where it is not there. Answers its score before.
    ///
    /// # Panics
    /// When the score is NaN, which has no place in an order.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
        let Some(id) = self.find(member) else {
            self.add(member, score);
            return None;
        };
        let score = self.stored(member, score);
        let before = self.arena.get(id).1;
        if before != score {
            self.tree.remove(&order(&self.arena, id));
            self.arena.set_score(id, score);
            self.place(id, score);
        }
        Some(before)
    }

    /// Adds a member, which the caller knows to be absent.
    ///
    /// # Panics
    /// When the score is NaN.
    pub fn add(&mut self, member: &[u8], score: f64) {
        assert!(!score.is_nan(), "a score is a number");
        let score = self.stored(member, score);
        let id = self.arena.insert(score, member);
        self.place(id, score);
        self.add_to_index(id);
    }

    /// Has the memory fetched where some members are or belong, before they are added one by one.
    pub fn warm<'a>(&self, members: impl Iterator<Item = &'a [u8]>) {
        if let Some(index) = &self.index {
            index.table.warm(members.map(|member| hash_of(&index.hasher, member)));
        }
    }

    /// Removes a member and answers its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let id = self.find(member)?;
        Some(self.take(id))
    }

    /// Removes the member of this rank, which must be below the length.
    pub fn remove_at(&mut self, rank: usize) -> (f64, Blob) {
        let (leaf, offset) = self.tree.leaf_at(rank);
        let id = leaf[offset].id;
        let member = Blob::from(self.arena.member(id));
        (self.take(id), member)
    }

    /// Removes the members of these ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let (leaf, offset) = self.tree.leaf_at(ranks.start);
            self.take(leaf[offset].id);
        }
    }

    /// Takes members out of a set that nobody uses any more, from each of its parts in turn; true when none is left.
    /// The parts are taken down where they end, without a search for the same member in all of them.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent()
            && let Some(bucket) = self.index.as_mut().and_then(|index| index.table.pop_bucket())
        {
            // Numbers cost nothing each: a bucket is one piece of memory.
            budget.spend(1, bucket.len() * size_of::<u32>());
        }
        self.arena.free_some(budget);
        while !budget.is_spent() {
            if self.tree.pop_leaf() {
                return true;
            }
            budget.spend(1, 0);
        }
        false
    }

    /// Visits some members and answers the next cursor, 0 at the end. A small set is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        if let Some(index) = &self.index {
            return index.table.scan(cursor, |id| {
                let (member, score) = self.arena.get(*id);
                visit(member, score);
            });
        }
        self.iter().for_each(|(member, score)| visit(member, score));
        0
    }

    /// The score as it is stored: Redis's compact form writes -0 as an integer, which loses the sign.
    fn stored(&self, member: &[u8], score: f64) -> f64 {
        let stays_small =
            self.index.is_none() && self.len() < SMALL_LEN_MAX && member.len() <= SMALL_MEMBER_MAX;
        if stays_small && score == 0.0 { 0.0 } else { score }
    }

    fn find(&self, member: &[u8]) -> Option<u32> {
        let Some(index) = &self.index else { return self.arena.search(member) };
        let hash = hash_of(&index.hasher, member);
        index.table.find(hash, |id| self.arena.member(*id) == member).copied()
    }

    fn place(&mut self, id: u32, score: f64) {
        self.tree.insert(Entry { score, id }, &order(&self.arena, id));
    }

    fn take(&mut self, id: u32) -> f64 {
        self.tree.remove(&order(&self.arena, id));
        if let Some(index) = &mut self.index {
            let hash = hash_of(&index.hasher, self.arena.member(id));
            index.table.remove(hash, |other| *other == id);
        }
        self.arena.remove(id)
    }

    /// Adds a member that was just stored to the index; makes the index when the set has become too large to do
    /// without. It is not given up again, so that a set that changes between two sizes does not build it each time.
    fn add_to_index(&mut self, id: u32) {
        let is_small = self.len() <= SMALL_LEN_MAX && self.arena.member(id).len() <= SMALL_MEMBER_MAX;
        if let Some(index) = &mut self.index {
            index.insert(&self.arena, id);
        } else if !is_small {
            let mut index = Index { table: Table::default(), hasher: FixedState::with_seed(self.seed) };
            for rank in 0..self.tree.len() {
                let (leaf, offset) = self.tree.leaf_at(rank);
                index.insert(&self.arena, leaf[offset].id);
            }
            self.index = Some(index);
        }
    }

    fn order(&self, id: u32) -> impl Fn(Entry) -> Ordering + '_ {
        order(&self.arena, id)
    }
}

impl Index {
    fn insert(&mut self, arena: &Arena, id: u32) {
        let hash_of_id = |id: &u32| hash_of(&self.hasher, arena.member(*id));
        self.table.insert(hash_of_id(&id), id, hash_of_id);
    }
}

/// Compares entries with the member `id`. 0 and -0 are the same score.
fn order(arena: &Arena, id: u32) -> impl Fn(Entry) -> Ordering + '_ {
    let (member, score) = arena.get(id);
    move |entry| match { entry.score }.partial_cmp(&score).expect("a score is never NaN") {
        Ordering::Equal if entry.id == id => Ordering::Equal,
        Ordering::Equal => arena.member(entry.id).cmp(member),
        unequal => unequal,
    }
}

#[cfg(test)]
mod tests;
