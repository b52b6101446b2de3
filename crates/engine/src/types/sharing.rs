//! How much of a large collection one write copies while a clone shares all of it.

use std::sync::Arc;

use super::{End, Hash, Id, List, Set, SortedSet, Stream};

const MEMBERS: u32 = 1_000_000;
/// The most blocks that one write may copy: those on the way to the deepest, in each of the parts of a sorted set.
const COPIED_MAX: usize = 8;

/// How many of `blocks` have one owner, and how many there are.
pub fn own<'a, T: ?Sized + 'a>(blocks: impl IntoIterator<Item = &'a Arc<T>>) -> (usize, usize) {
    blocks
        .into_iter()
        .fold((0, 0), |(own, all), block| (own + usize::from(Arc::strong_count(block) == 1), all + 1))
}

fn check<T: Clone>(
    name: &str,
    mut value: T,
    write: impl FnOnce(&mut T),
    own_blocks: impl Fn(&T) -> (usize, usize),
) {
    let clone = value.clone();
    let (own, all) = own_blocks(&value);
    assert_eq!(own, 0, "{name}: a clone shares every block");
    assert!(all > 1_000, "{name}: {all} blocks are few for so many members");
    write(&mut value);
    let (own, _) = own_blocks(&value);
    assert!((1..=COPIED_MAX).contains(&own), "{name}: one write copied {own} of {all} blocks");
    drop(clone);
    assert_eq!(own_blocks(&value).0, own_blocks(&value).1, "{name}: nobody shares it any more");
}

#[test]
fn one_write_to_a_large_hash_copies_a_few_blocks() {
    let mut hash = Hash::new(1);
    for n in 0..MEMBERS {
        hash.set(&n.to_le_bytes(), b"value");
    }
    let write = |hash: &mut Hash| _ = hash.set(&7_u32.to_le_bytes(), b"other");
    check("a hash", hash, write, Hash::own_blocks);
}

#[test]
fn one_write_to_a_large_set_copies_a_few_blocks() {
    let mut set = Set::new(1);
    for n in 0..MEMBERS {
        set.add(&n.to_le_bytes());
    }
    check("a set", set, |set| _ = set.remove(&7_u32.to_le_bytes()), Set::own_blocks);
}

#[test]
fn one_write_to_a_large_sorted_set_copies_a_few_blocks() {
    let mut set = SortedSet::new(1);
    for n in 0..MEMBERS {
        set.insert(&n.to_le_bytes(), f64::from(n));
    }
    let write = |set: &mut SortedSet| _ = set.insert(&7_u32.to_le_bytes(), 500_000.5);
    check("a sorted set", set, write, SortedSet::own_blocks);
}

#[test]
fn one_write_to_a_large_list_copies_a_few_blocks() {
    let mut list = List::new(1);
    // A block is bounded by its bytes: items of four would be so many to a block that there were few of them.
    (0..MEMBERS).for_each(|n| list.push(End::Right, &[n.to_le_bytes(); 5].concat()));
    check("a list", list, |list| _ = list.pop(End::Left), List::own_blocks);
}

#[test]
fn one_write_to_a_large_stream_copies_a_few_blocks() {
    let mut stream = Stream::new(1);
    (1..=MEMBERS).for_each(|n| stream.push(Id::new(u64::from(n), 0), &[b"field", b"value"]));
    check("a stream", stream, |stream| _ = stream.remove(Id::new(500_000, 0)), Stream::own_blocks);
}
