//! What happens: [`Event`] is what a worker tells about itself, [`JobEvent`] a step of one job. Each is a sentence
//! when displayed.
//!
//! `bus` hands them to whoever listens in this process.

mod bus;
mod job;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{id::JobId, state::State};

pub(crate) use bus::Bus;
pub use bus::{News, Subscription};
pub use job::{JobEvent, JobStep};

/// Something that happened to a worker or a queue. What happens to a worker is also a `tracing` event of the target `windlass`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The worker takes jobs from now on.
    Started {
        /// Its name.
        worker: String,
        /// Its queues.
        queues: Vec<String>,
    },
    /// Jobs that an ended worker had begun run again here.
    Resumed {
        /// How many.
        jobs: usize,
        /// The highest attempt among them.
        attempt: u32,
    },
    /// An attempt did not succeed.
    Failed {
        /// The job.
        id: JobId,
        /// Its kind.
        kind: String,
        /// Which attempt.
        attempt: u32,
        /// What became of the job.
        state: State,
        /// What went wrong.
        message: String,
    },
    /// The lease of a running job was lost: another worker may have it, the result here does not count.
    LeaseLost {
        /// The job.
        id: JobId,
    },
    /// The Rescuer took back jobs of ended workers.
    Recovered {
        /// How many may have ended their process; they run one at a time.
        suspects: usize,
        /// How many had not begun.
        unstarted: usize,
        /// How many ended too many processes and are dead now.
        killed: usize,
    },
    /// A push of the client was refused, because its queue is full by its rule.
    /// [`Client::subscribe`](crate::Client::subscribe) and the stored stream tell of it, and no log: who pushed knows.
    Limited {
        /// The queue.
        queue: String,
        /// The kind of the job, or of the first of several.
        kind: String,
        /// Which part of the rule: `max_jobs` or `max_bytes`.
        rule: String,
        /// How many jobs or bytes it may have, waiting and active.
        limit: u64,
        /// How many it has.
        actual: u64,
    },
    /// Jobs have to wait for a limit. It is told once for as long as there are any: within about a second, by each worker,
    /// and not for one that only keeps the order of its group.
    Held {
        /// The limit, as `queue:mail`, `kind:report` or `key:mail/customer-17`.
        limit: String,
        /// What of its rule they wait for: `cap`, `rate`, `paused` or `breaker`.
        rule: String,
        /// When that may end by itself, in milliseconds since 1970 by the store's clock.
        until_ms: Option<u64>,
    },
    /// A queue was paused by hand.
    QueuePaused {
        /// The queue.
        queue: String,
    },
    /// A paused queue goes on.
    QueueResumed {
        /// The queue.
        queue: String,
    },
    /// A queue was forgotten by hand.
    QueueForgotten {
        /// The queue.
        queue: String,
    },
    /// Times of a cron entry passed while no worker ran, and its policy left some of them out.
    CronMissed {
        /// The entry.
        name: String,
    },
    /// A time of a cron entry was left out, because its last job has not ended.
    CronOverlapped {
        /// The entry.
        name: String,
    },
    /// A middleware did not let the job of a cron entry through; that time is left out.
    CronRefused {
        /// The entry.
        name: String,
        /// Why.
        message: String,
    },
    /// A cron entry is due that this worker cannot use.
    CronUnusable {
        /// The entry.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The store cannot be used at the moment; the worker goes on trying.
    StoreLost {
        /// What it said.
        message: String,
    },
    /// The store can be used again.
    StoreBack,
    /// The process takes more memory than the worker was allowed, which stops.
    Outgrown {
        /// How much it takes, in bytes.
        bytes: u64,
        /// How much it may.
        limit: u64,
    },
    /// No more jobs are taken; running ones go on.
    Quiet,
    /// The worker stops: running jobs may end, within the shutdown timeout.
    Draining,
    /// The worker has stopped.
    Stopped {
        /// Jobs that went back to their queues.
        released: usize,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |n: usize| if n == 1 { "" } else { "s" };
        match self {
            Self::Started { worker, queues } => write!(f, "worker {worker} takes from {}", queues.join(", ")),
            Self::Resumed { jobs, attempt } => write!(f, "{jobs} job{} resumed, attempt {attempt}", s(*jobs)),
            Self::Failed { id, kind, attempt, state, message } => {
                write!(f, "{kind} {id} failed in attempt {attempt}, now {state}: {message}")
            }
            Self::LeaseLost { id } => write!(f, "the lease of {id} was lost"),
            Self::Recovered { suspects, unstarted, killed } => write!(
                f,
                "took back {suspects} begun and {unstarted} waiting job{} of ended workers, {killed} of them dead",
                s(*unstarted)
            ),
            Self::Limited { queue, kind, rule, limit, actual } => {
                write!(
                    f,
                    "a push of {kind} was refused: the {rule} of {queue} is {limit}, and it has {actual}"
                )
            }
            Self::Held { limit, rule, until_ms } => {
                write!(f, "jobs wait for the {rule} of {limit}")?;
                until_ms.iter().try_for_each(|until| write!(f, ", until {until} ms since 1970 at least"))
            }
            Self::QueuePaused { queue } => write!(f, "{queue} is paused"),
            Self::QueueResumed { queue } => write!(f, "{queue} goes on"),
            Self::QueueForgotten { queue } => write!(f, "{queue} is forgotten"),
            Self::CronMissed { name } => write!(f, "the cron entry {name} missed some of its times"),
            Self::CronOverlapped { name } => {
                write!(f, "the cron entry {name} left a time out, its last job has not ended")
            }
            Self::CronRefused { name, message } => {
                write!(f, "the cron entry {name} pushed nothing this time: {message}")
            }
            Self::CronUnusable { name, message } => {
                write!(f, "the cron entry {name} is due and cannot be used here: {message}")
            }
            Self::StoreLost { message } => write!(f, "the store cannot be used, trying again: {message}"),
            Self::StoreBack => f.write_str("the store can be used again"),
            Self::Outgrown { bytes, limit } => {
                write!(f, "the process takes {bytes} bytes, more than the {limit} of memory_max")
            }
            Self::Quiet => f.write_str("quiet: no more jobs are taken"),
            Self::Draining => f.write_str("stopping: running jobs may end"),
            Self::Stopped { released } => write!(f, "stopped, {released} job{} given back", s(*released)),
        }
    }
}

