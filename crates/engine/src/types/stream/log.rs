//! The entries of a stream with what is remembered of those that are gone.

use std::cmp::Ordering;

use super::entries::Entries;
use super::id::Id;

/// Entries, and the counts from which a group's progress is told although some of what it read was deleted.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub entries: Entries,
    /// The greatest id ever given.
    pub last_id: Id,
    /// The greatest id that was deleted by name.
    pub max_deleted_id: Id,
    /// How many entries were ever added.
    pub entries_added: u64,
}

impl Log {
    pub fn push(&mut self, id: Id, fields: &[&[u8]]) {
        assert!(id > self.last_id, "ids only grow");
        self.entries.push(id, fields);
        self.last_id = id;
        self.entries_added = self.entries_added.wrapping_add(1);
    }

    pub fn remove(&mut self, id: Id) -> bool {
        let is_removed = self.entries.remove(id);
        if is_removed {
            self.max_deleted_id = self.max_deleted_id.max(id);
        }
        is_removed
    }

    /// What a group has read after `id`, when it had read `read` before.
    pub fn read_after(&self, read: Option<u64>, id: Id) -> Option<u64> {
        match read {
            Some(read) if !self.has_deleted_from(id) => Some(read.wrapping_add(1)),
            read if self.entries_added == 0 => read,
            _ => self.count_until(id),
        }
    }

    /// How many entries come after what a group has read; none when it cannot be told.
    pub fn lag(&self, read: Option<u64>, last_id: Id) -> Option<i64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        let read = match read {
            Some(read) if !self.has_deleted_from(last_id) => read,
            _ => self.count_until(last_id)?,
        };
        Some(self.entries_added.wrapping_sub(read) as i64)
    }

    /// True when an entry at or after `id`, and after the first that is there, was deleted by name: a count of entries
    /// then misses some.
    fn has_deleted_from(&self, id: Id) -> bool {
        self.max_deleted_id > Id::MIN
            && id <= self.max_deleted_id
            && self.entries.first_id().is_some_and(|first| first <= self.max_deleted_id)
    }

    /// How many entries were ever added up to `id`; none when it cannot be told.
    fn count_until(&self, id: Id) -> Option<u64> {
        let len = self.entries.len() as u64;
        if id == self.last_id || (len == 0 && id < self.last_id) {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        let first = self.entries.first_id().unwrap_or_default();
        if self.max_deleted_id > Id::MIN && self.max_deleted_id >= first {
            return None;
        }
        // Everything before the first entry is gone and nothing after it: the count at the first entry is exact.
        let before = self.entries_added.saturating_sub(len);
        match id.cmp(&first) {
            Ordering::Less => Some(before),
            Ordering::Equal => Some(before + 1),
            Ordering::Greater => None,
        }
    }
}
