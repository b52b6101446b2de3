//! What the pools of one worker have to do with each other: how large each is, and when all of them are empty.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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

/// Which pool may run a suspect. A process runs one at a time, whatever pool it is in: when the process ends, one job is
/// to blame.
#[derive(Default)]
pub(super) struct SuspectSlot {
    /// The number of the pool, from 1; 0 when it is free.
    owner: AtomicUsize,
    /// Pools that asked in vain.
    denied: Mutex<BTreeSet<usize>>,
}

impl SuspectSlot {
    /// Whether the pool may ask for a suspect. One that may not is told when it may.
    pub(super) fn claim(&self, pool: usize) -> bool {
        if self.try_claim(pool) {
            return true;
        }
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.insert(pool);
        // It may have become free before the pool was noted: then nobody would tell it.
        let claimed = self.try_claim(pool);
        if claimed {
            denied.remove(&pool);
        }
        claimed
    }

    fn try_claim(&self, pool: usize) -> bool {
        let claimed = self.owner.compare_exchange(0, pool + 1, Ordering::AcqRel, Ordering::Acquire);
        claimed.map_or_else(|owner| owner == pool + 1, |_| true)
    }

    /// The pool has none. Answers the pools that asked in vain meanwhile.
    pub(super) fn release(&self, pool: usize) -> BTreeSet<usize> {
        match self.owner.compare_exchange(pool + 1, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => std::mem::take(&mut *self.denied.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(_) => BTreeSet::new(),
        }
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

    /// Has these pools look again.
    pub(super) fn tell(&self, pools: impl IntoIterator<Item = usize>) {
        let known = self.pools.get().map_or(&[][..], Vec::as_slice);
        for shared in pools.into_iter().filter_map(|pool| known.get(pool)?.upgrade()) {
            shared.look_again();
        }
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
        let is_all = stale.is_empty();
        self.tell(stale);
        is_all
    }
}
