//! A hash table that grows and shrinks one bucket at a time (linear hashing, Litwin 1980).
//!
//! The keyspace, hashes, sets and sorted sets stand on it. No operation ever moves more than one bucket, so there
//! is no resize to wait for, and a bucket is the block by which a scan and a freeing go. A segment of buckets is shared
//! with clones until written. The
//! table knows nothing of what it holds: the caller gives the hash and the comparison, as with a raw hash table.

use std::slice;
use std::sync::Arc;

use super::blocks::{self, Blocks};
use super::copied;

/// Entries per bucket that the table aims at.
const LOAD: usize = 6;
/// Buckets of one segment: so few that a write to a shared one does not copy for long.
const SEGMENT: usize = 16;

/// So many members of a large command have their memory fetched at once: more would push the first out of the nearest
/// cache again.
pub const WARM: usize = 32;
/// At so many places a bucket is looked at to have all of it fetched.
const WARM_PARTS: usize = 4;

/// A hash table of `T` with hashes given by the caller.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// The first doubles until it has all of its buckets; the others have them from the start.
    segments: Blocks<[Bucket<T>]>,
    buckets: usize,
    len: usize,
}

/// Where an item of a table is until the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    bucket: usize,
    slot: usize,
}

type Bucket<T> = Vec<(u32, T)>;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { segments: Blocks::default(), buckets: 0, len: 0 }
    }
}

