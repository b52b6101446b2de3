//! The list: a deque of blocks.
//!
//! Each block has at most [`block::ITEMS_MAX`] items and, unless it has one item alone, [`block::LENGTH_MAX`] bytes of
//! content. Both ends cost O(1); a place inside is found by walking the blocks from the nearer end.

mod block;

use std::collections::VecDeque;
use std::sync::Arc;

use self::block::Block;
use crate::blob::Blob;

/// What a block costs besides its items.
const BLOCK_BYTES: usize = size_of::<Block>() + size_of::<Arc<Block>>();

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Shared with clones until written; growing the deque or opening a gap in it moves eight bytes for each block. No
    /// block is empty.
    blocks: VecDeque<Arc<Block>>,
    len: usize,
    /// Bytes of items that are stored outside of the blocks.
    heap_bytes: usize,
}

/// One of the two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

impl List {
    pub fn new(_seed: u64) -> Self {
        Self { blocks: VecDeque::new(), len: 0, heap_bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, end: End, item: Blob) {
        self.count_in(&item);
        let last = match end {
            End::Left => self.blocks.front_mut(),
            End::Right => self.blocks.back_mut(),
        };
        let block = match last {
            Some(block) if block.has_room_for(&item) => block,
            _ => match end {
                End::Left => self.blocks.push_front_mut(Arc::default()),
                End::Right => self.blocks.push_back_mut(Arc::default()),
            },
        };
        let block = Arc::make_mut(block);
        let place = if end == End::Left { 0 } else { block.items.len() };
        block.insert(place, item);
    }

    pub fn pop(&mut self, end: End) -> Option<Blob> {
        let block = match end {
            End::Left => self.blocks.front_mut()?,
            End::Right => self.blocks.back_mut()?,
        };
        let block = Arc::make_mut(block);
        let item = match end {
            End::Left => block.items.pop_front(),
            End::Right => block.items.pop_back(),
        };
        let item = item.expect("no block is empty");
        block.length -= item.len();
        if block.items.is_empty() {
            match end {
                End::Left => self.blocks.pop_front(),
                End::Right => self.blocks.pop_back(),
            };
        }
        self.count_out(&item);
        Some(item)
    }

    pub fn get(&self, index: usize) -> Option<&Blob> {
        let (place, offset) = self.locate(index)?;
        self.blocks[place].items.get(offset)
    }

    /// Replaces the item at an index, which must exist.
    ///
    /// # Panics
    /// When there is no such index.
    pub fn set(&mut self, index: usize, item: Blob) {
        let (place, offset) = self.locate(index).expect("the caller knows the length");
        self.count_in(&item);
        let block = self.block_mut(place);
        block.length += item.len();
        let before = std::mem::replace(&mut block.items[offset], item);
        block.length -= before.len();
        self.count_out(&before);
        if self.blocks[place].is_too_long() {
            self.isolate(place, offset);
        }
    }

    /// Inserts before the item at `index`, or at the end when `index` is the length.
    ///
    /// # Panics
    /// When `index` is beyond the length.
    pub fn insert(&mut self, index: usize, item: Blob) {
        if index == 0 || index == self.len {
            return self.push(if index == 0 { End::Left } else { End::Right }, item);
        }
        let (place, offset) = self.locate(index).expect("the caller knows the length");
        self.count_in(&item);
        if self.blocks[place].has_room_for(&item) {
            return self.block_mut(place).insert(offset, item);
        }
        // The item goes to the end of what is left of its place, which gets room or a block of its own for it.
        let mut gap = place;
        if offset > 0 {
            let rest = self.block_mut(place).split_off(offset);
            self.blocks.insert(place + 1, rest);
            gap = place + 1;
        }
        if gap > 0 && self.blocks[gap - 1].has_room_for(&item) {
            let before = self.block_mut(gap - 1);
            before.insert(before.items.len(), item);
        } else if self.blocks[gap].has_room_for(&item) {
            self.block_mut(gap).insert(0, item);
        } else {
            let mut block = Block::default();
            block.insert(0, item);
            self.blocks.insert(gap, Arc::new(block));
        }
    }

    /// Every item from the head on; the iterator goes both ways.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Blob> {
        self.blocks.iter().flat_map(|block| block.items.iter())
    }

    /// At most `count` items from `start` on.
    pub fn range(&self, start: usize, count: usize) -> impl Iterator<Item = &Blob> {
        let (place, offset) = self.locate(start).unwrap_or((self.blocks.len(), 0));
        self.blocks.range(place..).flat_map(|block| block.items.iter()).skip(offset).take(count)
    }

