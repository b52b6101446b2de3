//! Deleted data that is too big to be freed at once.
//!
//! Freeing a value of a million members takes as long as making it, and everybody would wait. So DEL and FLUSHALL put
//! what is big here, and [`Engine::tick`](crate::Engine::tick) frees it bit by bit.

use crate::keyspace::Keyspace;
use crate::object::Object;

/// A value of more bytes than this is freed bit by bit; below, that would cost more than it saves.
const BIG_BYTES: usize = 64 * 1024;

/// What is still to be freed.
#[derive(Debug, Default)]
pub struct Garbage {
    keyspaces: Vec<Keyspace>,
    objects: Vec<Object>,
}

impl Garbage {
    pub fn is_empty(&self) -> bool {
        self.keyspaces.is_empty() && self.objects.is_empty()
    }

    /// Frees `object` now or, when it is big, later. A string is one piece of memory, however long.
    pub fn add(&mut self, object: Object) {
        if !matches!(object, Object::String(_)) && object.bytes() > BIG_BYTES {
            self.objects.push(object);
        }
    }

    /// Frees a whole database later.
    pub fn add_keyspace(&mut self, keyspace: Keyspace) {
        if keyspace.len() > 0 {
            self.keyspaces.push(keyspace);
        }
    }

    /// Frees about `budget` members of one value, or keys of one database.
    pub fn free_some(&mut self, budget: usize) {
        if let Some(object) = self.objects.last_mut() {
            if object.free_some(budget) {
                self.objects.pop();
            }
            return;
        }
        let mut left = budget;
        while let Some(keyspace) = self.keyspaces.last_mut() {
            let Some(entries) = keyspace.dismantle() else {
                self.keyspaces.pop();
                continue;
            };
            let values: Vec<Object> = entries.map(|entry| entry.value).collect();
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
        let left = garbage.keyspaces[0].len();
        assert!((880..=900).contains(&left), "one step freed {} of 1,000", 1_000 - left);
        let steps = (0..100).take_while(|_| {
            garbage.free_some(100);
            !garbage.is_empty()
        });
        assert!((8..=20).contains(&steps.count()));
    }
}
