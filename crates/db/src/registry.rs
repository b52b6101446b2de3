//! Which directories this process has open: a path opened twice is one database.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::{Condvar, Mutex};

use crate::database::Owner;
use crate::directory::Identity;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);

#[derive(Default)]
struct Registry {
    /// An entry that leads nowhere is a database that is being opened or stopped.
    entries: Mutex<HashMap<Identity, Weak<Owner>>>,
    changed: Condvar,
}

/// What [`enter`] found.
pub(crate) enum Entered {
    /// The directory is open in this process.
    Open(Arc<Owner>),
    /// It is not; it is reserved for who asked.
    Reserved(Entry),
}

/// A directory's place in the registry; dropping it makes the place free.
pub(crate) struct Entry {
    identity: Identity,
}

/// Looks a directory up, and reserves its place when it is not open. Waits while another thread opens or stops it.
pub(crate) fn enter(identity: Identity) -> Entered {
    // Dropped after the guard: the last handle's end takes the same lock.
    let mut held;
    let mut entries = REGISTRY.entries.lock();
    loop {
        let Some(found) = entries.get(&identity) else {
            entries.insert(identity, Weak::new());
            return Entered::Reserved(Entry { identity });
        };
        held = found.upgrade();
        if let Some(owner) = &held
            && !owner.is_stopping()
        {
            return Entered::Open(owner.clone());
        }
        REGISTRY.changed.wait(&mut entries);
    }
}

impl Entry {
    /// Lets others find the database.
    pub fn fill(&self, owner: &Arc<Owner>) {
        REGISTRY.entries.lock().insert(self.identity, Arc::downgrade(owner));
        REGISTRY.changed.notify_all();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        REGISTRY.entries.lock().remove(&self.identity);
        REGISTRY.changed.notify_all();
    }
}
