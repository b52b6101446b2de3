//! A sequence in sorted order as a B-tree whose branches know how many entries are below them.
//!
//! It knows nothing of members: the caller compares. A branch names its first entry, so that a search reads one node
//! per level, and its count, so that ranks and ranges by rank are as fast as searches. No operation moves more than
//! one node per level. A node is shared with clones until written.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::types::copied;

/// The most entries of a leaf: 3 KB to move at worst.
const LEAF_MAX: usize = 256;
/// The most children of a branch.
const BRANCH_MAX: usize = 64;
/// A leaf grows by so many places at a time, for doubling would leave a quarter of the memory unused.
const LEAF_STEP: usize = 32;
/// A node that has at most this share of its maximum is joined with a neighbour…
const JOIN_BELOW: usize = 4;
/// …unless the two together were so full (three quarters) that they would soon split again.
const JOINED_MAX: (usize, usize) = (3, 4);
/// What an entry costs in leaves that are nearly full, with its share of the branches; measured.
const ENTRY_BYTES: usize = 14;

/// A score and the number of a member. Packed to 12 bytes, for there is one per member of every sorted set.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct Entry {
    pub score: f64,
    pub id: u32,
}

/// The sequence.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Node,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Vec<Entry>>),
    Branch(Arc<Vec<Child>>),
}

#[derive(Clone, Debug)]
struct Child {
    first: Entry,
    count: u32,
    node: Node,
}

impl Tree {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn bytes(&self) -> usize {
        self.len * ENTRY_BYTES
    }

    /// How many nodes no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        fn count(node: &Node, is_shared: bool, sum: &mut (usize, usize)) {
            let is_shared = is_shared
                || match node {
                    Node::Leaf(entries) => Arc::strong_count(entries) > 1,
                    Node::Branch(children) => Arc::strong_count(children) > 1,
                };
            sum.0 += usize::from(!is_shared);
            sum.1 += 1;
            if let Node::Branch(children) = node {
                children.iter().for_each(|child| count(&child.node, is_shared, sum));
            }
        }
        let mut sum = (0, 0);
        count(&self.root, false, &mut sum);
        sum
    }

    /// Adds `entry` where `order` says: it compares an entry of the tree with the new one.
    pub fn insert(&mut self, entry: Entry, order: &impl Fn(Entry) -> Ordering) {
        self.len += 1;
        if let Some(right) = self.root.insert(entry, order, true) {
            let left = std::mem::take(&mut self.root);
            self.root = Node::Branch(Arc::new(vec![Child::new(left), Child::new(right)]));
        }
    }

    /// Removes the entry for which `order` says that it is equal; it must be there.
    pub fn remove(&mut self, order: &impl Fn(Entry) -> Ordering) {
        self.len -= 1;
        self.root.remove(order);
        while let Node::Branch(children) = &mut self.root {
            match children.len() {
                0 => self.root = Node::default(),
                1 => self.root = Arc::make_mut(children).pop().expect("there is one child").node,
                _ => break,
            }
        }
    }

    /// Takes the last leaf away, or a whole branch that somebody else shares; true when that was all. For freeing a tree
    /// bit by bit: the counts are not kept.
    pub fn pop_leaf(&mut self) -> bool {
        self.root.pop_leaf()
    }

    /// The number of entries from the first on for which `is_before` holds; it must hold for none after those.
    pub fn partition_point(&self, is_before: impl Fn(Entry) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(|entry| is_before(*entry)),
                Node::Branch(children) => {
                    let at = children.partition_point(|child| is_before(child.first)).saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.count as usize).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The leaf that holds the entry of this rank, and where in it; the rank must be below the length.
    pub fn leaf_at(&self, rank: usize) -> (&[Entry], usize) {
        let (mut node, mut rest) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(entries) => return (entries, rest),
                Node::Branch(children) => {
                    let child = children.iter().find(|child| {
                        let is_here = rest < child.count as usize;
                        rest -= if is_here { 0 } else { child.count as usize };
                        is_here
                    });
                    node = &child.expect("a rank is below the length").node;
                }
            }
        }
    }
}

