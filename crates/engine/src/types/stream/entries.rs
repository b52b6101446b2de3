//! The entries of a stream, in blocks ordered by id.

use std::sync::Arc;

use super::block::{Block, ENTRIES_MAX};
use super::fields::Fields;
use super::id::Id;
use super::shelf::Shelves;
use crate::types::copied;

/// Entries in the order of their ids. A block is found by the id of the first entry that it ever had, which does not
/// change when that entry goes, nor when the block is joined with the one behind it.
#[derive(Clone, Debug)]
pub struct Entries {
    blocks: Shelves,
    len: usize,
    bytes: usize,
    /// The most entries of a block.
    block_max: u16,
}

impl Default for Entries {
    fn default() -> Self {
        Self { blocks: Shelves::default(), len: 0, bytes: 0, block_max: ENTRIES_MAX }
    }
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trim {
    /// So many entries, the newest.
    Len(usize),
    /// The entries from this id on.
    From(Id),
}

/// How exact a trim is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    /// To the entry.
    Exact,
    /// Only whole blocks go, and no more than so many entries.
    Blocks { entries_max: usize },
}

impl Entries {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.blocks.clone_bytes()
    }

    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        self.blocks.own()
    }

    /// Sets how many entries the blocks get from now on; 0 for as many as there can be.
    pub fn limit_blocks(&mut self, entries_max: u16) {
        self.block_max = if entries_max == 0 { u16::MAX } else { entries_max };
    }

    pub fn first_id(&self) -> Option<Id> {
        self.blocks.first().and_then(|(_, block)| block.first())
    }

    pub fn last_id(&self) -> Option<Id> {
        self.blocks.last().and_then(Block::last)
    }

    /// Adds an entry; its id must be beyond all others.
    pub fn push(&mut self, id: Id, fields: &[&[u8]]) {
        self.len += 1;
        let mut expected = (0, 0);
        if let Some(block) = self.blocks.last_mut() {
            assert!(block.last() < Some(id), "an entry is added after all others");
            // Counted before a shared block is copied: the copy may take less.
            let before = block.bytes();
            let block = copied::own(block, Block::bytes);
            let is_added = block.push(id, fields, self.block_max);
            if !is_added {
                block.seal();
                expected = block.size();
            }
            self.bytes = self.bytes - before + block.bytes();
            if is_added {
                return;
            }
        }
        let block = Block::new(id, fields, expected);
        self.bytes += block_bytes(&block);
        self.blocks.push(id, block);
    }

    pub fn get(&self, id: Id) -> Option<Fields<'_>> {
        self.block_of(id)?.get(id)
    }

    pub fn contains(&self, id: Id) -> bool {
        self.block_of(id).is_some_and(|block| block.contains(id))
    }

    /// Deletes an entry; true when it was there.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some((key, block)) = self.blocks.find_mut(id) else { return false };
        let before = block.bytes();
        let block = copied::own(block, Block::bytes);
        if !block.remove(id) {
            return false;
        }
        self.len -= 1;
        self.bytes = self.bytes - before + block.bytes();
        let (is_empty, is_thin) = (block.is_empty(), block.is_thin());
        if is_empty {
            self.remove_block(key);
        }
        if is_empty || is_thin {
            self.join_block(key);
        }
        true
    }

    /// The entries from `from` to `to`, both included.
    pub fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = (Id, Fields<'_>)> {
        self.blocks.range(from, to).flat_map(move |block| block.range(from, to))
    }

    /// Deletes from the front; answers how many went.
    pub fn trim(&mut self, to: Trim, precision: Precision) -> usize {
        let before = self.len;
        while let Some((key, block)) = self.blocks.first() {
            let surplus = match to {
                Trim::Len(max) => self.len.saturating_sub(max).min(block.len()),
                Trim::From(id) => block.count_before(id),
            };
            let is_whole = surplus == block.len();
            let is_within = match precision {
                Precision::Exact => true,
                Precision::Blocks { entries_max } => is_whole && before - self.len + surplus <= entries_max,
            };
            if surplus == 0 || !is_within {
                break;
            }
            self.len -= surplus;
            if is_whole {
                self.remove_block(key);
                continue;
            }
            let block = self.blocks.first_mut().expect("the first block exists");
            self.bytes -= block.bytes();
            let block = copied::own(block, Block::bytes);
            block.remove_first(surplus);
            self.bytes += block.bytes();
            break;
        }
        before - self.len
    }

    /// Takes the first block away whole; for freeing a stream bit by bit.
    pub fn pop_block(&mut self) -> Option<Arc<Block>> {
        let (key, block) = self.blocks.first()?;
        self.len -= block.len();
        Some(self.remove_block(key))
    }

    fn block_of(&self, id: Id) -> Option<&Block> {
        self.blocks.find(id)
    }

    /// Joins a block with a neighbour if both have lost most of their entries, so that a few that stay do not keep a block
    /// each.
    fn join_block(&mut self, key: Id) {
        let entries_max = self.block_max;
        let join = |first: &Block, second: &Block| Block::join(first, second, entries_max);
        let Some((joined, parts)) = self.blocks.join(key, join) else { return };
        self.bytes += block_bytes(joined);
        for part in parts {
            self.bytes -= block_bytes(&part);
            copied::note(&part, block_bytes);
        }
    }

    fn remove_block(&mut self, key: Id) -> Arc<Block> {
        let block = self.blocks.remove(key).expect("a block is removed once");
        self.bytes -= block_bytes(&block);
        copied::note(&block, block_bytes);
        block
    }
}

fn block_bytes(block: &Block) -> usize {
    size_of::<(Id, Arc<Block>)>() + size_of::<Block>() + block.bytes()
}
