//! Blocking reads: who waits for which key, in which order, until when.
//!
//! A blocking command that finds nothing calls [`Call::wait`](crate::state::Call::wait) and answers what it would
//! answer in a transaction, where nothing waits. When one of its keys changes, the same command runs again; so a blocking command has one
//! body, and a waiter is served by what it would have read.

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::fast::FixedState;
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
    /// True for a command that has not run: a pause put it off.
    pub is_put_off: bool,
}

/// Every waiting session.
#[derive(Debug, Default)]
pub struct Waits {
    by_session: HashMap<SessionId, Wait, FixedState>,
    /// By database, then by key, so that a key is looked up as it stands in a command.
    by_key: HashMap<usize, HashMap<Blob, VecDeque<SessionId>>, FixedState>,
    by_deadline: BTreeSet<(u64, SessionId)>,
}

impl Waits {
    pub fn len(&self) -> usize {
        self.by_session.len()
    }

    pub fn insert(&mut self, session: SessionId, wait: Wait) {
        for key in &wait.keys {
            let queue = self.by_key.entry(wait.db).or_default().entry(key.clone()).or_default();
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
        if let Some(queues) = self.by_key.get_mut(&wait.db) {
            for key in &wait.keys {
                if let Some(queue) = queues.get_mut(key) {
                    queue.retain(|other| *other != session);
                    if queue.is_empty() {
                        queues.remove(key);
                    }
                }
            }
            if queues.is_empty() {
                self.by_key.remove(&wait.db);
            }
        }
        if let Some(at) = wait.deadline_ms {
            self.by_deadline.remove(&(at, session));
        }
        Some(wait)
    }

    /// Makes a wait end later.
    pub fn prolong(&mut self, session: SessionId, deadline_ms: u64) {
        if let Some(wait) = self.by_session.get_mut(&session) {
            if let Some(at) = wait.deadline_ms.replace(deadline_ms) {
                self.by_deadline.remove(&(at, session));
            }
            self.by_deadline.insert((deadline_ms, session));
        }
    }

    pub fn get(&self, session: SessionId) -> Option<&Wait> {
        self.by_session.get(&session)
    }

    pub fn has_key(&self, db: usize, key: &[u8]) -> bool {
        self.by_key.get(&db).is_some_and(|queues| queues.contains_key(key))
    }

    /// The sessions that wait for a key, first come first.
    pub fn of_key(&self, (db, key): &(usize, Blob)) -> Vec<SessionId> {
        let queue = self.by_key.get(db).and_then(|queues| queues.get(key));
        queue.map(|queue| queue.iter().copied().collect()).unwrap_or_default()
    }

    /// Every key of a database that somebody waits for, in order.
    pub fn keys_of(&self, db: usize) -> Vec<(usize, Blob)> {
        let keys = self.by_key.get(&db).into_iter().flat_map(HashMap::keys);
        let mut keys: Vec<_> = keys.map(|key| (db, key.clone())).collect();
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
