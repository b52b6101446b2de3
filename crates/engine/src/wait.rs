//! Blocking reads: who waits for which key, in which order, until when.
//!
//! A blocking command that finds nothing calls [`Call::wait`](crate::state::Call::wait) and answers what it would
//! answer in a transaction, where nothing waits. When one of its keys changes, the same command runs again; so a blocking command has one
//! body, and a waiter is served by what it would have read.

use std::collections::{BTreeSet, HashMap, VecDeque};

use windlass_resp::Value;

use crate::blob::Blob;
use crate::session::SessionId;

/// A command that waits.
#[derive(Debug)]
pub struct Wait {
    pub db: usize,
    pub keys: Vec<Blob>,
    /// In milliseconds since the epoch; none waits for ever.
    pub deadline_ms: Option<u64>,
    /// The command to run again.
    pub args: Vec<Blob>,
    pub timeout_reply: Value,
}

/// Every waiting session.
#[derive(Debug, Default)]
pub struct Waits {
    by_session: HashMap<SessionId, Wait>,
    by_key: HashMap<(usize, Blob), VecDeque<SessionId>>,
    by_deadline: BTreeSet<(u64, SessionId)>,
}

impl Waits {
    pub fn len(&self) -> usize {
        self.by_session.len()
    }

    pub fn insert(&mut self, session: SessionId, wait: Wait) {
        for key in &wait.keys {
            let queue = self.by_key.entry((wait.db, key.clone())).or_default();
            if !queue.contains(&session) {
                queue.push_back(session);
            }
        }
        if let Some(at) = wait.deadline_ms {
            self.by_deadline.insert((at, session));
        }
        self.by_session.insert(session, wait);
    }

    pub fn remove(&mut self, session: SessionId) -> Option<Wait> {
        let wait = self.by_session.remove(&session)?;
        for key in &wait.keys {
            let place = (wait.db, key.clone());
            if let Some(queue) = self.by_key.get_mut(&place) {
                queue.retain(|other| *other != session);
                if queue.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        if let Some(at) = wait.deadline_ms {
            self.by_deadline.remove(&(at, session));
        }
        Some(wait)
    }

    pub fn get(&self, session: SessionId) -> Option<&Wait> {
        self.by_session.get(&session)
    }

    pub fn has_key(&self, db: usize, key: &[u8]) -> bool {
        !self.by_key.is_empty() && self.by_key.contains_key(&(db, Blob::from(key)))
    }

    /// The sessions that wait for a key, first come first.
    pub fn of_key(&self, place: &(usize, Blob)) -> Vec<SessionId> {
        self.by_key.get(place).map(|queue| queue.iter().copied().collect()).unwrap_or_default()
    }

    /// Every key of a database that somebody waits for, in order.
    pub fn keys_of(&self, db: usize) -> Vec<(usize, Blob)> {
        let mut keys: Vec<_> = self.by_key.keys().filter(|(other, _)| *other == db).cloned().collect();
        keys.sort();
        keys
    }

    /// A session whose time is over.
    pub fn due(&self, now_ms: u64) -> Option<SessionId> {
        self.by_deadline.first().filter(|(at, _)| *at <= now_ms).map(|(_, session)| *session)
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.by_deadline.first().map(|(at, _)| *at)
    }
}
