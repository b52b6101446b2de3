//! What the executors of a pool and the worker's own thread share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::hand::HoldKey;
use super::kind::Kinds;
use super::order::Order;
use super::pool::{Elastic, Emptiness, SuspectSlot};
use super::states::States;
use super::{Capsule, Control, EntryKey, Hand, Summary, Worker, blocking, identity, local_now_ms};
use crate::broker::{Broker, Taken};
use crate::client::Client;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::event::{Event, Events, JobEvent, JobStep};
use crate::id::{EntryId, JobId};
use crate::middleware::RunChain;

/// The wait before a refused or lost call is made again, doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How much later than the store says the queues are looked at: it tells whole milliseconds.
pub(super) const LOOK_MARGIN: Duration = Duration::from_millis(1);

/// When the queues are to be looked at unasked.
#[derive(Debug, Clone, Copy)]
struct NextLook {
    /// As the store said it.
    #[cfg(feature = "embedded")]
    after: Duration,
    /// The moment by the clock of this process.
    at: Instant,
}

/// A pool of a worker at work. The pools of a worker have all in common but what they hold and where they take it from.
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// The moves on a connection of the user's runtime.
    pub(super) broker: Broker,
    pub(crate) kinds: Arc<Kinds>,
    pub(super) middleware: Arc<RunChain>,
    pub(crate) states: Arc<States>,
    pub(crate) events: Events,
    /// Its name as a worker.
    pub(crate) worker: String,
    /// Its name among the pools of its worker, and its number.
    pub(crate) capsule: String,
    number: usize,
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
    #[cfg(unix)]
    systemd: Option<super::Systemd>,
    /// How many bytes the process may take, if it is to be stopped beyond that.
    pub(crate) memory_max: Option<u64>,
    /// How many events of single jobs the store keeps, if they are recorded.
    pub(super) record_max: Option<u64>,
    pub(super) elastic: Elastic,
    pub(super) emptiness: Arc<Emptiness>,
    suspect_slot: Arc<SuspectSlot>,
    hand: Mutex<Hand>,
    /// When something that waits for a limit may be taken, though nobody leaves a mark for it.
    next_look: Mutex<Option<NextLook>>,
    /// Successes on their way to the store, where somebody hears of single jobs.
    successes: Mutex<HashMap<HoldKey, JobEvent>>,
    /// Whether there are any: without, no lock is taken for them.
    has_successes: AtomicBool,
    /// Which of its queues ask for kinds, by number.
    asking: Vec<AtomicBool>,
    summary: Arc<Mutex<Summary>>,
    /// How many calls the store does not answer at present.
    outages: Arc<AtomicUsize>,
    /// Told when one of them is answered again.
    recovered: Arc<Notify>,
    /// The store's clock less this machine's, in milliseconds.
    clock_offset_ms: Arc<AtomicI64>,
}

impl Shared {
    /// The pools of `worker` as it runs, one for each of its capsules; `broker` is on a connection of the user's runtime.
    pub(crate) fn pools(worker: Worker, broker: Broker) -> Vec<Arc<Self>> {
        super::panic::watch();
        let Worker {
            client,
            capsules,
            shutdown_timeout,
            kinds,
            middleware,
            states,
            events,
            control,
            exits_when_empty,
            #[cfg(unix)]
            systemd,
            record_max,
            memory_max,
            ..
        } = worker;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (kinds, middleware, states) = (Arc::new(kinds), Arc::new(middleware), Arc::new(states));
        let emptiness = Arc::new(Emptiness::new(capsules.len()));
        let (summary, suspect_slot) = <(Arc<Mutex<Summary>>, Arc<SuspectSlot>)>::default();
        let (outages, clock_offset_ms) = <(Arc<AtomicUsize>, Arc<AtomicI64>)>::default();
        let recovered = Arc::new(Notify::new());
        let pools = capsules.into_iter().enumerate().map(|(number, capsule)| {
            let Capsule { name, order, min, max } = capsule;
            let queues: Vec<Arc<str>> = order.queues().map(Arc::from).collect();
            let mut hand = Hand::new(max, queues.len(), cores);
            hand.concurrency = min;
            Arc::new(Self {
                client: client.clone(),
                broker: broker.clone(),
                kinds: kinds.clone(),
                middleware: middleware.clone(),
                states: states.clone(),
                events: events.clone(),
                hand: Mutex::new(hand),
                next_look: Mutex::default(),
                successes: Mutex::default(),
                has_successes: AtomicBool::new(false),
                asking: queues.iter().map(|_| AtomicBool::new(false)).collect(),
                summary: summary.clone(),
                worker: identity::name(max),
                capsule: name,
                number,
                queues,
                order,
                concurrency: max,
                control: control.clone(),
                exits_when_empty,
                shutdown_timeout,
                threads: blocking::Threads::new(max),
                wants_mark: Notify::new(),
                settled: Notify::new(),
                #[cfg(unix)]
                systemd: systemd.clone(),
                record_max,
                memory_max,
                elastic: Elastic::new(min, max),
                emptiness: emptiness.clone(),
                suspect_slot: suspect_slot.clone(),
                outages: outages.clone(),
                recovered: recovered.clone(),
                clock_offset_ms: clock_offset_ms.clone(),
            })
        });
        let pools: Vec<_> = pools.collect();
        if let Some(first) = pools.first() {
            first.summary().worker.clone_from(&first.worker);
        }
        emptiness.introduce(&pools);
        pools
    }

