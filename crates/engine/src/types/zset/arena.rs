//! The members of a sorted set and their scores, stored once; everything else names them by a number.
//!
//! Members live in segments: a run of slots and one text for all of their short members, so that a member costs its
//! bytes and 16 more, and no allocation of its own. A segment without members is given back: a set that was long for
//! an hour must not stay large for ever. A segment is shared with clones until written.

use std::sync::Arc;

use crate::types::blocks::Blocks;
use crate::types::budget::Budget;
use crate::types::copied;

/// Slots of one segment.
const SEGMENT: usize = 512;
/// The longest member in the segment's text, which bounds what is moved to close its gaps: 128 KB at worst. A longer
/// one has an allocation of its own.
const SHORT_MAX: usize = 255;
/// A text below this size is not worth closing its gaps.
const TEXT_MIN: usize = 1024;
/// The length that marks a slot whose member is among the long ones.
const LONG: u16 = u16::MAX;
/// The length that marks a slot without a member.
const FREE: u16 = u16::MAX - 1;
/// The end of a segment's list of free slots.
const NONE: u32 = u32::MAX;

/// Members under numbers that stay the same as long as the member is there.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    segments: Blocks<Segment>,
    /// The segments that have room; the next member goes to the last of them.
    open: Vec<u32>,
    /// Bytes of all segments.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Segment {
    slots: Vec<Slot>,
    text: Vec<u8>,
    /// Bytes of the text that no slot names any more.
    gaps: usize,
    /// Long members; an empty one is a place to be used again.
    long: Vec<Arc<[u8]>>,
    long_bytes: usize,
    free: u32,
    live: usize,
    is_open: bool,
}

/// Where a member is: in the text, among the long ones, or nowhere and then the next free slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    score: f64,
    place: u32,
    length: u16,
}

impl Arena {
    /// Adds a member and answers its number.
    ///
    /// # Panics
    /// At 2³² members, which take a quarter of a terabyte.
    pub fn insert(&mut self, score: f64, member: &[u8]) -> u32 {
        if self.open.is_empty() {
            self.open.push(u32::try_from(self.segments.len()).expect("fewer segments than members"));
            self.segments.push(Arc::new(Segment::new()));
            self.bytes += size_of::<Segment>();
        }
        let index = *self.open.last().expect("a segment has room") as usize;
        // Counted before a shared segment is copied: the copy may take less.
        let before = self.segments.get(index).bytes();
        let segment = copied::own(self.segments.get_mut(index), Segment::bytes);
        let slot = segment.insert(score, member);
        self.bytes = self.bytes - before + segment.bytes();
        if segment.live == SEGMENT {
            segment.is_open = false;
            self.open.pop();
        }
        u32::try_from(index * SEGMENT + slot).expect("a sorted set has fewer than 2^32 members")
    }

    /// Takes a member away and answers its score; its number may be given to another.
    pub fn remove(&mut self, id: u32) -> f64 {
        let index = id as usize / SEGMENT;
        let before = self.segments.get(index).bytes();
        let segment = copied::own(self.segments.get_mut(index), Segment::bytes);
        let score = segment.remove(id as usize % SEGMENT);
        self.bytes = self.bytes - before + segment.bytes();
        if !segment.is_open {
            segment.is_open = true;
            self.open.push(index as u32);
        }
        score
    }

    /// Takes members out of an arena that nobody uses any more. A segment that somebody shares is left to them.
    pub fn free_some(&mut self, budget: &mut Budget) {
        while !budget.is_spent()
            && let Some(last) = self.segments.len().checked_sub(1)
        {
            if let Some(segment) = Arc::get_mut(self.segments.get_mut(last)) {
                while !budget.is_spent()
                    && let Some(member) = segment.long.pop()
                {
                    budget.spend(1, member.len());
                }
                if !segment.long.is_empty() {
                    return;
                }
                budget.spend(1, segment.text.capacity());
            } else {
                budget.spend(1, 0);
            }
            self.segments.pop();
        }
    }

    pub fn get(&self, id: u32) -> (&[u8], f64) {
        let segment = self.segments.get(id as usize / SEGMENT);
        let slot = segment.slots[id as usize % SEGMENT];
        (segment.member(slot), slot.score)
    }

    pub fn member(&self, id: u32) -> &[u8] {
        self.get(id).0
    }

    pub fn set_score(&mut self, id: u32, score: f64) {
        let index = id as usize / SEGMENT;
        let before = self.segments.get(index).bytes();
        let segment = copied::own(self.segments.get_mut(index), Segment::bytes);
        segment.slots[id as usize % SEGMENT].score = score;
        self.bytes = self.bytes - before + segment.bytes();
    }

    /// The number of `member`, by looking at every one: for small sets, which have no index.
    pub fn search(&self, member: &[u8]) -> Option<u32> {
        self.segments.iter().enumerate().find_map(|(index, segment)| {
            let mut slots = segment.slots.iter();
            let place = slots.position(|slot| slot.length != FREE && segment.member(*slot) == member)?;
            Some((index * SEGMENT + place) as u32)
        })
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.segments.clone_bytes() + size_of_val(&*self.open)
    }

