//! The list: a deque of blocks.
//!
//! A block has the bytes of its items in one text of at most [`block::TEXT_MAX`] bytes, or is one long item. Both ends
//! cost O(1); a place inside is found by walking the blocks from the nearer end.

mod block;

use std::collections::VecDeque;
use std::sync::Arc;

use self::block::Block;
use super::budget::Budget;
use super::copied;
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
    /// Bytes of the blocks.
    bytes: usize,
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
        Self { blocks: VecDeque::new(), len: 0, bytes: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, end: End, item: &[u8]) {
        self.len += 1;
        let place = match end {
            End::Left => 0,
            End::Right => self.blocks.len().saturating_sub(1),
        };
        match self.blocks.get(place) {
            Some(block) if block.has_room_for(item) => {
                let offset = if end == End::Left { 0 } else { block.len() };
                self.edit(place, |block| block.insert(offset, item));
            }
            None => self.add_block(0, Block::new(item)),
            Some(_) => {
                self.seal(place);
                self.add_block(if end == End::Left { 0 } else { place + 1 }, Block::new(item));
            }
        }
    }

    /// Gives back what a full block keeps for more items, unless a clone would have to keep the block as it was.
    fn seal(&mut self, place: usize) {
        if let Some(block) = Arc::get_mut(&mut self.blocks[place]) {
            let before = block.bytes();
            block.seal();
            self.bytes = self.bytes - before + block.bytes();
        }
    }

    pub fn pop(&mut self, end: End) -> Option<Blob> {
        let place = match end {
            End::Left => 0,
            End::Right => self.blocks.len().checked_sub(1)?,
        };
        let offset = if end == End::Left { 0 } else { self.blocks[place].len() - 1 };
        self.blocks.get(place)?;
        Some(self.remove_at(place, offset))
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (place, offset) = self.locate(index)?;
        Some(self.blocks[place].get(offset))
    }

    /// Replaces the item at an index, which must exist.
    ///
    /// # Panics
    /// When there is no such index.
    pub fn set(&mut self, index: usize, item: &[u8]) {
        let (place, offset) = self.locate(index).expect("the caller knows the length");
        self.remove_at(place, offset);
        self.insert(index, item);
    }

    /// Inserts before the item at `index`, or at the end when `index` is the length.
    ///
    /// # Panics
    /// When `index` is beyond the length.
    pub fn insert(&mut self, index: usize, item: &[u8]) {
        if index == 0 || index == self.len {
            return self.push(if index == 0 { End::Left } else { End::Right }, item);
        }
        let (place, offset) = self.locate(index).expect("the caller knows the length");
        self.len += 1;
        if self.blocks[place].has_room_for(item) {
            return self.edit(place, |block| block.insert(offset, item));
        }
        // The item goes to the end of what is left of its place, which gets room or a block of its own for it.
        let mut gap = place;
        if offset > 0 {
            let rest = self.edit(place, |block| block.split_off(offset));
            self.add_block(place + 1, rest);
            gap = place + 1;
        }
        if gap > 0 && self.blocks[gap - 1].has_room_for(item) {
            self.edit(gap - 1, |block| block.insert(block.len(), item));
        } else if self.blocks[gap].has_room_for(item) {
            self.edit(gap, |block| block.insert(0, item));
        } else {
            self.add_block(gap, Block::new(item));
        }
    }

    /// Every item from the head on; the iterator goes both ways.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// At most `count` items from `start` on.
    pub fn range(&self, start: usize, count: usize) -> impl Iterator<Item = &[u8]> {
        let (place, offset) = self.locate(start).unwrap_or((self.blocks.len(), 0));
        self.blocks.range(place..).flat_map(|block| block.iter()).skip(offset).take(count)
    }

    /// Removes the first `limit` items that equal `value`, seen from `end`; answers how many there were.
    pub fn remove(&mut self, value: &[u8], end: End, limit: usize) -> usize {
        let (mut left, mut touched, mut emptied) = (limit, Vec::new(), Vec::new());
        let count = self.blocks.len();
        for step in 0..count {
            if left == 0 {
                break;
            }
            let place = if end == End::Left { step } else { count - 1 - step };
            let block = &self.blocks[place];
            let found = block.iter().filter(|item| *item == value).count();
            if found == 0 {
                continue;
            }
            let removed = found.min(left);
            let skipped = if end == End::Left { 0 } else { found - removed };
            touched.push(place);
            self.len -= removed;
            left -= removed;
            if removed == block.len() {
                // Its place stays until all is done, for others are counted from it.
                emptied.push(place);
            } else {
                self.edit(place, |block| block.remove_matches(value, skipped, removed));
            }
        }
        emptied.sort_unstable();
        for place in emptied.iter().rev() {
            self.remove_block(*place);
        }
        match touched[..] {
            [] => {}
            [_] if !emptied.is_empty() => {}
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

    /// Drops items of a list that nobody uses any more, block by block; true when none is left.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent()
            && let Some(block) = self.blocks.pop_back()
        {
            self.len -= block.len();
            self.bytes -= block.bytes();
            // A block that somebody shares is theirs to free.
            budget.spend(1, if Arc::strong_count(&block) == 1 { block.bytes() } else { 0 });
        }
        self.blocks.is_empty()
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.blocks.len() * BLOCK_BYTES + self.bytes
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.blocks.len() * size_of::<Arc<Block>>()
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

    /// Changes a block, which is copied if somebody shares it.
    fn edit<R>(&mut self, place: usize, change: impl FnOnce(&mut Block) -> R) -> R {
        let block = &mut self.blocks[place];
        // Counted before a shared block is copied: the copy may take less.
        let before = block.bytes();
        let block = copied::own(block, Block::bytes);
        let changed = change(block);
        self.bytes = self.bytes - before + block.bytes();
        changed
    }

    fn add_block(&mut self, place: usize, block: Block) {
        self.bytes += block.bytes();
        self.blocks.insert(place, Arc::new(block));
    }

    fn remove_block(&mut self, place: usize) -> Arc<Block> {
        let block = self.blocks.remove(place).expect("the place exists");
        self.bytes -= block.bytes();
        copied::note(&block, Block::bytes);
        block
    }

    /// Removes one item, and its block with the last.
    fn remove_at(&mut self, place: usize, offset: usize) -> Blob {
        self.len -= 1;
        if self.blocks[place].len() == 1 {
            return Block::into_item(self.remove_block(place));
        }
        self.edit(place, |block| block.remove(offset))
    }

    /// The block of an index and the place in it.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut before = 0;
            for (place, block) in self.blocks.iter().enumerate() {
                if index - before < block.len() {
                    return Some((place, index - before));
                }
                before += block.len();
            }
        } else {
            let mut from = self.len;
            for (place, block) in self.blocks.iter().enumerate().rev() {
                from -= block.len();
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
            if block.len() > count {
                for _ in 0..count {
                    self.pop(end);
                }
                return;
            }
            count -= block.len();
            self.len -= block.len();
            self.remove_block(if end == End::Left { 0 } else { self.blocks.len() - 1 });
        }
    }

    /// Puts right a block that lost items: a small one joins a small neighbour.
    fn settle(&mut self, place: usize) {
        if place + 1 < self.blocks.len() && self.join(place) {
            return;
        }
        if place > 0 {
            self.join(place - 1);
        }
    }

    /// Joins a block with the next if both are small; true when it did.
    fn join(&mut self, place: usize) -> bool {
        if !self.blocks[place].may_join(&self.blocks[place + 1]) {
            return false;
        }
        let next = self.remove_block(place + 1);
        self.edit(place, |block| block.append(&next));
        true
    }

    /// Puts right all blocks, after many lost items.
    fn compact(&mut self) {
        for block in std::mem::take(&mut self.blocks) {
            let last = self.blocks.len().checked_sub(1);
            match last.filter(|last| self.blocks[*last].may_join(&block)) {
                Some(last) => {
                    self.bytes -= block.bytes();
                    self.edit(last, |last| last.append(&block));
                }
                None => self.blocks.push_back(block),
            }
        }
    }
}

#[cfg(test)]
mod tests;