impl<T: Clone> Table<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn find(&self, hash: u64, matches: impl Fn(&T) -> bool) -> Option<&T> {
        let tag = tag(hash);
        self.bucket(self.index(hash)?)
            .iter()
            .find(|(other, item)| *other == tag && matches(item))
            .map(|(_, item)| item)
    }

    pub fn find_mut(&mut self, hash: u64, matches: impl Fn(&T) -> bool) -> Option<&mut T> {
        // Searched before the segment is written, so that what is not there copies nothing.
        let place = self.place(hash, matches)?;
        Some(self.at_mut(place))
    }

    /// Looks at the buckets where items with these hashes are or belong, and at those that split when as many are added.
    /// Who is about to search for many items one by one has their memory fetched all at once by this, where each search
    /// would wait for its own. More than [`WARM`] hashes are not looked at.
    pub fn warm(&self, hashes: impl Iterator<Item = u64>) {
        if self.buckets == 0 {
            return;
        }
        // In turns: first where the buckets are, then what is in them. A turn that waited for the one before, as a loop
        // over the items of each bucket does, would fetch one after the other again.
        let mut buckets = [0; WARM + WARM / LOAD + 1];
        let mut count = 0;
        hashes.take(WARM).for_each(|hash| {
            buckets[count] = self.fold(hash & self.mask());
            count += 1;
        });
        for ahead in 0..count / LOAD + 1 {
            buckets[count + ahead] = split_source(self.buckets + ahead).min(self.buckets - 1);
        }
        let buckets = &buckets[..count + count / LOAD + 1];
        let mut seen = 0;
        for bucket in buckets {
            seen ^= self.bucket(*bucket).len();
        }
        for bucket in buckets {
            let items = self.bucket(*bucket);
            let last = items.len().saturating_sub(1);
            for part in 0..WARM_PARTS {
                seen ^= items.get(last * part / (WARM_PARTS - 1)).map_or(0, |(tag, _)| *tag as usize);
            }
        }
        // What nobody uses would not be read.
        std::hint::black_box(seen);
    }

    /// Where an item is, for [`at_mut`](Self::at_mut): one search for who makes the item if it is not there.
    pub fn place(&self, hash: u64, matches: impl Fn(&T) -> bool) -> Option<Place> {
        let tag = tag(hash);
        let bucket = self.index(hash)?;
        let mut items = self.bucket(bucket).iter();
        let slot = items.position(|(other, item)| *other == tag && matches(item))?;
        Some(Place { bucket, slot })
    }

    /// The item at a place that was just found.
    ///
    /// # Panics
    /// When the table has changed so that there is no such place.
    pub fn at_mut(&mut self, place: Place) -> &mut T {
        &mut self.bucket_mut(place.bucket)[place.slot].1
    }

    /// Adds `item`, which the caller knows to be absent. The hash must be the one that it will be looked up with.
    pub fn insert(&mut self, hash: u64, item: T, rehash: impl Fn(&T) -> u64) -> &mut T {
        if self.len >= self.buckets * LOAD {
            self.split(rehash);
        }
        self.len += 1;
        let index = self.index(hash).expect("there is a bucket after a split");
        let bucket = self.bucket_mut(index);
        bucket.push((tag(hash), item));
        &mut bucket.last_mut().expect("an item was just pushed").1
    }

    pub fn remove(&mut self, hash: u64, matches: impl Fn(&T) -> bool) -> Option<T> {
        let place = self.place(hash, matches)?;
        let (_, item) = self.bucket_mut(place.bucket).swap_remove(place.slot);
        self.len -= 1;
        if self.len * 4 < self.buckets * LOAD {
            self.merge();
        }
        Some(item)
    }

    /// Takes the last bucket away whole, however full the rest is; for freeing a table bit by bit. A segment that
    /// somebody else shares is left to them: it goes whole, as an empty bucket.
    pub fn pop_bucket(&mut self) -> Option<Vec<(u32, T)>> {
        let last = self.segments.len().checked_sub(1)?;
        let last = self.segments.get_mut(last);
        let used = (self.buckets - 1) % SEGMENT + 1;
        copied::note(last, segment_bytes);
        let Some(buckets) = Arc::get_mut(last) else {
            self.len -= last.iter().map(Vec::len).sum::<usize>();
            self.buckets -= used;
            self.segments.pop();
            return Some(Vec::new());
        };
        let bucket = std::mem::take(&mut buckets[used - 1]);
        self.buckets -= 1;
        if used == 1 {
            self.segments.pop();
        }
        self.len -= bucket.len();
        Some(bucket)
    }

    pub fn iter(&self) -> Iter<'_, T> {
        Iter { segments: self.segments.iter(), buckets: [].iter(), items: [].iter(), left: self.len() }
    }

    /// The segments apart, each an iterator over its items: who walks a clone can let go of each when it is done.
    pub fn into_segments(self) -> impl Iterator<Item = Segment<T>> {
        self.segments.into_blocks().map(Segment)
    }

    /// How many segments no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        self.segments.own()
    }

    /// The item at a place chosen by `random` numbers; `None` only when the table is empty. Every item has the same
    /// chance: places are drawn in a grid as deep as the deepest bucket seen until one is taken.
    pub fn choose(&self, mut random: impl FnMut(usize) -> usize) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        // Buckets of well-mixed hashes are far below this depth, so no item is out of reach in practice; a deeper
        // bucket raises the depth for its draw.
        let mut depth = LOAD * 4;
        loop {
            let bucket = self.bucket(random(self.buckets));
            depth = depth.max(bucket.len());
            if let Some((_, item)) = bucket.get(random(depth)) {
                return Some(item);
            }
        }
    }

    /// Visits one bucket and answers the next cursor, 0 at the end. An item that is present from the first to the
    /// last call is visited at least once, however the table grows or shrinks between calls: the cursor counts in
    /// bit-reversed order, so a split or merge only concerns buckets that were both visited or both not.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&T)) -> u64 {
        if self.buckets == 0 {
            return 0;
        }
        // With linear hashing some buckets stand at the larger mask and some still at the smaller one. Walking by the
        // larger mask visits an unsplit bucket for both of its halves, at worst twice.
        let mask = self.mask();
        let index = cursor & mask;
        for (_, item) in self.bucket(self.fold(index)) {
            visit(item);
        }
        let mut next = cursor | !mask;
        next = next.reverse_bits().wrapping_add(1).reverse_bits();
        // Both halves of an unsplit bucket have been seen now: skip its second half.
        if next != 0 && (next & mask) as usize >= self.buckets && next & (mask >> 1) == index & (mask >> 1) {
            next |= !mask;
            next = next.reverse_bits().wrapping_add(1).reverse_bits();
        }
        next
    }

    /// Bytes of the directory and of the entries themselves, without what they point to.
    pub fn bytes(&self) -> usize {
        self.buckets * size_of::<Bucket<T>>() + self.len * size_of::<(u32, T)>()
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.segments.clone_bytes()
    }

    /// True when somebody shares some of the segments.
    pub fn is_shared(&self) -> bool {
        self.segments.is_shared()
    }

    fn split(&mut self, rehash: impl Fn(&T) -> u64) {
        self.make_room();
        self.buckets += 1;
        let fresh = self.buckets - 1;
        if fresh == 0 {
            return;
        }
        let source = split_source(fresh);
        let (mask, is_whole) = (self.mask(), self.mask() <= u64::from(u32::MAX));
        // Both halves of what stood at the smaller mask are there now: the larger one tells them apart.
        let goes: Bucket<T> = self
            .bucket_mut(source)
            .extract_if(.., |(tag, item)| {
                let hash = if is_whole { u64::from(*tag) } else { rehash(item) };
                (hash & mask) as usize == fresh
            })
            .collect();
        let stays = self.bucket_mut(source);
        stays.shrink_to(stays.len().next_multiple_of(4));
        *self.bucket_mut(fresh) = goes;
    }

    /// Sees to it that there is a segment for one more bucket.
    fn make_room(&mut self) {
        if self.buckets == self.segments.len() * SEGMENT {
            let size = if self.buckets == 0 { 1 } else { SEGMENT };
            self.segments.push(std::iter::repeat_with(Vec::new).take(size).collect());
        } else if self.buckets == self.segments.get(0).len() {
            let first = own(self.segments.get_mut(0));
            let more = std::iter::repeat_with(Vec::new).take(first.len());
            let doubled = first.iter_mut().map(std::mem::take).chain(more).collect();
            *self.segments.get_mut(0) = doubled;
        }
    }

    fn merge(&mut self) {
        if self.buckets <= 1 {
            return;
        }
        let moved = std::mem::take(self.bucket_mut(self.buckets - 1));
        self.buckets -= 1;
        if self.buckets.is_multiple_of(SEGMENT) {
            self.segments.pop();
        }
        if !moved.is_empty() {
            self.bucket_mut(split_source(self.buckets)).extend(moved);
        }
    }

    /// The mask under which bucket numbers reach the number of buckets.
    fn mask(&self) -> u64 {
        (self.buckets.next_power_of_two() - 1) as u64
    }

    fn fold(&self, index: u64) -> usize {
        let index = index as usize;
        if index < self.buckets { index } else { index & (self.mask() as usize >> 1) }
    }

    fn index(&self, hash: u64) -> Option<usize> {
        (self.buckets > 0).then(|| self.fold(hash & self.mask()))
    }

    fn bucket(&self, index: usize) -> &Bucket<T> {
        &self.segments.get(index / SEGMENT)[index % SEGMENT]
    }

    fn bucket_mut(&mut self, index: usize) -> &mut Bucket<T> {
        &mut own(self.segments.get_mut(index / SEGMENT))[index % SEGMENT]
    }
}

