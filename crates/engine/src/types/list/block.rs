//! A block of a list: items of bounded number and length.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::blob::Blob;

/// The most items of a block.
pub const ITEMS_MAX: usize = 128;
/// The most bytes of content of a block that has more than one item.
pub const LENGTH_MAX: usize = 8 * 1024;
/// A block of items.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub items: VecDeque<Blob>,
    /// Bytes of content of all items.
    pub length: usize,
}

impl Block {
    pub fn has_room_for(&self, item: &Blob) -> bool {
        self.items.is_empty() || self.items.len() < ITEMS_MAX && self.length + item.len() <= LENGTH_MAX
    }

    pub fn is_too_long(&self) -> bool {
        self.items.len() > 1 && self.length > LENGTH_MAX
    }

    /// True when both together are at most half a block, so that a join is not soon followed by a split.
    pub fn may_join(&self, other: &Self) -> bool {
        self.items.len() + other.items.len() <= ITEMS_MAX / 2 && self.length + other.length <= LENGTH_MAX / 2
    }

    pub fn insert(&mut self, offset: usize, item: Blob) {
        self.length += item.len();
        self.items.insert(offset, item);
    }

    pub fn append(&mut self, mut other: Self) {
        self.length += other.length;
        self.items.append(&mut other.items);
    }

    pub fn split_off(&mut self, offset: usize) -> Arc<Self> {
        let items = self.items.split_off(offset);
        let length = items.iter().map(|item| item.len()).sum();
        self.length -= length;
        Arc::new(Self { items, length })
    }

    /// Removes `count` items that equal `value` after skipping so many; answers the bytes that they had elsewhere.
    pub fn remove_matches(&mut self, value: &[u8], skipped: usize, count: usize) -> usize {
        let (mut seen, mut heap_bytes) = (0, 0);
        self.items.retain(|item| {
            if **item != *value {
                return true;
            }
            seen += 1;
            let stays = seen <= skipped || seen > skipped + count;
            if !stays {
                heap_bytes += item.heap_bytes();
            }
            stays
        });
        self.length -= count * value.len();
        heap_bytes
    }

    pub fn heap_bytes(&self) -> usize {
        self.items.iter().map(Blob::heap_bytes).sum()
    }
}