    /// What the worker holds. No code of the user's runs under this lock.
    pub(crate) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the worker did so far.
    pub(crate) fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stops the worker, and says whether it has started.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    #[cfg(unix)]
    pub(crate) fn systemd(&self) -> Option<&super::Systemd> {
        self.systemd.as_ref()
    }

    /// Gives room back that an elastic pool did not need of late.
    pub(crate) fn shrink(&self) {
        self.elastic.shrink(&mut self.hand());
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

    /// Lets a job go whose lease is lost. Answers what is told of it; nothing if it has ended by itself.
    pub(crate) fn lose(&self, key: &HoldKey) -> Option<JobEvent> {
        let mut hand = self.hand();
        let of = |taken: &Taken| {
            let kind = Envelope::parse(&taken.envelope).map(|envelope| envelope.kind.into_owned());
            JobEvent::new(JobStep::LeaseLost, self.id_of(taken), kind.unwrap_or_default())
        };
        let waiting = hand.waiting(key).map(of);
        let leash = hand.lose(key)?;
        let entry = || JobId::of_entry(&self.queues[key.queue], key.held.entry);
        let event = leash.noted().cloned().or(waiting);
        Some(event.unwrap_or_else(|| JobEvent::new(JobStep::LeaseLost, entry(), "")))
    }

    /// Keeps what is to be told of a success until the store knows of it.
    pub(super) fn keep_success(&self, key: HoldKey, event: JobEvent) {
        let mut successes = self.successes();
        successes.insert(key, event);
        self.has_successes.store(true, Ordering::Release);
    }

    /// Tells of a success whose end the store knows now, or did not take.
    pub(super) fn tell_success(&self, key: &HoldKey, was_held: bool) {
        if let Some(event) = self.forget_success(key) {
            let step = if was_held { event.step } else { JobStep::LeaseLost };
            self.events.job(|| JobEvent { step, ..event });
        }
    }

    /// Drops what is kept of a success.
    pub(super) fn forget_success(&self, key: &HoldKey) -> Option<JobEvent> {
        if !self.has_successes.load(Ordering::Acquire) {
            return None;
        }
        let mut successes = self.successes();
        let kept = successes.remove(key);
        self.has_successes.store(!successes.is_empty(), Ordering::Release);
        kept
    }

    fn successes(&self) -> MutexGuard<'_, HashMap<HoldKey, JobEvent>> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a suspect may come here now: no other pool of the process has one, or asks for one.
    pub(super) fn claim_suspect(&self) -> bool {
        self.suspect_slot.claim(self.number)
    }

    /// No suspect is here: one may go to another pool.
    pub(super) fn release_suspect(&self) {
        self.emptiness.tell(self.suspect_slot.release(self.number));
    }

    /// The pool has nothing to do, and had nothing when it looked at `moment`. Stops the worker if that holds for all
    /// of its pools.
    pub(super) fn note_empty(&self, moment: u64) {
        if self.emptiness.found(self.number, moment) {
            self.control.stop();
        }
    }

    /// What the store was told may have put jobs into queues, after an exchange that is under way has looked there.
    pub(super) fn note_followers(&self) {
        self.emptiness.note_end();
        if self.exits_when_empty {
            self.hand().look_again();
        }
    }

    /// Whether a queue gives its jobs to workers alone that know their kinds.
    pub(super) fn asks_for_kinds(&self, queue: usize) -> bool {
        self.asking[queue].load(Ordering::Relaxed)
    }

    /// Learns which of its queues do. Answers whether that is new.
    pub(crate) fn note_asking(&self, queues: &[usize]) -> bool {
        let mut is_new = false;
        for (queue, asks) in self.asking.iter().enumerate() {
            let now = queues.contains(&queue);
            is_new |= asks.swap(now, Ordering::Relaxed) != now;
        }
        is_new
    }

    /// Learns when the queues are to be looked at unasked.
    pub(super) fn note_next(&self, next: Option<Duration>) {
        let next = next.map(|after| NextLook {
            #[cfg(feature = "embedded")]
            after,
            at: Instant::now() + after + LOOK_MARGIN,
        });
        *self.next_look.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// How long after the last look something may be taken that a rate or a breaker holds up.
    #[cfg(feature = "embedded")]
    pub(crate) fn next_allowed(&self) -> Option<Duration> {
        let next = *self.next_look.lock().unwrap_or_else(PoisonError::into_inner);
        next.map(|next| next.after)
    }

    /// How long to wait for a mark before the queues are looked at unasked, `max` at most.
    pub(super) fn wait_time(&self, max: Duration) -> Duration {
        let next = *self.next_look.lock().unwrap_or_else(PoisonError::into_inner);
        next.map_or(max, |next| next.at.saturating_duration_since(Instant::now()).clamp(LOOK_MARGIN, max))
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
    pub(crate) async fn until_answered<T, F>(&self, mut call: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T>>,
    {
        let mut backoff = BACKOFF.0;
        let mut outage = None;
        loop {
            match call().await {
                Ok(answer) => {
                    if outage.is_some() {
                        self.recovered.notify_waiters();
                    }
                    return answer;
                }
                Err(error) => {
                    outage.get_or_insert_with(|| Outage::begin(self, &error));
                    // Once another call is answered this one may be, too.
                    let _ = tokio::time::timeout(backoff, self.recovered.notified()).await;
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