/// The items of a table, bucket by bucket. A type of its own, because adapters within adapters are compiled anew for each
/// of the many who walk a table.
pub struct Iter<'a, T> {
    segments: blocks::Iter<'a, [Bucket<T>]>,
    buckets: slice::Iter<'a, Bucket<T>>,
    items: slice::Iter<'a, (u32, T)>,
    left: usize,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some((_, item)) = self.items.next() {
                self.left -= 1;
                return Some(item);
            }
            match self.buckets.next() {
                Some(bucket) => self.items = bucket.iter(),
                None => self.buckets = self.segments.next()?.iter(),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Some of the items of a table that was taken apart.
pub struct Segment<T>(Arc<[Bucket<T>]>);

impl<T> Segment<T> {
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten().map(|(_, item)| item)
    }
}

/// As [`copied::own`], which has no slices.
fn own<T: Clone>(segment: &mut Arc<[Bucket<T>]>) -> &mut [Bucket<T>] {
    copied::note(segment, segment_bytes);
    Arc::make_mut(segment)
}

/// Bytes of the buckets of a segment, without what the items point to.
fn segment_bytes<T>(buckets: &[Bucket<T>]) -> usize {
    size_of_val(buckets) + buckets.iter().map(|bucket| size_of_val(&**bucket)).sum::<usize>()
}

/// The bucket that splits into itself and `bucket`: the same number without its highest bit.
fn split_source(bucket: usize) -> usize {
    bucket & !(1 << (usize::BITS - 1 - bucket.leading_zeros()))
}

