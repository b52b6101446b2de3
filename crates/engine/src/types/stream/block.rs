//! A run of neighbouring entries: their ids in one array, their content in one buffer.

use std::collections::VecDeque;
use std::ops::Range;

use super::fields::{self, Fields};
use super::id::Id;

/// Most entries of a block, unless it is told otherwise. As Redis's `stream-node-max-entries`, so that a trim with `~`
/// stops where Redis's does.
pub const ENTRIES_MAX: u16 = 100;
/// Most bytes of content of a block; a larger entry has a block to itself.
const BYTES_MAX: usize = 32 * 1024;
/// Bytes of deleted content below which a block is left as it is.
const DEAD_MIN: usize = 512;
/// Lengths at which a block that loses its entries looks for a neighbour to join: at each halving below a quarter, so that
/// the look costs next to nothing where a queue is emptied in order.
const THIN_LENS: [usize; 5] = [25, 12, 6, 3, 1];
/// Two blocks are joined when they fill this part of one.
const JOINED_PART: usize = 2;

/// Some entries in the order of their ids.
#[derive(Clone, Debug)]
pub struct Block {
    /// The id of the first entry that it ever had; ids are kept as distances from it.
    base: Id,
    slots: VecDeque<Slot>,
    content: Vec<u8>,
    /// Bytes of `content` whose entry is deleted.
    dead: usize,
}

/// An entry in 12 bytes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Milliseconds since the base.
    ms: u32,
    /// In the millisecond of the base the distance from its number, otherwise the number itself.
    seq: u32,
    offset: u16,
    /// Or [`ALONE`].
    len: u16,
}

/// The length of an entry that has all of the content of its block, and may have more than two bytes can tell.
const ALONE: u16 = u16::MAX;

impl Slot {
    /// Where the entry is in the content of its block, which has so many bytes.
    fn span(self, content_len: usize) -> Range<usize> {
        let start = usize::from(self.offset);
        start..if self.len == ALONE { content_len } else { start + usize::from(self.len) }
    }
}

impl Block {
    /// A block with its first entry, and with room for a [`size`](Self::size): that of the block before, since entries
    /// of one stream are mostly alike, and to grow step by step costs more than all the rest of adding them.
    pub fn new(id: Id, content: &[&[u8]], (slots, bytes): (usize, usize)) -> Self {
        let (slots, bytes) = (VecDeque::with_capacity(slots), Vec::with_capacity(bytes.min(BYTES_MAX)));
        let mut block = Self { base: id, slots, content: bytes, dead: 0 };
        assert!(block.push(id, content, ENTRIES_MAX), "an empty block takes any entry");
        block
    }

    /// Adds an entry after all others; false when there is no room for it, or there are `entries_max`.
    pub fn push(&mut self, id: Id, content: &[&[u8]], entries_max: u16) -> bool {
        let len = fields::encoded_len(content);
        let is_full = self.slots.len() >= usize::from(entries_max) || self.content.len() + len > BYTES_MAX;
        if is_full && !self.slots.is_empty() {
            return false;
        }
        let Some((ms, seq)) = self.distance(id) else { return false };
        let offset = offset(self.content.len());
        fields::encode(content, &mut self.content);
        let len = u16::try_from(len).unwrap_or(ALONE);
        self.slots.push_back(Slot { ms, seq, offset, len });
        true
    }