    /// How many segments no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        self.segments.own()
    }
}

impl Segment {
    fn new() -> Self {
        Self {
            slots: Vec::new(),
            text: Vec::new(),
            gaps: 0,
            long: Vec::new(),
            long_bytes: 0,
            free: NONE,
            live: 0,
            is_open: true,
        }
    }

    fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + self.text.capacity() + self.long_bytes
    }

    fn member(&self, slot: Slot) -> &[u8] {
        let place = slot.place as usize;
        match slot.length {
            FREE => unreachable!("a number is used only while its member is there"),
            LONG => &self.long[place],
            length => &self.text[place..place + usize::from(length)],
        }
    }

    fn insert(&mut self, score: f64, member: &[u8]) -> usize {
        self.live += 1;
        let slot = self.store(score, member);
        let index = self.free as usize;
        if let Some(free) = self.slots.get_mut(index) {
            self.free = std::mem::replace(free, slot).place;
            return index;
        }
        self.slots.push(slot);
        if self.slots.len() == SEGMENT {
            // It is full for the first time, and few sets change all of their members: give back what is spare.
            self.text.shrink_to_fit();
        }
        self.slots.len() - 1
    }

    fn store(&mut self, score: f64, member: &[u8]) -> Slot {
        if member.len() <= SHORT_MAX {
            let place = self.text.len() as u32;
            self.text.extend_from_slice(member);
            return Slot { score, place, length: member.len() as u16 };
        }
        self.long_bytes += member.len();
        let place = self.long.iter().position(|other| other.is_empty()).unwrap_or(self.long.len());
        if place == self.long.len() {
            self.long.push(Arc::default());
        }
        self.long[place] = member.into();
        Slot { score, place: place as u32, length: LONG }
    }

    fn remove(&mut self, index: usize) -> f64 {
        let free = Slot { score: 0.0, place: self.free, length: FREE };
        let slot = std::mem::replace(&mut self.slots[index], free);
        self.free = index as u32;
        self.live -= 1;
        match slot.length {
            FREE => unreachable!("a number is used only while its member is there"),
            LONG => {
                let member = std::mem::take(&mut self.long[slot.place as usize]);
                self.long_bytes -= member.len();
            }
            length => self.gaps += usize::from(length),
        }
        if self.live == 0 {
            *self = Self { is_open: self.is_open, ..Self::new() };
        } else if self.gaps * 2 > self.text.len() && self.text.len() > TEXT_MIN {
            self.close_gaps();
        }
        slot.score
    }

    /// Writes the text anew. Each byte that was added or removed since the last time pays for at most one that moves.
    fn close_gaps(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.gaps);
        for slot in self.slots.iter_mut().filter(|slot| slot.length < FREE) {
            let place = slot.place as usize;
            slot.place = text.len() as u32;
            text.extend_from_slice(&self.text[place..place + usize::from(slot.length)]);
        }
        self.text = text;
        self.gaps = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot>(), 16);
    }

    #[test]
    fn numbers_are_used_again_and_empty_segments_are_given_back() {
        let mut arena = Arena::default();
        let ids: Vec<u32> = (0..5_000_u32).map(|n| arena.insert(f64::from(n), &n.to_le_bytes())).collect();
        let full = arena.bytes();
        for id in &ids[..4_990] {
            assert_eq!(arena.remove(*id), f64::from(*id));
        }
        assert!(arena.bytes() * 5 < full, "{} of {full}", arena.bytes());
        for n in 0..4_990_u32 {
            let id = arena.insert(0.0, &n.to_le_bytes());
            assert_eq!(arena.member(id), n.to_le_bytes());
        }
        assert!(arena.open.len() <= 1 && arena.segments.len() == 10);
        assert_eq!(arena.get(ids[4_999]), (4_999_u32.to_le_bytes().as_slice(), 4_999.0));
    }

    #[test]
    fn gaps_are_closed_and_members_of_all_lengths_stay_what_they_are() {
        let member = |n: u32| vec![n as u8; (n as usize * 37) % 600];
        let mut arena = Arena::default();
        let mut ids: Vec<(u32, u32)> = (0..400).map(|n| (n, arena.insert(0.0, &member(n)))).collect();
        for n in 400..20_000 {
            let (_, id) = ids.remove(n as usize * 7 % 400);
            arena.remove(id);
            ids.push((n, arena.insert(f64::from(n), &member(n))));
        }
        for (n, id) in ids {
            assert_eq!(arena.get(id), (&member(n)[..], f64::from(n)));
            assert_eq!(arena.member(arena.search(&member(n)).expect("it is there")), member(n));
        }
        assert_eq!(arena.segments.len(), 1);
        assert!(arena.segments.get(0).text.capacity() < 4 * SHORT_MAX * 400 / 2, "{:?}", arena.bytes());
    }
}