type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Where events of a worker go: to `tracing`, to the user's functions, and to the bus of its client.
#[derive(Clone)]
pub(crate) struct Events {
    listeners: Vec<Listener>,
    bus: Arc<Bus>,
}

impl Events {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { listeners: Vec::new(), bus }
    }

    pub(crate) fn listen(&mut self, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.listeners.push(Arc::new(listener));
    }

    pub(crate) fn emit(&self, event: Event) {
        match &event {
            Event::Failed { .. }
            | Event::LeaseLost { .. }
            | Event::CronMissed { .. }
            | Event::CronOverlapped { .. }
            | Event::CronRefused { .. }
            | Event::CronUnusable { .. }
            | Event::Outgrown { .. }
            | Event::StoreLost { .. } => {
                tracing::warn!(target: "windlass", "{event}");
            }
            _ => tracing::info!(target: "windlass", "{event}"),
        }
        for listener in &self.listeners {
            // It runs where a job is told of or a lease is renewed; neither may end by a panic of the user's.
            if catch_unwind(AssertUnwindSafe(|| listener(&event))).is_err() {
                tracing::error!(target: "windlass", "a listener panicked at: {event}");
            }
        }
        self.bus.tell_worker(&event);
    }

    /// Whether somebody hears of single jobs.
    pub(crate) fn hears_jobs(&self) -> bool {
        self.bus.is_heard()
    }

    /// Tells of a step of a job, which is only made when somebody hears of it.
    pub(crate) fn job(&self, event: impl FnOnce() -> JobEvent) {
        if self.bus.is_heard() {
            self.bus.tell_job(event());
        }
    }
}