    /// How many entries there are, and how many bytes of content.
    pub fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.content.len())
    }

    /// Gives back the memory kept for more entries: the block will get none.
    pub fn seal(&mut self) {
        self.slots.shrink_to_fit();
        self.content.shrink_to_fit();
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of memory outside of the block itself.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.content.capacity()
    }

    pub fn first(&self) -> Option<Id> {
        self.slots.front().map(|slot| self.id(*slot))
    }

    pub fn last(&self) -> Option<Id> {
        self.slots.back().map(|slot| self.id(*slot))
    }

    pub fn get(&self, id: Id) -> Option<Fields<'_>> {
        self.position(id).map(|at| self.fields(self.slots[at]))
    }

    pub fn contains(&self, id: Id) -> bool {
        self.position(id).is_some()
    }

    /// Deletes an entry; true when it was there.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(at) = self.position(id) else { return false };
        let slot = self.slots.remove(at).expect("the position exists");
        self.dead += slot.span(self.content.len()).len();
        self.compact_if_sparse();
        true
    }

    /// True when it has lost so much that it is time to look for a neighbour to [`join`](Self::join).
    pub fn is_thin(&self) -> bool {
        THIN_LENS.contains(&self.len()) && self.live_bytes() <= BYTES_MAX / JOINED_PART
    }

    /// The entries of two neighbours in one block without holes; none while they would fill more than half of one of
    /// `entries_max`, or have ids too far apart. Either was full once, so what was deleted from it pays for the copy.
    pub fn join(first: &Self, second: &Self, entries_max: u16) -> Option<Self> {
        let (len, bytes) = (first.len() + second.len(), first.live_bytes() + second.live_bytes());
        let len_max = usize::from(entries_max.min(ENTRIES_MAX)) / JOINED_PART;
        if len > len_max || bytes > BYTES_MAX / JOINED_PART {
            return None;
        }
        let (slots, content) = (VecDeque::with_capacity(len), Vec::with_capacity(bytes));
        let mut joined = Self { base: first.first()?, slots, content, dead: 0 };
        for block in [first, second] {
            for slot in &block.slots {
                let (ms, seq) = joined.distance(block.id(*slot))?;
                let offset = offset(joined.content.len());
                joined.content.extend_from_slice(block.content_of(*slot));
                joined.slots.push_back(Slot { ms, seq, offset, ..*slot });
            }
        }
        Some(joined)
    }

    /// Deletes up to `count` entries from the front.
    pub fn remove_first(&mut self, count: usize) {
        let removed = self.slots.drain(..count.min(self.slots.len()));
        self.dead += removed.map(|slot| slot.span(self.content.len()).len()).sum::<usize>();
        self.compact_if_sparse();
    }

    /// How many entries have an id before `id`.
    pub fn count_before(&self, id: Id) -> usize {
        self.slots.partition_point(|slot| self.id(*slot) < id)
    }

    /// The entries from `from` to `to`, both included.
    pub fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = (Id, Fields<'_>)> {
        let start = self.count_before(from);
        let end = self.slots.partition_point(|slot| self.id(*slot) <= to);
        self.slots.range(start..end.max(start)).map(|slot| (self.id(*slot), self.fields(*slot)))
    }

    /// Moves what is left together when most of the content is deleted, so that one entry that stays does not keep
    /// the memory of all its neighbours. Each halving pays for the next: a byte is moved about once.
    fn compact_if_sparse(&mut self) {
        if self.dead < DEAD_MIN || self.dead * 2 < self.content.len() || self.slots.is_empty() {
            return;
        }
        let mut end = 0;
        for slot in &mut self.slots {
            let span = slot.span(self.content.len());
            let len = span.len();
            self.content.copy_within(span, end);
            slot.offset = offset(end);
            end += len;
        }
        self.content.truncate(end);
        self.content.shrink_to_fit();
        self.dead = 0;
        self.slots.shrink_to_fit();
    }

    fn distance(&self, id: Id) -> Option<(u32, u32)> {
        let ms = u32::try_from(id.ms - self.base.ms).ok()?;
        let seq = if ms == 0 { id.seq - self.base.seq } else { id.seq };
        Some((ms, u32::try_from(seq).ok()?))
    }

    fn id(&self, slot: Slot) -> Id {
        let seq = if slot.ms == 0 { self.base.seq } else { 0 };
        Id::new(self.base.ms + u64::from(slot.ms), seq + u64::from(slot.seq))
    }

    fn fields(&self, slot: Slot) -> Fields<'_> {
        Fields::decode(self.content_of(slot))
    }

    fn content_of(&self, slot: Slot) -> &[u8] {
        &self.content[slot.span(self.content.len())]
    }

    /// Bytes of content whose entry is there.
    fn live_bytes(&self) -> usize {
        self.content.len() - self.dead
    }

    fn position(&self, id: Id) -> Option<usize> {
        // Entries leave mostly from the front: look there before searching.
        if self.first()? == id {
            return Some(0);
        }
        self.slots.binary_search_by(|slot| self.id(*slot).cmp(&id)).ok()
    }
}

/// A place in the content of a block, where something begins.
fn offset(place: usize) -> u16 {
    u16::try_from(place).expect("what has a neighbour in its block begins within the first bytes")
}
