//! The members of a sorted set and their scores, stored once; everything else names them by a number.

use crate::blob::Blob;

/// Slots of one segment: what one operation moves at most, and the unit that is given back.
const SEGMENT: usize = 512;
/// The end of a segment's list of free slots.
const NONE: u16 = u16::MAX;

/// Members under numbers that stay the same as long as the member is there.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    segments: Vec<Segment>,
    /// The segments that have room; the next member goes to the last of them.
    open: Vec<u32>,
    slots: usize,
    heap_bytes: usize,
}

/// A run of slots with a list of its own of the free ones, so that a segment without members can be given back: a
/// set that was long for an hour must not stay large for ever.
#[derive(Clone, Debug)]
struct Segment {
    slots: Vec<Slot>,
    free: u16,
    live: u16,
    is_open: bool,
}

#[derive(Clone, Debug)]
enum Slot {
    Taken { score: f64, member: Blob },
    Free { next: u16 },
}

impl Arena {
    /// Adds a member and answers its number.
    ///
    /// # Panics
    /// At 2³² members, which take a third of a terabyte.
    pub fn insert(&mut self, score: f64, member: Blob) -> u32 {
        if self.open.is_empty() {
            let fresh = u32::try_from(self.segments.len()).expect("fewer segments than members");
            self.segments.push(Segment { slots: Vec::new(), free: NONE, live: 0, is_open: true });
            self.open.push(fresh);
        }
        let index = *self.open.last().expect("a segment has room");
        let segment = &mut self.segments[index as usize];
        self.heap_bytes += member.heap_bytes();
        let before = segment.slots.len();
        let place = segment.insert(Slot::Taken { score, member });
        self.slots += segment.slots.len() - before;
        if usize::from(segment.live) == SEGMENT {
            segment.is_open = false;
            self.open.pop();
        }
        u32::try_from(index as usize * SEGMENT + place).expect("a sorted set has fewer than 2^32 members")
    }

    /// Takes a member away; its number may be given to another.
    pub fn remove(&mut self, id: u32) -> (f64, Blob) {
        let index = id as usize / SEGMENT;
        let segment = &mut self.segments[index];
        let before = segment.slots.len();
        let (score, member) = segment.remove(id as usize % SEGMENT);
        self.slots -= before - segment.slots.len();
        self.heap_bytes -= member.heap_bytes();
        if !segment.is_open {
            segment.is_open = true;
            self.open.push(index as u32);
        }
        (score, member)
    }

    pub fn get(&self, id: u32) -> (&[u8], f64) {
        match &self.segments[id as usize / SEGMENT].slots[id as usize % SEGMENT] {
            Slot::Taken { score, member } => (member, *score),
            Slot::Free { .. } => unreachable!("a number is used only while its member is there"),
        }
    }

    pub fn member(&self, id: u32) -> &[u8] {
        self.get(id).0
    }

    pub fn set_score(&mut self, id: u32, new: f64) {
        match &mut self.segments[id as usize / SEGMENT].slots[id as usize % SEGMENT] {
            Slot::Taken { score, .. } => *score = new,
            Slot::Free { .. } => unreachable!("a number is used only while its member is there"),
        }
    }

    /// The number of `member`, by looking at every one: for small sets, which have no index.
    pub fn search(&self, member: &[u8]) -> Option<u32> {
        let mut slots = self.segments.iter().enumerate().flat_map(|(index, segment)| {
            segment.slots.iter().enumerate().map(move |(place, slot)| (index * SEGMENT + place, slot))
        });
        let found =
            slots.find(|(_, slot)| matches!(slot, Slot::Taken { member: own, .. } if **own == *member));
        found.map(|(id, _)| id as u32)
    }

    pub fn bytes(&self) -> usize {
        self.segments.len() * size_of::<Segment>() + self.slots * size_of::<Slot>() + self.heap_bytes
    }
}

impl Segment {
    fn insert(&mut self, slot: Slot) -> usize {
        self.live += 1;
        if self.free == NONE {
            self.slots.push(slot);
            return self.slots.len() - 1;
        }
        let place = usize::from(self.free);
        match std::mem::replace(&mut self.slots[place], slot) {
            Slot::Free { next } => self.free = next,
            Slot::Taken { .. } => unreachable!("the list of free slots holds only free ones"),
        }
        place
    }

    fn remove(&mut self, place: usize) -> (f64, Blob) {
        let slot = std::mem::replace(&mut self.slots[place], Slot::Free { next: self.free });
        let Slot::Taken { score, member } = slot else {
            unreachable!("a number is used only while its member is there")
        };
        self.free = place as u16;
        self.live -= 1;
        if self.live == 0 {
            self.slots = Vec::new();
            self.free = NONE;
        }
        (score, member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_costs_no_more_than_its_content() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn numbers_are_used_again_and_empty_segments_are_given_back() {
        let mut arena = Arena::default();
        let ids: Vec<u32> =
            (0..5_000_u32).map(|n| arena.insert(f64::from(n), Blob::from(&n.to_le_bytes()))).collect();
        let full = arena.bytes();
        for id in &ids[..4_990] {
            assert_eq!(arena.remove(*id).0, f64::from(*id));
        }
        assert!(arena.bytes() * 5 < full, "{} of {full}", arena.bytes());
        for n in 0..4_990_u32 {
            let id = arena.insert(0.0, Blob::from(&n.to_le_bytes()));
            assert_eq!(arena.member(id), n.to_le_bytes());
        }
        assert_eq!(arena.bytes(), full);
        assert_eq!(arena.get(ids[4_999]), (4_999_u32.to_le_bytes().as_slice(), 4_999.0));
    }
}
