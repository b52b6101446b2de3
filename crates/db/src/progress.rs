//! How far the log is safe, and who waits for it to get further.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::store::Store;

/// A place in the log: the number of bytes of records before it, since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(crate) u64);

impl Position {
    /// The place before every record, which is always safe.
    pub const START: Self = Self(0);
}

/// The place up to which the log is safe.
#[derive(Default)]
pub(crate) struct Progress {
    reached: AtomicU64,
    has_failed: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    last: u64,
    wakers: BTreeMap<(Position, u64), Waker>,
    failure: Option<String>,
}

impl Progress {
    /// The place up to which the log is safe.
    pub fn reached(&self) -> Position {
        Position(self.reached.load(Ordering::Acquire))
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.has_failed.load(Ordering::Acquire).then(|| self.waiters.lock().failure.clone()).flatten()
    }

    /// True when nobody waits.
    pub fn is_awaited(&self) -> bool {
        !self.waiters.lock().wakers.is_empty()
    }

    /// What is known of `position`: none when it is still to be waited for.
    pub fn outcome(&self, position: Position) -> Option<Result<()>> {
        if position <= self.reached() {
            return Some(Ok(()));
        }
        self.failure().map(|reason| Err(Error::OutcomeUnknown { reason }))
    }

    /// Announces that the log is safe up to `position`; answers who is to be woken for that. The caller wakes them
    /// when it holds no lock: a waker may do anything.
    #[must_use = "those who wait must be woken"]
    pub fn reach(&self, position: Position) -> impl Iterator<Item = Waker> + use<> {
        // A compaction may have got further while a sync of the file before it went on.
        self.reached.fetch_max(position.0, Ordering::AcqRel);
        let mut waiters = self.waiters.lock();
        let rest = waiters.wakers.split_off(&(Position(position.0 + 1), 0));
        std::mem::replace(&mut waiters.wakers, rest).into_values()
    }

    /// Announces that the log gets no further; the first reason stands. Answers who is to be woken.
    #[must_use = "those who wait must be woken"]
    pub fn fail(&self, reason: &str) -> impl Iterator<Item = Waker> + use<> {
        let mut waiters = self.waiters.lock();
        waiters.failure.get_or_insert_with(|| reason.to_owned());
        self.has_failed.store(true, Ordering::Release);
        std::mem::take(&mut waiters.wakers).into_values()
    }

    /// Announces that all up to `position` is safe in fresh files, a failure forgotten. Answers who is to be woken.
    #[must_use = "those who wait must be woken"]
    pub fn recover(&self, position: Position) -> impl Iterator<Item = Waker> + use<> {
        self.waiters.lock().failure = None;
        self.has_failed.store(false, Ordering::Release);
        self.reach(position)
    }

    /// Asks for `waker` to be woken when `position` is safe or never will be; answers the outcome if it is known by
    /// now. `key` is the place of an earlier request, which is replaced.
    pub fn register(&self, position: Position, key: &mut Option<u64>, waker: &Waker) -> Option<Result<()>> {
        let mut waiters = self.waiters.lock();
        // Both are set before this lock is taken to wake, so that a waker put here after the check is seen.
        if position <= self.reached() {
            return Some(Ok(()));
        }
        if let Some(reason) = &waiters.failure {
            return Some(Err(Error::OutcomeUnknown { reason: reason.clone() }));
        }
        let number = *key.get_or_insert_with(|| {
            waiters.last += 1;
            waiters.last
        });
        waiters.wakers.insert((position, number), waker.clone());
        None
    }

    /// Takes a request back.
    pub fn forget(&self, position: Position, key: u64) {
        self.waiters.lock().wakers.remove(&(position, key));
    }
}

/// Becomes ready when the log is safe up to a position: the future of [`Database::durable`](crate::Database::durable).
///
/// # Errors
/// [`Error::OutcomeUnknown`] when the log failed before it was safe.
#[must_use = "a future does nothing until it is awaited"]
pub struct Durable {
    store: Arc<Store>,
    position: Position,
    key: Option<u64>,
}

impl Durable {
    pub(crate) fn new(store: Arc<Store>, position: Position) -> Self {
        Self { store, position, key: None }
    }
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.store.poll_durable(this.position, &mut this.key, context.waker()) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.store.progress.forget(self.position, key);
        }
    }
}
