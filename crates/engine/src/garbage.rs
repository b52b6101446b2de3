//! Deleted data that is too big to be freed at once.
//!
//! Freeing a value of a million members takes as long as making it, and everybody would wait. So DEL and FLUSHALL put
//! what is big here, and [`Engine::tick`](crate::Engine::tick) frees it bit by bit.

use crate::keyspace::Keyspace;
use crate::object::Object;
use crate::types::copied;

/// A value of more bytes than this is freed bit by bit; below, that would cost more than it saves.
const BIG_BYTES: usize = 32 * 1024;

/// What is still to be freed.
#[derive(Debug, Default)]
pub struct Garbage {
    keyspaces: Vec<Waste<Keyspace>>,
    objects: Vec<Waste<Object>>,
    /// How many values, and keys of databases, were freed bit by bit since INFO was told to count again.
    pub freed: u64,
}

/// Something to be freed, with the bytes that it had when it came.
#[derive(Debug)]
struct Waste<T> {
    content: T,
    bytes: usize,
}

impl Garbage {
    pub fn is_empty(&self) -> bool {
        self.keyspaces.is_empty() && self.objects.is_empty()
    }

    /// How many values, and keys of databases, are still to be freed.
    pub fn pending(&self) -> usize {
        self.objects.len() + self.keyspaces.iter().map(|waste| waste.content.len()).sum::<usize>()
    }

    /// The bytes of what is still to be freed, counted whole until the last of it is.
    pub fn bytes(&self) -> usize {
        let objects: usize = self.objects.iter().map(|waste| waste.bytes).sum();
        objects + self.keyspaces.iter().map(|waste| waste.bytes).sum::<usize>()
    }

    /// Frees `object` now or, when it is big, later. A string is one piece of memory, however long.
    pub fn add(&mut self, object: Object) {
        object.note_shared();
        let bytes = object.bytes();
        if !matches!(object, Object::String(_)) && bytes > BIG_BYTES {
            self.objects.push(Waste { content: object, bytes });
        }
    }

    /// Frees a whole database later.
    pub fn add_keyspace(&mut self, keyspace: Keyspace) {
        let bytes = keyspace.bytes();
        if keyspace.is_shared() {
            copied::note_bytes(bytes);
        }
        if keyspace.len() > 0 {
            self.keyspaces.push(Waste { content: keyspace, bytes });
        }
    }

    /// Frees about `budget` members of one value, or keys of one database.
    pub fn free_some(&mut self, budget: usize) {
        if let Some(object) = self.objects.last_mut() {
            if object.content.free_some(budget) {
                self.objects.pop();
                self.freed += 1;
            }
            return;
        }
        let mut left = budget;
        while let Some(keyspace) = self.keyspaces.last_mut() {
            let Some(entries) = keyspace.content.dismantle() else {
                self.keyspaces.pop();
                continue;
            };
            let values: Vec<Object> = entries.map(|entry| entry.value).collect();
            self.freed += values.len() as u64;
            // An empty bucket is work, too.
            left = left.saturating_sub(values.len().max(1));
            for value in values {
                self.add(value);
            }
            if left == 0 || !self.objects.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Blob;

    #[test]
    fn a_database_is_freed_by_budget() {
        let mut keyspace = Keyspace::new(1);
        for number in 0..1_000_u32 {
            keyspace.insert(Blob::from(&number.to_be_bytes()), Object::String(Blob::from(b"v")), Some(5));
        }
        let mut garbage = Garbage::default();
        garbage.add_keyspace(keyspace);
        garbage.free_some(100);
        let left = garbage.pending();
        assert!((880..=900).contains(&left), "one step freed {} of 1,000", 1_000 - left);
        let steps = (0..100).take_while(|_| {
            garbage.free_some(100);
            !garbage.is_empty()
        });
        assert!((8..=20).contains(&steps.count()));
    }
}
