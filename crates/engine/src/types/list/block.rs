//! A block of a list: items of bounded length in one text, or one item that is too long for that.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::blob::Blob;

/// The most bytes of a text. So many that what a block costs beside its items is about a hundredth of it, and no more:
/// from 16 KiB on jemalloc gives each piece a page besides. A write to a shared block copies it in a microsecond.
pub const TEXT_MAX: usize = 14 * 1024;
/// The longest item of a text: a fourth of it, so that texts are not left half empty. A longer one is a block.
const ITEM_MAX: usize = TEXT_MAX / 4;
/// The capacity of the text of a block's first item; it doubles from there.
const TEXT_MIN: usize = 64;
/// Bytes of items that are gone for which a text is not yet written anew.
const DEAD_MAX: usize = TEXT_MAX / 4;

/// One or more items.
#[derive(Clone, Debug)]
pub enum Block {
    /// Items that share a text.
    Packed(Packed),
    /// An item of its own.
    Long(Blob),
}

/// Items in one text, each its length in one or two bytes and then its bytes. New ones stand at the end of the text,
/// wherever they are in the list: the order is that of the starts, so that no end is dearer than the other.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    text: Vec<u8>,
    starts: VecDeque<u16>,
    /// Bytes of the text that belong to no item any more.
    dead: usize,
}

impl Block {
    /// A block of one item.
    pub fn new(item: &[u8]) -> Self {
        if item.len() > ITEM_MAX {
            return Self::Long(Blob::from(item));
        }
        let mut packed = Packed::default();
        packed.insert(0, item);
        Self::Packed(packed)
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.starts.len(),
            Self::Long(_) => 1,
        }
    }

    pub fn get(&self, place: usize) -> &[u8] {
        match self {
            Self::Packed(packed) => packed.get(packed.starts[place]),
            Self::Long(item) => item,
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        (0..self.len()).map(|place| self.get(place))
    }

    /// Bytes of memory outside of the block itself.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.text.capacity() + packed.starts.capacity() * size_of::<u16>(),
            Self::Long(item) => item.heap_bytes(),
        }
    }

    /// Gives back the memory kept for more items.
    pub fn seal(&mut self) {
        if let Self::Packed(packed) = self {
            packed.text.shrink_to_fit();
            packed.starts.shrink_to_fit();
        }
    }

    pub fn has_room_for(&self, item: &[u8]) -> bool {
        match self {
            Self::Packed(packed) => item.len() <= ITEM_MAX && packed.live() + size(item) <= TEXT_MAX,
            Self::Long(_) => false,
        }
    }

    /// Adds an item at a place; the caller has seen that there is room.
    pub fn insert(&mut self, place: usize, item: &[u8]) {
        let Self::Packed(packed) = self else { unreachable!("a long item is alone") };
        packed.insert(place, item);
    }

    /// Takes an item away that is not the only one.
    pub fn remove(&mut self, place: usize) -> Blob {
        let Self::Packed(packed) = self else { unreachable!("a long item is the only one") };
        packed.remove(place)
    }

    /// The only item of a block that is to go.
    pub fn into_item(block: Arc<Self>) -> Blob {
        match &*block {
            Self::Packed(packed) => Blob::from(packed.get(packed.starts[0])),
            Self::Long(item) => item.clone(),
        }
    }

    /// Takes the items from a place on into a block of their own. There is one before it, and one there.
    pub fn split_off(&mut self, place: usize) -> Self {
        let Self::Packed(packed) = self else {
            unreachable!("a block with a place inside has several items")
        };
        let mut rest = Packed::default();
        for start in packed.starts.split_off(place) {
            rest.insert(rest.starts.len(), packed.get(start));
        }
        packed.write_anew();
        Self::Packed(rest)
    }

    /// True when both together are at most half a block, so that a join is not soon followed by a split.
    pub fn may_join(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Packed(packed), Self::Packed(next)) => packed.live() + next.live() <= TEXT_MAX / 2,
            _ => false,
        }
    }

    /// Adds the items of another block, which it may join.
    pub fn append(&mut self, next: &Self) {
        for item in next.iter() {
            self.insert(self.len(), item);
        }
    }

    /// Removes `count` items that equal `value` after skipping so many. The block has more items than that.
    pub fn remove_matches(&mut self, value: &[u8], skipped: usize, count: usize) {
        let Self::Packed(packed) = self else { unreachable!("a block that keeps an item has several") };
        let mut seen = 0;
        let mut stays = VecDeque::with_capacity(packed.starts.len() - count);
        for start in std::mem::take(&mut packed.starts) {
            let is_match = packed.get(start) == value;
            seen += usize::from(is_match);
            if !is_match || seen <= skipped || seen > skipped + count {
                stays.push_back(start);
            }
        }
        packed.starts = stays;
        packed.write_anew();
    }
}

impl Packed {
    fn get(&self, start: u16) -> &[u8] {
        let from = usize::from(start);
        match self.text[from] {
            low @ 0..0x80 => &self.text[from + 1..][..usize::from(low)],
            low => {
                let length = usize::from(low & 0x7f) | usize::from(self.text[from + 1]) << 7;
                &self.text[from + 2..][..length]
            }
        }
    }

    /// Bytes of the text that belong to items.
    fn live(&self) -> usize {
        self.text.len() - self.dead
    }

    fn insert(&mut self, place: usize, item: &[u8]) {
        if self.text.len() + size(item) > TEXT_MAX {
            self.write_anew();
        }
        let start = self.text.len();
        let missing = (start + size(item)).saturating_sub(self.text.capacity());
        if missing > 0 {
            let capacity = (start + size(item)).max(self.text.capacity() * 2).clamp(TEXT_MIN, TEXT_MAX);
            self.text.reserve_exact(capacity - start);
        }
        if item.len() < 0x80 {
            self.text.push(item.len() as u8);
        } else {
            self.text.extend_from_slice(&[item.len() as u8 | 0x80, (item.len() >> 7) as u8]);
        }
        self.text.extend_from_slice(item);
        self.starts.insert(place, u16::try_from(start).expect("a text is shorter than that"));
    }

    fn remove(&mut self, place: usize) -> Blob {
        let start = self.starts.remove(place).expect("the place exists");
        let item = Blob::from(self.get(start));
        let from = usize::from(start);
        if from + size(&item) == self.text.len() {
            self.text.truncate(from);
        } else {
            self.dead += size(&item);
        }
        if self.dead > DEAD_MAX && self.dead * 2 > self.text.len() {
            self.write_anew();
        }
        item
    }

    /// Writes the text without what is gone. Each byte that was removed pays for at most one that moves.
    fn write_anew(&mut self) {
        let length = self.starts.iter().map(|start| size(self.get(*start))).sum();
        let mut anew = Self { text: Vec::with_capacity(length), ..Self::default() };
        anew.starts.reserve_exact(self.starts.len());
        for start in &self.starts {
            anew.insert(anew.starts.len(), self.get(*start));
        }
        *self = anew;
    }
}

/// What an item takes of a text.
fn size(item: &[u8]) -> usize {
    item.len() + if item.len() < 0x80 { 1 } else { 2 }
}
