//! What the pools of one worker have to do with each other: how large each is, and when all of them are empty.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::{Hand, Shared};

/// How many jobs of a pool run at once: between two bounds, by how much there is to do.
pub(super) struct Elastic {
    min: usize,
    max: usize,
    /// The most jobs in hand since the pool was last looked at.
    peak: Mutex<usize>,
}

impl Elastic {
    pub(super) fn new(min: usize, max: usize) -> Self {
        Self { min, max, peak: Mutex::new(0) }
    }

    /// An exchange brought `got` of the jobs that it asked for. All of them: there may be more than there is room for.
    pub(super) fn note(&self, hand: &mut Hand, asked: usize, got: usize) {
        if self.min == self.max {
            return;
        }
        if asked > 0 && got >= asked {
            hand.concurrency = (hand.concurrency * 2).min(self.max);
        }
        let mut peak = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        *peak = (*peak).max(hand.in_hand());
    }

    /// Falls back to what was needed since the last call.
    pub(super) fn shrink(&self, hand: &mut Hand) {
        let mut peak = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        hand.concurrency = hand.concurrency.min((*peak).max(self.min));
        *peak = hand.in_hand();
    }
}

/// Whether every pool has found its queues empty since the last job ended in any of them: such a job may have pushed
/// others, into queues of another pool.
pub(super) struct Emptiness {
    ended: AtomicU64,
    found: Mutex<Vec<Option<u64>>>,
    pools: OnceLock<Vec<Weak<Shared>>>,
}

impl Emptiness {
    pub(super) fn new(pools: usize) -> Self {
        Self { ended: AtomicU64::new(0), found: Mutex::new(vec![None; pools]), pools: OnceLock::new() }
    }

    /// Makes the pools known, in their order.
    pub(super) fn introduce(&self, pools: &[Arc<Shared>]) {
        self.pools.get_or_init(|| pools.iter().map(Arc::downgrade).collect());
    }

    /// A job has ended, or what follows from one was pushed.
    pub(super) fn note_end(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    /// The moment that a look at the queues is about.
    pub(super) fn now(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// A pool found nothing when it looked at `moment`, and has nothing. Answers whether that holds for all of them;
    /// those for which it may not are told to look again. Nobody's hand may be locked meanwhile.
    pub(super) fn found(&self, pool: usize, moment: u64) -> bool {
        let now = self.now();
        let stale: Vec<usize> = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found[pool] = Some(moment);
            let stale = found.iter().enumerate().filter(|(_, moment)| **moment != Some(now));
            stale.map(|(pool, _)| pool).collect()
        };
        let pools = self.pools.get().map_or(&[][..], Vec::as_slice);
        for shared in stale.iter().filter_map(|pool| pools.get(*pool)?.upgrade()) {
            shared.look_again();
        }
        stale.is_empty()
    }
}
