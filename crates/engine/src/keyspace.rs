//! One database: its keys, their values and when they end.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::quality::FixedState;

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::object::{Kind, Object};
use crate::random::Random;
use crate::time::Time;
use crate::types::Budget;
use crate::types::table::Table;

/// With fewer keys none is fetched ahead.
const WARM_LEN_MIN: usize = 2_048;

/// The keys of one database. It compares no time: expiry is decided by the caller, who has the clock.
#[derive(Debug)]
pub struct Keyspace {
    table: Table<Entry>,
    /// When keys end, with the hash of the key: enough to find it, and small.
    expiries: BTreeSet<(u64, u64)>,
    hasher: FixedState,
    seed: u64,
    bytes: usize,
    /// The second at which keys are used now.
    clock_s: u32,
}

/// A key, its value, when it ends and when it was last used.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Blob,
    pub value: Object,
    expiry: Expiry,
    pub used: Used,
}

/// A moment in milliseconds since the epoch, or never, in the eight bytes that an [`Option`] would double.
#[derive(Clone, Copy, Debug)]
struct Expiry(u64);

impl Expiry {
    const NEVER: u64 = u64::MAX;

    fn new(expires_ms: Option<u64>) -> Self {
        Self(expires_ms.unwrap_or(Self::NEVER))
    }

    fn get(self) -> Option<u64> {
        (self.0 != Self::NEVER).then_some(self.0)
    }
}

/// The second since the epoch at which a key was last used; 0 when it was not since it was read from disk. A reader
/// notes its use, and so it can be written through a shared reference.
#[derive(Debug)]
pub struct Used(AtomicU32);

impl Clone for Used {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.get()))
    }
}

impl Used {
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, second: u32) {
        // Most uses are in the second of the use before, and what is not written stays in everybody's cache.
        if self.get() != second {
            self.0.store(second, Ordering::Relaxed);
        }
    }
}

impl Entry {
    /// When it ends, in milliseconds since the epoch.
    pub fn expires_ms(&self) -> Option<u64> {
        self.expiry.get()
    }

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
            clock_s: 0,
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

    /// Has the memory fetched where some keys are or belong, before they are looked up one by one. What is in so small a
    /// keyspace is near anyway.
    pub fn warm<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        if self.len() >= WARM_LEN_MIN {
            self.table.warm(keys.map(|key| self.hash(key)));
        }
    }

    /// Sets the time at which keys are used from now on.
    pub fn set_clock(&mut self, now: Time) {
        self.clock_s = u32::try_from(now.seconds()).unwrap_or(u32::MAX);
    }

    /// As [`entry`](Self::entry), for a command that uses the value.
    pub fn used_entry(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.entry(key)?;
        entry.used.set(self.clock_s);
        Some(entry)
    }

    /// The value at `key` for writing; the memory count follows what happens to it.
    pub fn value_mut<T: Kind>(&mut self, key: &[u8]) -> Result<Option<Slot<'_, T>>> {
        let hash = self.hash(key);
        let Some(entry) = self.table.find_mut(hash, |entry| &*entry.key == key) else { return Ok(None) };
        entry.used.set(self.clock_s);
        let value = T::of_mut(&mut entry.value).ok_or(Error::WRONG_TYPE)?;
        Ok(Some(Slot { before: value.bytes(), value, total: &mut self.bytes }))
    }

    /// The value at `key` for writing; an empty one is made where there is none.
    pub fn value_or_create<T: Kind>(&mut self, key: &[u8]) -> Result<Slot<'_, T>> {
        let hash = self.hash(key);
        let entry = match self.table.place(hash, |entry| &*entry.key == key) {
            Some(place) => self.table.at_mut(place),
            None => {
                let entry = self.fresh(Blob::from(key), T::create(self.seed).wrap(), None);
                self.bytes += entry.bytes();
                self.table.insert(hash, entry, |entry| hash_of(&self.hasher, &entry.key))
            }
        };
        entry.used.set(self.clock_s);
        let value = T::of_mut(&mut entry.value).ok_or(Error::WRONG_TYPE)?;
        Ok(Slot { before: value.bytes(), value, total: &mut self.bytes })
    }

    /// An entry that is used now.
    fn fresh(&self, key: Blob, value: Object, expires_ms: Option<u64>) -> Entry {
        let used = Used(AtomicU32::new(self.clock_s));
        Entry { key, value, expiry: Expiry::new(expires_ms), used }
    }

    /// Sets `key`, replacing value and expiry; answers the value before.
    pub fn insert(
        &mut self,
        key: impl AsRef<[u8]> + Into<Blob>,
        value: Object,
        expires_ms: Option<u64>,
    ) -> Option<Object> {
        let hash = self.hash(key.as_ref());
        if let Some(entry) = self.table.find_mut(hash, |entry| *entry.key == *key.as_ref()) {
            self.bytes = self.bytes - entry.value.bytes() + value.bytes();
            let before = std::mem::replace(&mut entry.value, value);
            entry.used.set(self.clock_s);
            if entry.expires_ms() != expires_ms {
                self.set_expiry(key.as_ref(), expires_ms);
            }
            return Some(before);
        }
        if let Some(at) = expires_ms {
            self.expiries.insert((at, hash));
        }
        let entry = self.fresh(key.into(), value, expires_ms);
        self.bytes += entry.bytes();
        self.table.insert(hash, entry, |entry| hash_of(&self.hasher, &entry.key));
        None
    }

    /// Takes some entries out of a keyspace that nobody uses any more; none at its end. The counts are not kept.
    pub fn dismantle(&mut self) -> Option<impl ExactSizeIterator<Item = Entry>> {
        self.table.pop_bucket().map(|bucket| bucket.into_iter().map(|(_, entry)| entry))
    }

    /// Forgets when some keys of such a keyspace end.
    pub fn drop_expiries(&mut self, budget: &mut Budget) {
        while !budget.is_spent() && self.expiries.pop_first().is_some() {
            budget.spend(1, 0);
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let hash = self.hash(key);
        let entry = self.table.remove(hash, |entry| &*entry.key == key)?;
        if let Some(at) = entry.expires_ms() {
            self.expiries.remove(&(at, hash));
        }
        self.bytes -= entry.bytes();
        entry.key.note_shared();
        Some(entry)
    }

    /// Sets or takes away the expiry of an existing key; answers the one before.
    pub fn set_expiry(&mut self, key: &[u8], expires_ms: Option<u64>) -> Option<u64> {
        let hash = self.hash(key);
        let entry = self.table.find_mut(hash, |entry| &*entry.key == key)?;
        let before = std::mem::replace(&mut entry.expiry, Expiry::new(expires_ms)).get();
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
            self.table.find(hash, |entry| entry.expires_ms() == Some(at) && self.hash(&entry.key) == hash);
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

    /// True when a frozen copy has some of the keys.
    pub fn is_shared(&self) -> bool {
        self.table.is_shared()
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