    /// Removes the first `limit` items that equal `value`, seen from `end`; answers how many there were.
    pub fn remove(&mut self, value: &[u8], end: End, limit: usize) -> usize {
        let (mut left, mut touched) = (limit, Vec::new());
        let count = self.blocks.len();
        for step in 0..count {
            if left == 0 {
                break;
            }
            let place = if end == End::Left { step } else { count - 1 - step };
            let block = &self.blocks[place];
            let found = block.items.iter().filter(|item| ***item == *value).count();
            if found == 0 {
                continue;
            }
            let removed = found.min(left);
            let skipped = if end == End::Left { 0 } else { found - removed };
            let heap_bytes = self.block_mut(place).remove_matches(value, skipped, removed);
            self.heap_bytes -= heap_bytes;
            self.len -= removed;
            left -= removed;
            touched.push(place);
        }
        match touched[..] {
            [] => {}
            [place] => self.settle(place),
            _ => self.compact(),
        }
        limit - left
    }

    /// Keeps `count` items from `start` on; answers how many went.
    pub fn keep(&mut self, start: usize, count: usize) -> usize {
        let before = self.len;
        let tail = self.len.saturating_sub(start.saturating_add(count));
        self.drop_some(End::Right, tail);
        self.drop_some(End::Left, start.min(self.len));
        before - self.len
    }

    /// Drops about `budget` items of a list that nobody uses any more; true when the rest is small.
    pub fn free_some(&mut self, budget: usize) -> bool {
        self.drop_some(End::Right, budget.min(self.len));
        self.blocks.len() <= 1
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.blocks.len() * BLOCK_BYTES + self.len * size_of::<Blob>() + self.heap_bytes
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        super::sharing::own(&self.blocks)
    }

    /// The name that OBJECT ENCODING gives; Redis 7.0 knows but this one.
    pub fn encoding(&self) -> &'static str {
        "quicklist"
    }

    fn count_in(&mut self, item: &Blob) {
        self.len += 1;
        self.heap_bytes += item.heap_bytes();
    }

    fn count_out(&mut self, item: &Blob) {
        self.len -= 1;
        self.heap_bytes -= item.heap_bytes();
    }

    fn block_mut(&mut self, place: usize) -> &mut Block {
        Arc::make_mut(&mut self.blocks[place])
    }

    /// The block of an index and the place in it.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut before = 0;
            for (place, block) in self.blocks.iter().enumerate() {
                if index - before < block.items.len() {
                    return Some((place, index - before));
                }
                before += block.items.len();
            }
        } else {
            let mut from = self.len;
            for (place, block) in self.blocks.iter().enumerate().rev() {
                from -= block.items.len();
                if index >= from {
                    return Some((place, index - from));
                }
            }
        }
        unreachable!("the blocks have as many items as the list")
    }

    /// Drops items at one end, block by block.
    fn drop_some(&mut self, end: End, mut count: usize) {
        while count > 0 {
            let block = match end {
                End::Left => self.blocks.front(),
                End::Right => self.blocks.back(),
            };
            let Some(block) = block else { return };
            if block.items.len() > count {
                for _ in 0..count {
                    self.pop(end);
                }
                return;
            }
            count -= block.items.len();
            self.len -= block.items.len();
            self.heap_bytes -= block.heap_bytes();
            match end {
                End::Left => self.blocks.pop_front(),
                End::Right => self.blocks.pop_back(),
            };
        }
    }

    /// Gives the item at a place a block of its own, when its block became too long by it.
    fn isolate(&mut self, place: usize, offset: usize) {
        let mut own = place;
        if offset > 0 {
            let rest = self.block_mut(place).split_off(offset);
            own = place + 1;
            self.blocks.insert(own, rest);
        }
        if self.blocks[own].is_too_long() {
            let rest = self.block_mut(own).split_off(1);
            self.blocks.insert(own + 1, rest);
        }
    }

    /// Puts right a block that lost items: an empty one goes, a small one joins a small neighbour.
    fn settle(&mut self, place: usize) {
        if self.blocks[place].items.is_empty() {
            self.blocks.remove(place);
        } else if place + 1 < self.blocks.len() && self.blocks[place].may_join(&self.blocks[place + 1]) {
            let next = self.blocks.remove(place + 1).expect("it was looked at above");
            self.block_mut(place).append(Arc::unwrap_or_clone(next));
        } else if place > 0 && self.blocks[place - 1].may_join(&self.blocks[place]) {
            let block = self.blocks.remove(place).expect("it was looked at above");
            self.block_mut(place - 1).append(Arc::unwrap_or_clone(block));
        }
    }

    /// Puts right all blocks, after many lost items.
    fn compact(&mut self) {
        for block in std::mem::take(&mut self.blocks) {
            match self.blocks.back_mut() {
                _ if block.items.is_empty() => {}
                Some(last) if last.may_join(&block) => {
                    Arc::make_mut(last).append(Arc::unwrap_or_clone(block));
                }
                _ => self.blocks.push_back(block),
            }
        }
    }
}

#[cfg(test)]
mod tests;
