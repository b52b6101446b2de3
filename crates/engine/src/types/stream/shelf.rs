//! The blocks of a stream in the order of their ids, on shelves.
//!
//! A shelf is a run of neighbouring blocks. Both are shared with clones until they are written: a clone counts a pointer
//! for each shelf, and a write copies the pointers of one shelf and one block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::block::Block;
use super::id::Id;
use crate::types::copied;

/// Most blocks of a shelf.
const BLOCKS_MAX: usize = 64;
/// A shelf that has lost blocks gives room back when it has more than so many times what it needs.
const SHELF_SLACK: usize = 4;

/// Blocks, each found by the id of the first entry that it ever had.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    /// By the id of the first block that each ever had. No shelf is empty.
    shelves: BTreeMap<Id, Arc<Shelf>>,
    blocks: usize,
}

type Shelf = VecDeque<(Id, Arc<Block>)>;

impl Shelves {
    /// The number of blocks.
    pub fn len(&self) -> usize {
        self.blocks
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        self.shelves.len() * size_of::<(Id, Arc<Shelf>)>()
    }

    pub fn first(&self) -> Option<(Id, &Block)> {
        let (_, shelf) = self.shelves.first_key_value()?;
        shelf.front().map(|(key, block)| (*key, &**block))
    }

    pub fn last(&self) -> Option<&Block> {
        let (_, shelf) = self.shelves.last_key_value()?;
        shelf.back().map(|(_, block)| &**block)
    }

    /// As [`last`](Self::last), to be written: the caller copies what is shared.
    pub fn last_mut(&mut self) -> Option<&mut Arc<Block>> {
        let shelf = self.shelves.last_entry()?.into_mut();
        own(shelf).back_mut().map(|(_, block)| block)
    }

    /// As [`first`](Self::first), to be written: the caller copies what is shared.
    pub fn first_mut(&mut self) -> Option<&mut Arc<Block>> {
        let shelf = self.shelves.first_entry()?.into_mut();
        own(shelf).front_mut().map(|(_, block)| block)
    }

    /// Adds a block after all others.
    pub fn push(&mut self, key: Id, block: Block) {
        self.blocks += 1;
        let block = (key, Arc::new(block));
        match self.shelves.last_entry() {
            Some(shelf) if shelf.get().len() < BLOCKS_MAX => own(shelf.into_mut()).push_back(block),
            _ => _ = self.shelves.insert(key, Arc::new(Shelf::from([block]))),
        }
    }

    /// The block in which an entry of this id would be.
    pub fn find(&self, id: Id) -> Option<&Block> {
        let (_, shelf) = self.shelves.range(..=id).next_back()?;
        Some(&shelf[place(shelf, id)?].1)
    }

    /// As [`find`](Self::find), with the block's key, to be written: the caller copies what is shared.
    pub fn find_mut(&mut self, id: Id) -> Option<(Id, &mut Arc<Block>)> {
        let (_, shelf) = self.shelves.range_mut(..=id).next_back()?;
        let place = place(shelf, id)?;
        let (key, block) = &mut own(shelf)[place];
        Some((*key, block))
    }

    /// The blocks that may hold entries from `from` to `to`, both included.
    pub fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = &Block> {
        let start = self.shelves.range(..=from).next_back().map_or(from, |(key, _)| *key);
        // An interval that ends before it starts is empty; the map would panic on it.
        self.shelves.range(start..=to.max(start)).flat_map(move |(_, shelf)| {
            let start = place(shelf, from).unwrap_or(0);
            let end = shelf.partition_point(|(key, _)| *key <= to);
            shelf.range(start..end.max(start)).map(|(_, block)| &**block)
        })
    }

    /// Puts one block in the place of two neighbours of a shelf, the one before `id` and the one at it or the two from the
    /// one at it on, if `join` makes one of them; answers what it made and what was there. The last block of all stays as it
    /// is, for it is being filled.
    pub fn join(
        &mut self,
        id: Id,
        join: impl Fn(&Block, &Block) -> Option<Block>,
    ) -> Option<(&Block, [Arc<Block>; 2])> {
        let last = *self.shelves.last_key_value()?.0;
        let (shelf_key, shelf) = self.shelves.range_mut(..=id).next_back()?;
        let end = shelf.len() - usize::from(*shelf_key == last);
        let at = place(shelf, id)?;
        let (first, joined) = [at.checked_sub(1), Some(at)]
            .into_iter()
            .flatten()
            .filter(|first| first + 1 < end)
            .find_map(|first| Some((first, join(&shelf[first].1, &shelf[first + 1].1)?)))?;
        self.blocks -= 1;
        let shelf = own(shelf);
        let (_, second) = shelf.remove(first + 1)?;
        // A shelf keeps no room for many more blocks than it has.
        if shelf.len() * SHELF_SLACK < shelf.capacity() {
            shelf.shrink_to_fit();
        }
        let (_, block) = &mut shelf[first];
        let first = std::mem::replace(block, Arc::new(joined));
        Some((block, [first, second]))
    }

    /// Removes a block; none when there is none of this key.
    pub fn remove(&mut self, key: Id) -> Option<Arc<Block>> {
        let (shelf_key, shelf) = self.shelves.range_mut(..=key).next_back()?;
        let place = shelf.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        let (_, block) = own(shelf).remove(place)?;
        self.blocks -= 1;
        if shelf.is_empty() {
            let shelf_key = *shelf_key;
            self.shelves.remove(&shelf_key);
        }
        Some(block)
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own(&self) -> (usize, usize) {
        let own = self.shelves.values().filter(|shelf| Arc::strong_count(shelf) == 1);
        (
            crate::types::sharing::own(own.flat_map(|shelf| shelf.iter().map(|(_, block)| block))).0,
            self.blocks,
        )
    }
}

/// A shelf to be written, copied if somebody shares it.
fn own(shelf: &mut Arc<Shelf>) -> &mut Shelf {
    copied::own(shelf, |shelf| shelf.len() * size_of::<(Id, Arc<Block>)>())
}

/// The place of the last block of a shelf that begins at or before `id`.
fn place(shelf: &Shelf, id: Id) -> Option<usize> {
    shelf.partition_point(|(key, _)| *key <= id).checked_sub(1)
}
