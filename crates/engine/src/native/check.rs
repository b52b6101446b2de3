//! What a body looks at before it acts.

use std::any::TypeId;

use crate::keyspace::Keyspace;
use crate::object::Kind;
use crate::script::Scene;

/// The keys as they are before a body has done anything. Each method answers none where the case is not the usual.
pub struct Check<'a> {
    keyspace: &'a Keyspace,
    now_ms: u64,
    /// The keys that are not there, with the type that the script may make there.
    absent: Vec<(&'a [u8], TypeId)>,
}

/// The type of a key that must stay absent.
struct Nothing;

impl<'a> Check<'a> {
    /// Begins to look; none when a command of the script might be refused.
    pub fn begin(scene: &'a Scene) -> Option<Self> {
        let state = &scene.state;
        let keyspace = &state.databases[scene.session.db];
        let has_room = scene.allows_oom || !state.is_over_limit();
        let may_write = !scene.is_read_only && state.write_refusal.is_none();
        (has_room && may_write).then(|| Self { keyspace, now_ms: scene.now.millis(), absent: Vec::new() })
    }

    /// The time of the call.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The value at `key`, which must be of this type if there is any.
    pub fn value<T: Kind + 'static>(&mut self, key: &'a [u8]) -> Option<Option<&'a T>> {
        let value = self.last_value(key)?;
        if value.is_none() {
            self.absent.push((key, TypeId::of::<T>()));
        }
        Some(value)
    }

    /// As [`value`](Self::value), for keys that are looked at after all others: what is remembered stays short,
    /// however many of them there are.
    pub fn last_value<T: Kind + 'static>(&self, key: &'a [u8]) -> Option<Option<&'a T>> {
        match self.keyspace.entry(key) {
            // One whose time is over is to go first.
            Some(entry) if entry.expires_ms().is_some_and(|at| at <= self.now_ms) => None,
            Some(entry) => T::of(&entry.value).map(Some),
            None => self.is_free_for::<T>(key).then_some(None),
        }
    }

    /// As [`last_value`](Self::last_value), for keys that the script reads before it writes to them: one whose time is
    /// over is gone by then.
    pub fn lasting<T: Kind + 'static>(&self, key: &[u8]) -> Option<Option<&'a T>> {
        match self.keyspace.entry(key) {
            Some(entry) if entry.expires_ms().is_some_and(|at| at <= self.now_ms) => Some(None),
            Some(entry) => T::of(&entry.value).map(Some),
            None => self.is_free_for::<T>(key).then_some(None),
        }
    }

    /// Whether there is something at `key`.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.keyspace.entry(key).is_some()
    }

    /// Holds that `key` is not there, and that nothing is made there.
    pub fn absent(&mut self, key: &'a [u8]) -> Option<()> {
        if self.keyspace.entry(key).is_some() || !self.is_free_for::<Nothing>(key) {
            return None;
        }
        self.absent.push((key, TypeId::of::<Nothing>()));
        Some(())
    }

    /// False when the script has another use for this absent key: what one makes there the other would stumble on.
    fn is_free_for<T: 'static>(&self, key: &[u8]) -> bool {
        let own = TypeId::of::<T>();
        !self.absent.iter().any(|(other, kind)| *kind != own && *other == key)
    }
}
