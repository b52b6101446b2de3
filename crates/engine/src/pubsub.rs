//! Who listens to which channel.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::Blob;
use crate::session::SessionId;

/// The subscriptions of all sessions.
#[derive(Debug, Default)]
pub struct PubSub {
    pub channels: BTreeMap<Blob, BTreeSet<SessionId>>,
    pub patterns: BTreeMap<Blob, BTreeSet<SessionId>>,
}

impl PubSub {
    /// Adds a subscription to one of the two maps.
    pub fn add(map: &mut BTreeMap<Blob, BTreeSet<SessionId>>, name: &[u8], session: SessionId) {
        map.entry(Blob::from(name)).or_default().insert(session);
    }

    /// Takes a subscription away; a name without listeners goes.
    pub fn remove(map: &mut BTreeMap<Blob, BTreeSet<SessionId>>, name: &[u8], session: SessionId) {
        if let Some(listeners) = map.get_mut(name) {
            listeners.remove(&session);
            if listeners.is_empty() {
                map.remove(name);
            }
        }
    }
}
