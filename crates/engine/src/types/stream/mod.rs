//! The stream: entries in the order of their ids, and groups of consumers that share them.
//!
//! It is the job queue's own structure: added at the end, delivered once from the front, acknowledged and deleted
//! mostly in order. `entries` holds the entries in `block`s, `group` what each group knows.

mod block;
mod entries;
mod fields;
mod group;
mod id;
mod log;
#[cfg(test)]
mod model;
mod shelf;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use block::ENTRIES_MAX;
pub use entries::{Precision, Trim};
pub use fields::Fields;
pub use group::{Consumer, ConsumerIndex, Group, Pending};
pub use id::{Id, IdText};

use super::budget::Budget;
use crate::blob::Blob;
use log::Log;

/// Most bytes of one entry.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    log: Log,
    groups: BTreeMap<Blob, Group>,
    groups_bytes: usize,
}

/// The id that a new entry is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NewId {
    /// The time, or what follows the last id.
    Auto,
    /// The next free one of this millisecond.
    InMillisecond(u64),
    /// This one.
    Exact(Id),
}

impl Stream {
    pub fn new(_: u64) -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.log.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.log.entries.len() == 0
    }

    /// Takes entries, and then pending entries, out of a stream that nobody uses any more; true when none is left. The
    /// counts of memory are not kept.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent()
            && let Some(block) = self.log.entries.pop_block()
        {
            // A block that somebody shares is theirs to free.
            budget.spend(1, if Arc::strong_count(&block) == 1 { block.bytes() } else { 0 });
        }
        while !budget.is_spent()
            && let Some(mut group) = self.groups.first_entry()
        {
            let pending = group.get().pending_range(Id::MIN, Id::MAX);
            let ids: Vec<Id> = pending.map(|(id, _)| id).take(budget.left()).collect();
            budget.spend(ids.len(), 0);
            ids.iter().for_each(|id| _ = group.get_mut().ack(*id));
            if group.get().pending_len() == 0 {
                group.remove();
            }
        }
        self.is_empty() && self.groups.is_empty()
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.log.entries.bytes() + self.groups_bytes
    }

    /// Bytes that a clone copies: what is pending is not shared.
    pub fn clone_bytes(&self) -> usize {
        self.log.entries.clone_bytes() + self.groups_bytes
    }

    /// How many blocks no clone shares, and how many there are.
    #[cfg(test)]
    pub fn own_blocks(&self) -> (usize, usize) {
        self.log.entries.own_blocks()
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// The number of blocks that hold the entries.
    pub fn blocks(&self) -> usize {
        self.log.entries.blocks()
    }

    /// The greatest id ever given.
    pub fn last_id(&self) -> Id {
        self.log.last_id
    }

    /// The greatest id that was deleted by name; trims do not count.
    pub fn max_deleted_id(&self) -> Id {
        self.log.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.log.entries_added
    }

    /// The id of the first entry that is there.
    pub fn first_entry(&self) -> Option<Id> {
        self.log.entries.first_id()
    }

    /// The id of the last entry that is there.
    pub fn last_entry(&self) -> Option<Id> {
        self.log.entries.last_id()
    }

    pub fn get(&self, id: Id) -> Option<Fields<'_>> {
        self.log.entries.get(id)
    }

    pub fn contains(&self, id: Id) -> bool {
        self.log.entries.contains(id)
    }

    /// The entries from `from` to `to`, both included.
    pub fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = (Id, Fields<'_>)> {
        self.log.entries.range(from, to)
    }

    /// The id of a new entry; none when it would not be beyond all others.
    pub fn next_id(&self, wanted: NewId, now_ms: u64) -> Option<Id> {
        let last = self.log.last_id;
        let id = match wanted {
            NewId::Exact(id) => id,
            NewId::InMillisecond(ms) if ms == last.ms => Id::new(ms, last.seq.checked_add(1)?),
            NewId::InMillisecond(ms) => Id::new(ms, 0),
            NewId::Auto if now_ms > last.ms => Id::new(now_ms, 0),
            NewId::Auto => last.next()?,
        };
        (id > last).then_some(id)
    }

    /// Adds an entry with an id from [`next_id`](Self::next_id).
    ///
    /// # Panics
    /// When an entry with this or a greater id was added before.
    pub fn push(&mut self, id: Id, fields: &[&[u8]]) {
        self.log.push(id, fields);
    }

    /// Sets how many entries the blocks get from now on; 0 for as many as there can be.
    pub fn limit_blocks(&mut self, entries_max: u16) {
        self.log.entries.limit_blocks(entries_max);
    }

    /// Deletes an entry; true when it was there. It stays pending where it is.
    pub fn remove(&mut self, id: Id) -> bool {
        self.log.remove(id)
    }

    /// Deletes the oldest entries; answers how many.
    pub fn trim(&mut self, to: Trim, precision: Precision) -> usize {
        self.log.entries.trim(to, precision)
    }

    /// Sets what is known of the stream's past.
    pub fn set_history(&mut self, last_id: Id, entries_added: Option<u64>, max_deleted_id: Option<Id>) {
        self.log.last_id = last_id;
        self.log.entries_added = entries_added.unwrap_or(self.log.entries_added);
        self.log.max_deleted_id = max_deleted_id.unwrap_or(self.log.max_deleted_id);
    }

    /// The groups in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&Blob, &Group)> {
        self.groups.iter()
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Adds a group; false when there is one of this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        let name = Blob::from(name);
        self.groups_bytes += group.bytes() + size_of::<Blob>() + name.heap_bytes();
        self.groups.insert(name, group);
        true
    }

    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some((name, group)) = self.groups.remove_entry(name) else { return false };
        self.groups_bytes -= group.bytes() + size_of::<Blob>() + name.heap_bytes();
        true
    }

    /// Works on a group and keeps count of the memory that it takes; none when there is no such group.
    pub fn edit_group<R>(&mut self, name: &[u8], edit: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group.bytes();
        let result = edit(group);
        self.groups_bytes = self.groups_bytes - before + group.bytes();
        Some(result)
    }

    /// Every group, for changes that leave its memory as it is.
    pub fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.groups.values_mut()
    }

    /// True when there are entries that the group of this name has not seen.
    pub fn has_new(&self, name: &[u8]) -> bool {
        self.groups.get(name).is_some_and(|group| self.last_entry() > Some(group.last_id))
    }

    /// Moves a group forward over at most `count` entries that it has not seen, showing each to `visit`; answers how
    /// many there were, none when there is no such group.
    pub fn advance(
        &mut self,
        name: &[u8],
        count: usize,
        mut visit: impl FnMut(&mut Group, Id, Fields<'_>),
    ) -> Option<usize> {
        let group = self.groups.get_mut(name)?;
        let before = group.bytes();
        let mut seen = 0;
        if let Some(from) = group.last_id.next() {
            for (id, fields) in self.log.entries.range(from, Id::MAX).take(count) {
                group.entries_read = self.log.read_after(group.entries_read, id);
                group.last_id = id;
                visit(group, id, fields);
                seen += 1;
            }
        }
        self.groups_bytes = self.groups_bytes - before + group.bytes();
        Some(seen)
    }

    /// How many entries a group has not yet seen; none when deletions make that unknown.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        self.log.lag(group.entries_read, group.last_id)
    }
}