/// The lower half of the hash. It tells items of one bucket apart by those of its bits that did not choose the bucket,
/// and moves an item to its next bucket without a look at the item, which is most often not in the cache.
fn tag(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn mix(number: &u64) -> u64 {
        (number ^ 0x5555)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn a_table_of_any_size_is_warmed_for_any_number_of_hashes() {
        let mut table = Table::default();
        for n in 0..300 {
            for count in [0, 1, 7, 32, 100] {
                table.warm((n..n + count).map(|n| mix(&n)));
            }
            table.insert(mix(&n), n, mix);
            assert_eq!(table.find(mix(&n), |other| *other == n), Some(&n));
        }
    }

    fn table(numbers: std::ops::Range<u64>) -> Table<u64> {
        let mut table = Table::default();
        for number in numbers {
            table.insert(mix(&number), number, mix);
        }
        table
    }

    #[test]
    fn what_was_inserted_is_found_until_it_is_removed() {
        let mut table = table(0..10_000);
        for number in (0..10_000).step_by(3) {
            assert_eq!(table.remove(mix(&number), |other| *other == number), Some(number));
        }
        for number in 0..10_000 {
            assert_eq!(table.find(mix(&number), |other| *other == number).is_some(), number % 3 != 0);
        }
        assert_eq!(table.iter().count(), table.len());
    }

    #[test]
    fn no_insertion_or_removal_moves_more_than_one_bucket() {
        let depths = |table: &Table<u64>| -> Vec<usize> {
            (0..table.buckets).map(|index| table.bucket(index).len()).collect()
        };
        let mut table = Table::default();
        let mut before = depths(&table);
        for step in 0..4_000_u64 {
            let number = step % 2_500;
            if step < 2_500 {
                table.insert(mix(&number), number, mix);
            } else {
                table.remove(mix(&number), |other| *other == number);
            }
            let after = depths(&table);
            let was = |index: usize| before.get(index).copied().unwrap_or(0);
            let is = |index: usize| after.get(index).copied().unwrap_or(0);
            let changed = (0..after.len().max(before.len())).filter(|index| was(*index) != is(*index));
            // The item's own bucket, and the two of a split or a merge.
            assert!(changed.count() <= 3, "step {step}");
            assert!(after.len().abs_diff(before.len()) <= 1, "step {step}");
            before = after;
        }
    }

    #[test]
    fn no_insertion_moves_more_than_a_few_items() {
        let (mut table, mut moved_max) = (Table::default(), 0);
        for number in 0..40_000 {
            if table.len() >= table.buckets * LOAD && table.buckets > 0 {
                moved_max = moved_max.max(table.bucket(split_source(table.buckets)).len());
            }
            table.insert(mix(&number), number, mix);
        }
        assert!((LOAD..=4 * LOAD).contains(&moved_max), "{moved_max} items were in a bucket that was split");
    }

    #[test]
    fn a_scan_visits_what_stays_however_the_table_changes() {
        for change in [0_u64, 20_000] {
            let mut table = table(0..5_000);
            let (mut cursor, mut seen, mut step) = (0, BTreeSet::new(), 0_u64);
            loop {
                cursor = table.scan(cursor, |number| {
                    seen.insert(*number);
                });
                if cursor == 0 {
                    break;
                }
                step += 1;
                for fresh in (0..37).map(|n| 5_000 + step * 37 + n).filter(|_| change > 0) {
                    table.insert(mix(&fresh), fresh, mix);
                }
                for number in
                    (step * 4..step * 4 + 4).map(|n| 1_000 + n).filter(|n| change == 0 && *n < 5_000)
                {
                    table.remove(mix(&number), |other| *other == number);
                }
            }
            let stayed = if change == 0 { 0..1_000 } else { 0..5_000 };
            assert!(stayed.into_iter().all(|number| seen.contains(&number)));
        }
    }

    #[test]
    fn every_item_has_about_the_same_chance() {
        let table = table(0..50);
        let mut random = crate::random::Random::new(1);
        let mut counts = [0; 50];
        for _ in 0..50_000 {
            counts[*table.choose(|bound| random.below(bound)).expect("not empty") as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
