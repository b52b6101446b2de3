//! One database: its keys, their values and when they end.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::ops::{Deref, DerefMut};

use foldhash::quality::FixedState;

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::object::{Kind, Object};
use crate::random::Random;
use crate::types::table::Table;

/// The keys of one database. It compares no time: expiry is decided by the caller, who has the clock.
#[derive(Debug)]
pub struct Keyspace {
    table: Table<Entry>,
    /// When keys end, with the hash of the key: enough to find it, and small.
    expiries: BTreeSet<(u64, u64)>,
    hasher: FixedState,
    seed: u64,
    bytes: usize,
}

/// A key, its value and when it ends, in milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Blob,
    pub value: Object,
    pub expires_ms: Option<u64>,
}

impl Entry {
    /// Approximate bytes of memory that key and value take outside of the entry itself.
    pub fn bytes(&self) -> usize {
        self.key.heap_bytes() + self.value.bytes()
    }
}

impl Keyspace {
    pub fn new(seed: u64) -> Self {
        Self {
            table: Table::default(),
            expiries: BTreeSet::new(),
            hasher: FixedState::with_seed(seed),
            seed,
            bytes: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of keys that have an expiry.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// Approximate bytes of memory of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes + self.table.bytes() + self.expiries.len() * 24
    }

    pub fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.table.find(self.hash(key), |entry| &*entry.key == key)
    }

    /// The value at `key` for writing; the memory count follows what happens to it.
    pub fn value_mut<T: Kind>(&mut self, key: &[u8]) -> Result<Option<Slot<'_, T>>> {
        let hash = self.hash(key);
        let Some(entry) = self.table.find_mut(hash, |entry| &*entry.key == key) else { return Ok(None) };
        let value = T::of_mut(&mut entry.value).ok_or(Error::WRONG_TYPE)?;
        Ok(Some(Slot { before: value.bytes(), value, total: &mut self.bytes }))
    }

    /// The value at `key` for writing; an empty one is made where there is none.
    pub fn value_or_create<T: Kind>(&mut self, key: &[u8]) -> Result<Slot<'_, T>> {
        let hash = self.hash(key);
        let entry = match self.table.place(hash, |entry| &*entry.key == key) {
            Some(place) => self.table.at_mut(place),
            None => {
                let value = T::create(self.seed).wrap();
                let entry = Entry { key: Blob::from(key), value, expires_ms: None };
                self.bytes += entry.bytes();
                self.table.insert(hash, entry, |entry| hash_of(&self.hasher, &entry.key))
            }
        };
        let value = T::of_mut(&mut entry.value).ok_or(Error::WRONG_TYPE)?;
        Ok(Slot { before: value.bytes(), value, total: &mut self.bytes })
    }

    /// Sets `key`, replacing value and expiry; answers the value before.
    pub fn insert(&mut self, key: Blob, value: Object, expires_ms: Option<u64>) -> Option<Object> {
        let hash = self.hash(&key);
        if let Some(entry) = self.table.find_mut(hash, |entry| entry.key == key) {
            self.bytes = self.bytes - entry.value.bytes() + value.bytes();
            let before = std::mem::replace(&mut entry.value, value);
            if entry.expires_ms != expires_ms {
                self.set_expiry(&key, expires_ms);
            }
            return Some(before);
        }
        if let Some(at) = expires_ms {
            self.expiries.insert((at, hash));
        }
        let entry = Entry { key, value, expires_ms };
        self.bytes += entry.bytes();
        self.table.insert(hash, entry, |entry| hash_of(&self.hasher, &entry.key));
        None
    }

    /// Takes some entries out of a keyspace that nobody uses any more; none at its end. The counts are not kept.
    pub fn dismantle(&mut self) -> Option<impl Iterator<Item = Entry>> {
        self.expiries = BTreeSet::new();
        self.table.pop_bucket().map(|bucket| bucket.into_iter().map(|(_, entry)| entry))
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let hash = self.hash(key);
        let entry = self.table.remove(hash, |entry| &*entry.key == key)?;
        if let Some(at) = entry.expires_ms {
            self.expiries.remove(&(at, hash));
        }
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Sets or takes away the expiry of an existing key; answers the one before.
    pub fn set_expiry(&mut self, key: &[u8], expires_ms: Option<u64>) -> Option<u64> {
        let hash = self.hash(key);
        let entry = self.table.find_mut(hash, |entry| &*entry.key == key)?;
        let before = std::mem::replace(&mut entry.expires_ms, expires_ms);
        if let Some(at) = before {
            self.expiries.remove(&(at, hash));
        }
        if let Some(at) = expires_ms {
            self.expiries.insert((at, hash));
        }
        before
    }

    /// A key that ended at or before `now_ms`, the earliest first.
    pub fn expired(&self, now_ms: u64) -> Option<Blob> {
        let (at, hash) = *self.expiries.first()?;
        if at > now_ms {
            return None;
        }
        let entry =
            self.table.find(hash, |entry| entry.expires_ms == Some(at) && self.hash(&entry.key) == hash);
        Some(entry.expect("an expiry belongs to a key").key.clone())
    }

    /// When the next key ends.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(at, _)| *at)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// The keys as they are now, whatever is written later. It costs a count for each few thousand keys.
    pub fn freeze(&self) -> Table<Entry> {
        self.table.clone()
    }

    /// Visits some keys and answers the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, visit: impl FnMut(&Entry)) -> u64 {
        self.table.scan(cursor, visit)
    }

    pub fn choose(&self, random: &mut Random) -> Option<&Entry> {
        self.table.choose(|bound| random.below(bound))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        hash_of(&self.hasher, key)
    }
}

/// The hash of bytes, without the length prefix that hashing a slice adds.
pub fn hash_of(hasher: &FixedState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

/// A value that is being written. When it goes, the keyspace's memory count is brought up to date.
pub struct Slot<'a, T: Kind> {
    value: &'a mut T,
    before: usize,
    total: &'a mut usize,
}

impl<T: Kind> Deref for Slot<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: Kind> DerefMut for Slot<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}

impl<T: Kind> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        *self.total = *self.total - self.before + self.value.bytes();
    }
}
