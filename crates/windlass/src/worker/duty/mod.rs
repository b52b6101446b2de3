//! The worker's own thread: a small runtime with its own connection.
//!
//! It shows that the worker lives, renews its leases, and does what every worker does beside running jobs: the
//! services. `drain` stops the worker. A job that blocks the user's runtime holds none of this up.

mod drain;

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, LocalSet};

use super::{PhaseReceiver, Shared, Summary, executor, identity, wait};
use crate::broker::{Broker, again, array, text};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{Event, JobEvent, JobStep, Subscription};
use crate::id::JobId;
use crate::service;

/// How long the list of all queues is used before it is read again.
const QUEUES_AGE_MAX: Duration = Duration::from_secs(5);

/// What the tasks of the worker's thread share.
pub(crate) struct Duty {
    /// The first pool, which stands for all of them where they have something in common.
    pub(crate) shared: Arc<Shared>,
    /// Every pool of the worker.
    pub(crate) pools: Vec<Arc<Shared>>,
    /// The moves on a connection of this thread.
    pub(crate) broker: Broker,
    pub(crate) config: Config,
    pub(crate) started_at_ms: u64,
    queues: Mutex<(Option<Instant>, Vec<String>)>,
    /// What is written of single jobs, when the worker was asked to.
    pub(crate) record: Option<Record>,
}

/// Events on their way to the store.
pub(crate) struct Record {
    pub(crate) events: Mutex<Subscription>,
    /// Held while some are written, so that the last call of a worker waits for the one before it.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// How many the store keeps.
    pub(crate) max: u64,
}

/// Runs a worker on this thread until it has stopped; jobs run on `runtime`, where `waiters`, one for each pool, belong,
/// too.
pub(super) fn run(pools: Vec<Arc<Shared>>, waiters: Vec<Broker>, runtime: &Handle) -> Result<Summary> {
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = LocalSet::new().block_on(&own, live(pools, waiters, runtime));
    own.shutdown_background();
    summary
}

async fn live(pools: Vec<Arc<Shared>>, waiters: Vec<Broker>, runtime: &Handle) -> Result<Summary> {
    let duty = Rc::new(Duty::begin(pools).await?);
    // A worker is listed before it takes anything: one without a beat would be taken for dead. Then it
    // takes back at once what ended workers of this machine held, rather than wait for their leases.
    again(|| service::heartbeat::beat(&duty)).await?;
    again(|| service::rescuer::rescue(&duty)).await?;
    again(|| service::kinds::tell(&duty)).await?;
    for pool in &duty.pools {
        duty.emit(Event::Started {
            worker: pool.worker.clone(),
            queues: pool.queues.iter().map(ToString::to_string).collect(),
        });
    }
    let mut tasks = AbortOnDrop(service::start(&duty, runtime));
    let mut waiting = Vec::with_capacity(waiters.len());
    for (pool, waiter) in duty.pools.iter().zip(waiters) {
        for _ in 0..pool.concurrency {
            tasks.0.push(runtime.spawn(executor::execute(pool.clone())).abort_handle());
        }
        let wait = crate::task::spawn_on(runtime, wait::wait_all(pool.clone(), waiter));
        tasks.0.push(wait.abort_handle());
        waiting.push(wait);
    }
    duty.shared.control.open();
    drain::when_told(&duty, waiting).await;
    drop(tasks);
    let summary = duty.shared.summary().clone();
    Ok(summary)
}

/// Tasks that end with the worker.
struct AbortOnDrop(Vec<AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Duty {
    /// Begins the duties of a worker with these pools, on a connection of their own.
    pub(crate) async fn begin(pools: Vec<Arc<Shared>>) -> Result<Self> {
        let shared = pools.first().cloned().ok_or(Error::Stopped("the worker's last pool"))?;
        let broker = again(|| shared.broker.session()).await?;
        for queue in pools.iter().flat_map(|pool| &pool.queues) {
            again(|| broker.add_queue(queue)).await?;
        }
        let (config, started_at_ms) = (shared.client.config().clone(), super::local_now_ms());
        let record = shared.record_max.map(|max| {
            let events = shared.client.subscribe(service::recorder::WAITING_MAX);
            Record { events: Mutex::new(events), writing: tokio::sync::Mutex::default(), max }
        });
        Ok(Self { shared, pools, broker, config, started_at_ms, queues: Mutex::default(), record })
    }

    /// Tells systemd, if it waits for word. What it does not hear it asks for in its own way.
    pub(crate) fn notify(&self, word: &str) {
        #[cfg(unix)]
        if let Some(systemd) = self.shared.systemd()
            && let Err(error) = systemd.send(word)
        {
            tracing::warn!(target: "windlass", "systemd cannot be told {word}: {error}");
        }
        #[cfg(not(unix))]
        let _ = word;
    }

    /// Within which time systemd wants to hear that the worker lives.
    #[cfg(unix)]
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        self.shared.systemd()?.watchdog
    }

    fn queues(&self) -> MutexGuard<'_, (Option<Instant>, Vec<String>)> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.shared.events.emit(event);
    }

    /// Tells of jobs that died in the store, if anybody hears of single jobs.
    pub(crate) async fn tell_dead(&self, ids: &[JobId]) {
        if !self.shared.events.hears_jobs() {
            return;
        }
        let inspector = self.shared.client.inspector();
        for id in ids {
            // One of which nothing can be read any more has died all the same.
            let job = inspector.show(id).await.ok().flatten();
            let (kind, history) = job.map(|job| (job.kind, job.history)).unwrap_or_default();
            self.shared.events.job(|| JobEvent {
                message: history.reason,
                ..JobEvent::new(JobStep::Dead, id.clone(), kind).attempt(history.attempts)
            });
        }
    }

    pub(crate) fn phase(&self) -> PhaseReceiver {
        self.shared.control.phase()
    }

    /// The kinds that this worker runs, each with its version.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.shared.kinds.versions()
    }

    /// The names of all queues of the namespace, not much older than [`QUEUES_AGE_MAX`].
    pub(crate) async fn all_queues(&self) -> Result<Vec<String>> {
        if let (Some(read_at), queues) = &*self.queues()
            && read_at.elapsed() < QUEUES_AGE_MAX
        {
            return Ok(queues.clone());
        }
        let answer = self.broker.send(redis::cmd("SMEMBERS").arg(self.broker.keys().queues())).await?;
        let mut queues = array(answer)?.into_iter().map(text).collect::<Result<Vec<_>>>()?;
        // Somebody may have had it forgotten just before this worker was seen: what it has there is to be found.
        for queue in self.pools.iter().flat_map(|pool| &pool.queues) {
            if !queues.iter().any(|known| **known == **queue) {
                self.broker.add_queue(queue).await?;
                queues.push(queue.to_string());
            }
        }
        queues.sort();
        *self.queues() = (Some(Instant::now()), queues.clone());
        Ok(queues)
    }

    /// Makes queues known that turned up by themselves, and has the list read again.
    pub(crate) async fn learn_queues(&self, queues: &[String]) -> Result<()> {
        for queue in queues {
            self.broker.add_queue(queue).await?;
        }
        self.queues().0 = None;
        Ok(())
    }

    /// Whether the process of a worker on this machine is known to have ended.
    pub(crate) fn has_ended(&self, worker: &str) -> bool {
        self.pools.iter().all(|pool| worker != pool.worker) && identity::has_ended(worker)
    }

    /// The name of this machine.
    pub(crate) fn host_name(&self) -> String {
        identity::host_name()
    }
}