impl Child {
    fn new(node: Node) -> Self {
        Self { first: node.first().expect("a child is not empty"), count: node.count(), node }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Arc::default())
    }
}

impl Node {
    /// Takes the last leaf away; true when nothing is left that is not shared.
    fn pop_leaf(&mut self) -> bool {
        let Self::Branch(children) = self else { return true };
        let Some(children) = Arc::get_mut(children) else { return true };
        if children.last_mut().is_none_or(|last| last.node.pop_leaf()) {
            children.pop();
        }
        children.is_empty()
    }

    fn first(&self) -> Option<Entry> {
        match self {
            Self::Leaf(entries) => entries.first().copied(),
            Self::Branch(children) => children.first().map(|child| child.first),
        }
    }

    /// The number of entries below, counted one level down.
    fn count(&self) -> u32 {
        match self {
            Self::Leaf(entries) => entries.len() as u32,
            Self::Branch(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// The places taken in this node itself, and its maximum.
    fn fill(&self) -> (usize, usize) {
        match self {
            Self::Leaf(entries) => (entries.len(), LEAF_MAX),
            Self::Branch(children) => (children.len(), BRANCH_MAX),
        }
    }

    /// Inserts below this node; answers the right half when it had to split. A node at the right edge splits at its
    /// end, so that entries that come in order, as times do, fill every leaf.
    fn insert(
        &mut self,
        entry: Entry,
        order: &impl Fn(Entry) -> Ordering,
        is_right_edge: bool,
    ) -> Option<Self> {
        match self {
            Self::Leaf(entries) => {
                let entries = copied::own_list(entries);
                // What comes in order, as times do, belongs to the end: to look there first costs others one step more.
                let is_after_all = entries.last().is_none_or(|last| order(*last).is_lt());
                let at = if is_after_all {
                    entries.len()
                } else {
                    entries.partition_point(|other| order(*other).is_lt())
                };
                if entries.len() < LEAF_MAX {
                    insert_into_leaf(entries, at, entry);
                    return None;
                }
                let middle = if is_right_edge && at == LEAF_MAX { LEAF_MAX } else { LEAF_MAX / 2 };
                let mut right = entries.split_off(middle);
                entries.shrink_to(middle + LEAF_STEP);
                if at < middle {
                    insert_into_leaf(entries, at, entry);
                } else {
                    insert_into_leaf(&mut right, at - middle, entry);
                }
                Some(Self::Leaf(Arc::new(right)))
            }
            Self::Branch(children) => {
                let children = copied::own_list(children);
                let at = position(children, order);
                let is_last = at + 1 == children.len();
                let child = &mut children[at];
                let Some(right) = child.node.insert(entry, order, is_right_edge && is_last) else {
                    child.count += 1;
                    child.first = child.node.first().expect("an entry was just inserted");
                    return None;
                };
                child.count = child.node.count();
                child.first = child.node.first().expect("half of the entries stay");
                children.insert(at + 1, Child::new(right));
                if children.len() <= BRANCH_MAX {
                    return None;
                }
                let middle = if is_right_edge && is_last { BRANCH_MAX } else { BRANCH_MAX / 2 };
                Some(Self::Branch(Arc::new(children.split_off(middle))))
            }
        }
    }

    fn remove(&mut self, order: &impl Fn(Entry) -> Ordering) {
        match self {
            Self::Leaf(entries) => {
                let entries = copied::own_list(entries);
                let at = entries.partition_point(|other| order(*other).is_lt());
                assert!(order(entries[at]).is_eq(), "an entry that is removed is there");
                entries.remove(at);
                if entries.capacity() > entries.len() + 3 * LEAF_STEP {
                    entries.shrink_to(entries.len() + LEAF_STEP);
                }
            }
            Self::Branch(children) => {
                let children = copied::own_list(children);
                let at = position(children, order);
                let child = &mut children[at];
                child.node.remove(order);
                match child.node.first() {
                    None => {
                        children.remove(at);
                    }
                    Some(first) => {
                        child.first = first;
                        child.count -= 1;
                        join(children, at);
                    }
                }
            }
        }
    }

    /// Puts the content of `right`, a node of the same level, after that of this one.
    fn append(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(entries), Self::Leaf(more)) => {
                let entries = copied::own_list(entries);
                entries.reserve_exact(more.len());
                entries.extend_from_slice(&more);
            }
            (Self::Branch(children), Self::Branch(more)) => {
                Arc::make_mut(children).append(&mut Arc::unwrap_or_clone(more));
            }
            _ => unreachable!("all leaves are on one level"),
        }
    }
}

/// The child under which an entry belongs: the last that does not begin after it.
fn position(children: &[Child], order: &impl Fn(Entry) -> Ordering) -> usize {
    // As in a leaf: most entries come in order.
    if children.last().is_some_and(|last| order(last.first).is_le()) {
        return children.len() - 1;
    }
    children.partition_point(|child| order(child.first).is_le()).saturating_sub(1)
}

fn insert_into_leaf(entries: &mut Vec<Entry>, at: usize, entry: Entry) {
    if entries.len() == entries.capacity() {
        // Small sets double, for a step of the full size would be most of their memory.
        entries.reserve_exact(entries.len().clamp(4, LEAF_STEP));
    }
    entries.insert(at, entry);
}

/// Joins a child that has become small with a neighbour when both fit well into one.
fn join(children: &mut Vec<Child>, at: usize) {
    let (len, max) = children[at].node.fill();
    if len * JOIN_BELOW > max || children.len() < 2 {
        return;
    }
    let left = if at + 1 < children.len() { at } else { at - 1 };
    let together = children[left].node.fill().0 + children[left + 1].node.fill().0;
    if together * JOINED_MAX.1 > max * JOINED_MAX.0 {
        return;
    }
    let right = children.remove(left + 1);
    children[left].count += right.count;
    children[left].node.append(right.node);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(score: f64) -> impl Fn(Entry) -> Ordering {
        move |entry| { entry.score }.partial_cmp(&score).expect("no NaN")
    }

    fn scores(tree: &Tree) -> Vec<f64> {
        let mut scores = Vec::new();
        while scores.len() < tree.len() {
            let (leaf, offset) = tree.leaf_at(scores.len());
            scores.extend(leaf[offset..].iter().map(|entry| entry.score));
        }
        scores
    }

    fn leaves(node: &Node) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Branch(children) => children.iter().map(|child| leaves(&child.node)).sum(),
        }
    }

    fn check(node: &Node) -> u32 {
        if let Node::Branch(children) = node {
            for child in children.iter() {
                assert_eq!(check(&child.node), child.count);
                assert_eq!(Some(child.first.id), child.node.first().map(|first| first.id));
            }
        }
        assert!(node.fill().0 <= node.fill().1);
        node.count()
    }

    #[test]
    fn entries_that_come_in_order_fill_every_leaf() {
        let mut tree = Tree::default();
        for id in 0..100_000 {
            tree.insert(Entry { score: f64::from(id), id }, &by(f64::from(id)));
        }
        assert_eq!(leaves(&tree.root), 100_000_usize.div_ceil(LEAF_MAX));
        assert_eq!(check(&tree.root), 100_000);
    }

    #[test]
    fn it_stays_sorted_and_counted_while_it_grows_and_shrinks() {
        let mut tree = Tree::default();
        let shuffled = |n: u32| f64::from(n.wrapping_mul(48_271) % 65_521);
        for id in 1..60_000 {
            tree.insert(Entry { score: shuffled(id), id }, &by(shuffled(id)));
        }
        check(&tree.root);
        assert!(scores(&tree).is_sorted());
        for id in 1..60_000 {
            let score = shuffled(id);
            let rank = tree.partition_point(|entry| entry.score < score);
            let (leaf, offset) = tree.leaf_at(rank);
            assert_eq!({ leaf[offset].score }, score);
            if id % 50 != 0 {
                tree.remove(&by(score));
            }
        }
        assert_eq!(check(&tree.root), 1_199);
        assert!(scores(&tree).is_sorted());
        assert!(leaves(&tree.root) < 40, "{} leaves", leaves(&tree.root));
        for score in scores(&tree) {
            tree.remove(&by(score));
        }
        assert_eq!(tree.len(), 0);
        assert!(matches!(&tree.root, Node::Leaf(entries) if entries.is_empty()));
    }
}
