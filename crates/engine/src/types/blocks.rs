//! A row of blocks that clones share until they are written, in groups that are shared as well.
//!
//! The groups keep a clone cheap: it counts one pointer for each [`GROUP`] blocks, and the first write to a block copies
//! the pointers of its group and the block. A row of ten million entries is cloned in a fraction of a millisecond.

use std::slice;
use std::sync::Arc;

use super::copied;

/// Blocks of one group.
const GROUP: usize = 64;

/// Blocks in a row.
#[derive(Debug)]
pub struct Blocks<B: ?Sized> {
    /// All but the last have [`GROUP`] blocks; none is empty.
    groups: Vec<Arc<Vec<Arc<B>>>>,
    len: usize,
}

impl<B: ?Sized> Clone for Blocks<B> {
    fn clone(&self) -> Self {
        Self { groups: self.groups.clone(), len: self.len }
    }
}

impl<B: ?Sized> Default for Blocks<B> {
    fn default() -> Self {
        Self { groups: Vec::new(), len: 0 }
    }
}

impl<B: ?Sized> Blocks<B> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that a clone copies.
    pub fn clone_bytes(&self) -> usize {
        size_of_val(&*self.groups)
    }

    /// True when somebody shares some of the groups.
    pub fn is_shared(&self) -> bool {
        self.groups.iter().any(|group| Arc::strong_count(group) > 1)
    }

    /// The block of this index, which must be below the length.
    pub fn get(&self, index: usize) -> &B {
        &self.groups[index / GROUP][index % GROUP]
    }

    /// As [`get`](Self::get), to be written: the caller copies what is shared, or leaves it to whom it is shared with.
    pub fn get_mut(&mut self, index: usize) -> &mut Arc<B> {
        &mut copied::own_list(&mut self.groups[index / GROUP])[index % GROUP]
    }

    pub fn push(&mut self, block: Arc<B>) {
        if self.len.is_multiple_of(GROUP) {
            self.groups.push(Arc::default());
        }
        Arc::make_mut(self.groups.last_mut().expect("there is a group with room")).push(block);
        self.len += 1;
    }

    pub fn pop(&mut self) -> Option<Arc<B>> {
        let last = self.groups.last_mut()?;
        let block = Arc::make_mut(last).pop().expect("no group is empty");
        if last.is_empty() {
            self.groups.pop();
        }
        self.len -= 1;
        Some(block)
    }

    pub fn iter(&self) -> Iter<'_, B> {
        Iter { groups: self.groups.iter(), blocks: [].iter() }
    }

    /// The blocks one by one, each of them let go of by the row.
    pub fn into_blocks(self) -> impl Iterator<Item = Arc<B>> {
        self.groups.into_iter().flat_map(Arc::unwrap_or_clone)
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own(&self) -> (usize, usize) {
        let own = self.groups.iter().filter(|group| Arc::strong_count(group) == 1);
        (super::sharing::own(own.flat_map(|group| group.iter())).0, self.len)
    }
}

/// The blocks of a row, in order.
pub struct Iter<'a, B: ?Sized> {
    groups: slice::Iter<'a, Arc<Vec<Arc<B>>>>,
    blocks: slice::Iter<'a, Arc<B>>,
}

impl<'a, B: ?Sized> Iterator for Iter<'a, B> {
    type Item = &'a B;

    fn next(&mut self) -> Option<&'a B> {
        loop {
            if let Some(block) = self.blocks.next() {
                return Some(block);
            }
            self.blocks = self.groups.next()?.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_stays_what_it_was_however_the_row_changes() {
        let mut row: Blocks<usize> = Blocks::default();
        (0..300).for_each(|n| row.push(Arc::new(n)));
        let clone = row.clone();
        *Arc::make_mut(row.get_mut(70)) = 1_000;
        for n in (200..300).rev() {
            assert_eq!(row.pop().as_deref(), Some(&n));
        }
        row.push(Arc::new(7));
        assert_eq!((row.len(), row.get(70), row.get(200), row.iter().count()), (201, &1_000, &7, 201));
        assert!(clone.iter().copied().eq(0..300));
        assert!(clone.into_blocks().map(|block| *block).eq(0..300));
    }
}
