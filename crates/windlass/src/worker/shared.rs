//! What the executors and the worker's own thread share.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::hand::HoldKey;
use super::kind::Kinds;
use super::order::Order;
use super::{Control, EntryKey, Hand, Summary, Worker, blocking, identity, local_now_ms};
use crate::broker::{Broker, Taken};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::id::{EntryId, JobId};

/// The wait before a refused or lost call is made again, doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How much later than the store says the queues are looked at: it tells whole milliseconds.
const LOOK_MARGIN: Duration = Duration::from_millis(1);

/// A worker at work.
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// The moves on a connection of the user's runtime.
    pub(super) broker: Broker,
    pub(crate) kinds: Kinds,
    pub(crate) events: Events,
    /// Its name.
    pub(crate) worker: String,
    pub(crate) queues: Vec<Arc<str>>,
    pub(super) order: Order,
    pub(crate) concurrency: usize,
    pub(super) control: Control,
    pub(super) exits_when_empty: bool,
    pub(super) shutdown_timeout: Duration,
    pub(super) threads: blocking::Threads,
    /// A wake mark is to be waited for.
    pub(super) wants_mark: Notify,
    /// Something came back or was told, while the worker ends.
    pub(super) settled: Notify,
    hand: Mutex<Hand>,
    summary: Mutex<Summary>,
    /// When something that waits for a limit may be taken, though nobody leaves a mark for it.
    next_look: Mutex<Option<Instant>>,
    /// How many calls the store does not answer at present.
    outages: AtomicUsize,
    /// The store's clock less this machine's, in milliseconds.
    clock_offset_ms: AtomicI64,
}

impl Shared {
    /// What `worker` needs once it runs; `broker` is on a connection of the user's runtime.
    pub(super) fn new(worker: Worker, broker: Broker) -> Self {
        let Worker {
            client,
            order,
            concurrency,
            shutdown_timeout,
            kinds,
            events,
            control,
            exits_when_empty,
            ..
        } = worker;
        let name = identity::name(concurrency);
        let queues: Vec<Arc<str>> = order.queues().map(Arc::from).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            client,
            broker,
            kinds,
            events,
            hand: Mutex::new(Hand::new(concurrency, queues.len(), cores)),
            summary: Mutex::new(Summary { worker: name.clone(), ..Summary::default() }),
            worker: name,
            queues,
            order,
            concurrency,
            control,
            exits_when_empty,
            shutdown_timeout,
            threads: blocking::Threads::new(concurrency),
            wants_mark: Notify::new(),
            settled: Notify::new(),
            next_look: Mutex::default(),
            outages: AtomicUsize::new(0),
            clock_offset_ms: AtomicI64::new(0),
        }
    }

    /// What the worker holds. No code of the user's runs under this lock.
    pub(crate) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the worker did so far.
    pub(crate) fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of a taken job.
    pub(super) fn id_of(&self, taken: &Taken) -> JobId {
        taken.job_id(&self.queues[taken.queue])
    }

    /// The entry that an id names, if it is one of this worker's queues.
    pub(crate) fn entry_key(&self, id: &JobId) -> Option<EntryKey> {
        let queue = self.queues.iter().position(|queue| &**queue == id.queue())?;
        Some(EntryKey { queue, entry: EntryId::parse(id.entry())? })
    }

    /// The store knows how a job ended that it was told of by itself.
    pub(super) fn drop_told(&self, key: &HoldKey) {
        let mut hand = self.hand();
        hand.drop_held(key);
        hand.leave_place();
        if self.exits_when_empty && hand.is_empty() {
            hand.look_again();
        }
        if !hand.is_taking() {
            self.settled.notify_one();
        }
    }

    /// What the store was told may have put jobs into queues, after an exchange that is under way has looked there.
    pub(super) fn note_followers(&self) {
        if self.exits_when_empty {
            self.hand().look_again();
        }
    }

    /// Learns when the queues are to be looked at unasked.
    pub(super) fn note_next(&self, next: Option<Duration>) {
        let at = next.map(|next| Instant::now() + next + LOOK_MARGIN);
        *self.next_look.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// How long to wait for a mark before the queues are looked at unasked, `max` at most.
    pub(super) fn wait_time(&self, max: Duration) -> Duration {
        let at = *self.next_look.lock().unwrap_or_else(PoisonError::into_inner);
        at.map_or(max, |at| at.saturating_duration_since(Instant::now()).clamp(LOOK_MARGIN, max))
    }

    /// Learns the store's clock.
    pub(super) fn note_clock(&self, now_ms: u64) {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        self.clock_offset_ms.store(signed(now_ms) - signed(local_now_ms()), Ordering::Relaxed);
    }

    /// The store's time, as well as it is known here.
    pub(crate) fn store_now_ms(&self) -> u64 {
        local_now_ms().saturating_add_signed(self.clock_offset_ms.load(Ordering::Relaxed))
    }

    /// Makes a call until it is answered: the store may be loading, failing over or gone.
    pub(crate) async fn until_answered<T, F>(&self, call: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T>>,
    {
        let mut backoff = BACKOFF.0;
        let mut outage = None;
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(error) => {
                    outage.get_or_insert_with(|| Outage::begin(self, &error));
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Tells of a call that failed and is not made again.
    pub(crate) fn note_failure(&self, error: &Error) {
        drop(Outage::begin(self, error));
    }
}

/// A call that the store does not answer, from its first failure to its answer. The store is lost with the first such
/// call and back when there is none any more: a full one or one that only reads answers some calls all the time.
struct Outage<'a>(&'a Shared);

impl<'a> Outage<'a> {
    fn begin(shared: &'a Shared, error: &Error) -> Self {
        if shared.outages.fetch_add(1, Ordering::Relaxed) == 0 {
            shared.events.emit(Event::StoreLost { message: error.to_string() });
        }
        Self(shared)
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        if self.0.outages.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.events.emit(Event::StoreBack);
        }
    }
}
