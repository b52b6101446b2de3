//! Choosing items of a collection at random.

use std::collections::BTreeSet;

use crate::random::Random;

/// One item of a block, each with the same chance.
pub fn one_of<'a, T>(block: &'a [T], random: &mut Random) -> Option<&'a T> {
    if block.is_empty() { None } else { block.get(random.below(block.len())) }
}

/// `count` different items of the `len` that `items` gives, all when there are not more.
///
/// A few of many are drawn with `choose` until they are different; otherwise drawing would meet the same ones too
/// often, and all are shuffled as far as needed.
pub fn distinct<'a, T>(
    items: impl Iterator<Item = &'a T>,
    len: usize,
    count: usize,
    random: &mut Random,
    choose: impl Fn(&mut Random) -> Option<&'a T>,
) -> Vec<&'a T> {
    if count >= len {
        return items.collect();
    }
    if count > len / 3 {
        let mut all: Vec<&T> = items.collect();
        for place in 0..count {
            let other = place + random.below(len - place);
            all.swap(place, other);
        }
        all.truncate(count);
        return all;
    }
    // Items are told apart by where they are; what is chosen depends on the draws alone.
    let (mut chosen, mut seen) = (Vec::with_capacity(count), BTreeSet::new());
    while chosen.len() < count {
        let item = choose(random).expect("there are more items than are asked for");
        if seen.insert(std::ptr::from_ref(item)) {
            chosen.push(item);
        }
    }
    chosen
}
