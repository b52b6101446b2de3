//! Runs what is due, in the task of whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event::{JobEvent, JobStep, News, Subscription};
use crate::service;
use crate::worker::{self, Duty, Shared, Worker};

/// Most jobs that one drain runs.
pub const DRAIN_JOBS_MAX: usize = 10_000;

/// Most events that one drain keeps; of more, the last ones are kept.
const EVENTS_MAX: usize = 100_000;

/// What a [drain](super::Sandbox::drain) did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Drained {
    /// Every step of every job, in order: the runs, and what was pushed meanwhile.
    pub events: Vec<JobEvent>,
    /// How long until something is due again: a delayed job or a retry, a cron entry, what a rate or an open breaker holds
    /// up, jobs whose worker was [lost](super::Sandbox::abandon), a parked job that dies.
    pub next_due: Option<Duration>,
}

impl Drained {
    /// How many jobs succeeded.
    pub fn completed(&self) -> usize {
        self.count(JobStep::Completed)
    }

    /// How many attempts failed.
    pub fn failed(&self) -> usize {
        self.count(JobStep::Failed)
    }

    /// How often that happened.
    pub fn count(&self, step: JobStep) -> usize {
        self.events.iter().filter(|event| event.step == step).count()
    }

    pub(super) fn add(&mut self, later: Self) {
        self.events.extend(later.events);
        self.next_due = later.next_due;
    }
}

/// The worker of a sandbox.
pub(crate) struct Drainer {
    duty: Duty,
    is_draining: AtomicBool,
    #[cfg(feature = "cron")]
    told: service::cron::Told,
}

/// Lets others drain when this drain has ended, however it ended.
struct Draining<'a>(&'a AtomicBool);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drainer {
    pub(super) async fn begin(pools: Vec<Arc<Shared>>) -> Result<Self> {
        let duty = Duty::begin(pools).await?;
        Ok(Self {
            duty,
            is_draining: AtomicBool::new(false),
            #[cfg(feature = "cron")]
            told: Default::default(),
        })
    }

    /// Runs what is due, until nothing is. A drain within a drain does nothing: the outer one goes on until all is done.
    pub(crate) async fn drain(&self) -> Result<Drained> {
        if self.is_draining.swap(true, Ordering::AcqRel) {
            return Ok(Drained::default());
        }
        let _draining = Draining(&self.is_draining);
        let mut events = self.duty.shared.client.subscribe(EVENTS_MAX);
        service::heartbeat::beat(&self.duty).await?;
        let mut ran = 0;
        loop {
            let due = self.serve().await?;
            let before = ran;
            for pool in &self.duty.pools {
                ran += worker::drain(pool, DRAIN_JOBS_MAX - ran).await;
            }
            if ran == before {
                let next_due =
                    [due, self.next_allowed(), self.next_lapse().await?].into_iter().flatten().min();
                return Ok(Drained { events: gather(&mut events), next_due });
            }
            if ran >= DRAIN_JOBS_MAX {
                return Err(Error::Unsupported(format!(
                    "more than {DRAIN_JOBS_MAX} jobs ran in one drain; a job pushes itself, or is snoozed for no time"
                )));
            }
        }
    }

    /// Does what the services of a worker do by the clock. Answers how long until something is due.
    async fn serve(&self) -> Result<Option<Duration>> {
        let duty = &self.duty;
        service::rescuer::rescue(duty).await?;
        service::unparker::unpark(duty, &duty.kinds()).await?;
        while service::pruner::prune(duty).await? > 0 {}
        #[cfg(feature = "cron")]
        let cron = service::cron::fire(duty, &self.told).await?;
        #[cfg(not(feature = "cron"))]
        let cron = None;
        let jobs = loop {
            match service::scheduler::promote(duty).await? {
                Some(Duration::ZERO) => {}
                next => break next,
            }
        };
        Ok([cron, jobs].into_iter().flatten().min())
    }

    /// How long until a rate or a breaker lets something go on.
    fn next_allowed(&self) -> Option<Duration> {
        self.duty.pools.iter().filter_map(|pool| pool.next_allowed()).min()
    }

    /// How long until the lease of a lost worker or the time of a parked job is over.
    async fn next_lapse(&self) -> Result<Option<Duration>> {
        let Duty { broker, config, .. } = &self.duty;
        let mut next = broker.parked_left(config).await?;
        for queue in self.duty.all_queues().await? {
            let left = broker.lease_left(&queue, config.lease).await?;
            next = [next, left].into_iter().flatten().min();
        }
        Ok(next)
    }
}

/// Runs what is due on any store with a worker that is new, in the task of whoever asks: its calls come in the same order
/// each time, so that a test of Windlass's own can let it die at any of them.
///
/// # Errors
/// As [`Sandbox::drain`](super::Sandbox::drain).
#[doc(hidden)]
pub async fn drain(worker: Worker) -> Result<Drained> {
    let worker = worker.validated()?;
    worker.put_crons().await?;
    let broker = worker.client().broker().session().await?;
    Drainer::begin(Shared::pools(worker, broker)).await?.drain().await
}

fn gather(events: &mut Subscription) -> Vec<JobEvent> {
    let jobs = |news| match news {
        News::Job(event) => Some(event),
        _ => None,
    };
    std::iter::from_fn(|| events.try_next()).filter_map(jobs).collect()
}
