//! What the worker holds: plain data without any I/O.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::broker::{BATCH_JOBS_MAX, Extra, Held, Taken};
use crate::context::{Leash, Pull};
use crate::worker::executor::Begun;

/// Most jobs of one fetch.
const FETCH_MAX: usize = BATCH_JOBS_MAX;

/// A held job: the number of its queue, its entry and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HoldKey {
    pub(crate) queue: usize,
    pub(crate) held: Held,
}

impl HoldKey {
    pub(super) fn of(taken: &Taken) -> Self {
        Self { queue: taken.queue, held: Held::of(taken) }
    }
}

/// A success on its way to the store.
pub(super) struct Finish {
    pub(super) held: Held,
    pub(super) extra: Option<Extra>,
    pub(super) begun: Begun,
}

/// What the worker holds. A job is held from its fetch until the store has been told of its end.
pub(crate) struct Hand {
    concurrency: usize,
    held: HashMap<HoldKey, Arc<Leash>>,
    in_hand: usize,
    ended_since_fetch: usize,
    suspect: Option<HoldKey>,
    finishes: Vec<VecDeque<Finish>>,
    backlog: usize,
}

impl Hand {
    pub(super) fn new(concurrency: usize, queues: usize) -> Self {
        Self {
            concurrency,
            held: HashMap::new(),
            in_hand: 0,
            ended_since_fetch: 0,
            suspect: None,
            finishes: (0..queues).map(|_| VecDeque::new()).collect(),
            backlog: 0,
        }
    }

    /// How many jobs the next fetch may bring: the free slots, and as a prefetch no more than ended while
    /// the last fetch was under way, nor than the concurrency. So short jobs keep the store busy, and a
    /// worker with long ones takes nothing that it cannot begin.
    pub(super) fn room(&self) -> usize {
        let prefetch = self.ended_since_fetch.min(self.concurrency);
        (self.concurrency + prefetch).saturating_sub(self.in_hand).min(FETCH_MAX)
    }

    /// A fetch begins.
    pub(super) fn begin_fetch(&mut self) {
        self.ended_since_fetch = 0;
    }

    /// Takes a job; `None` when it is held already, by the same token: a lapsed lease came back to us.
    pub(super) fn take(&mut self, taken: &Taken) -> Option<Arc<Leash>> {
        let key = HoldKey::of(taken);
        if self.held.contains_key(&key) {
            return None;
        }
        let leash = Arc::new(Leash::default());
        self.held.insert(key, leash.clone());
        self.in_hand += 1;
        if taken.is_suspect {
            self.suspect = Some(key);
        }
        Some(leash)
    }

    /// An executor is done with a job.
    pub(super) fn come_back(&mut self) {
        self.in_hand = self.in_hand.saturating_sub(1);
        self.ended_since_fetch += 1;
    }

    /// The leash of a job, when it is held.
    pub(super) fn leash(&self, key: &HoldKey) -> Option<&Leash> {
        self.held.get(key).map(|leash| &**leash)
    }

    pub(super) fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// Whether no suspect runs here.
    pub(super) fn may_suspect(&self) -> bool {
        self.suspect.is_none()
    }

    pub(super) fn add_finish(&mut self, queue: usize, finish: Finish) {
        self.finishes[queue].push_back(finish);
        self.backlog += 1;
    }

    /// Takes the finished jobs of one queue, as many as one call may tell of.
    pub(super) fn take_finishes(&mut self) -> Option<(usize, Vec<Finish>)> {
        let queue = self.finishes.iter().position(|finishes| !finishes.is_empty())?;
        let count = self.finishes[queue].len().min(BATCH_JOBS_MAX);
        Some((queue, self.finishes[queue].drain(..count).collect()))
    }

    /// The store has been told of `count` finished jobs.
    pub(super) fn end_finishes(&mut self, count: usize) {
        self.backlog = self.backlog.saturating_sub(count);
    }

    /// A job is held no more. Answers whether it was the suspect.
    pub(crate) fn drop_held(&mut self, key: &HoldKey) -> bool {
        self.held.remove(key);
        let was_suspect = self.suspect.as_ref() == Some(key);
        if was_suspect {
            self.suspect = None;
        }
        was_suspect
    }

    /// The lease of a job is lost. One that has not begun will not begin; one that runs is asked to stop.
    /// Answers false for a job that has ended already: whether its end counted, the store tells by itself.
    pub(crate) fn lose(&mut self, key: &HoldKey) -> bool {
        let Some(leash) = self.held.get(key).filter(|leash| !leash.has_ended()) else { return false };
        leash.pull(if leash.is_started() { Pull::Cancel } else { Pull::Drop });
        self.drop_held(key);
        true
    }

    /// What is held, by queue and sorted.
    pub(crate) fn all_held(&self) -> Vec<(usize, Vec<Held>)> {
        let mut keys: Vec<_> = self.held.keys().copied().collect();
        keys.sort_unstable();
        keys.chunk_by(|a, b| a.queue == b.queue)
            .map(|keys| (keys[0].queue, keys.iter().map(|key| key.held).collect()))
            .collect()
    }

    /// Cuts every running job short.
    pub(super) fn pull_all(&self) {
        for leash in self.held.values() {
            leash.pull(Pull::Drop);
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.in_hand == 0
    }

    /// Whether the store has been told of everything that ended.
    pub(super) fn is_told(&self) -> bool {
        self.backlog == 0
    }
}
