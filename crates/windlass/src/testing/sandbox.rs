//! The sandbox: what a test holds.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windlass_conn::{Connection, TestClock};

use super::drain::{Drained, Drainer};
use crate::broker::Request;
use crate::client::{Client, Handle, Push};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Pushable;
use crate::name::check_name;
use crate::state::State;
use crate::worker::{Shared, Worker};

/// How long the results of performed jobs are kept.
const RESULT_TTL: Duration = Duration::from_secs(3600);

/// Most jobs that one call has taken and lost.
const ABANDON_MAX: usize = 100;

/// A store in memory, a clock and a worker, for one test. See the [module](crate::testing).
pub struct Sandbox {
    client: Client,
    clock: TestClock,
    now: Arc<Mutex<SystemTime>>,
    drainer: Arc<Drainer>,
}

/// How a job that was [performed](Sandbox::perform) ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Performed<T> {
    /// It succeeded.
    Completed(T),
    /// It did not.
    Failed {
        /// What became of it: retry, scheduled for a snooze, dead, discarded, cancelled, parked.
        state: State,
        /// What went wrong, or why it ended.
        message: String,
    },
}

impl Sandbox {
    /// A fresh store whose clock stands at the present time, and the worker that the function makes for it.
    ///
    /// # Errors
    /// When the worker's settings cannot be used.
    pub async fn new(worker: impl FnOnce(&Client) -> Worker) -> Result<Self> {
        Self::at(SystemTime::now(), worker).await
    }

    /// The same with the clock at a time of your choice.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn at(now: SystemTime, worker: impl FnOnce(&Client) -> Worker) -> Result<Self> {
        Self::with_config(now, Config::default(), worker).await
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when a setting cannot be used.
    pub async fn with_config(
        now: SystemTime,
        config: Config,
        worker: impl FnOnce(&Client) -> Worker,
    ) -> Result<Self> {
        // Whole milliseconds, as jobs have them: then what is due after a second is due after a second.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let (now, clock) = (UNIX_EPOCH + since, TestClock::default());
        clock.advance(since);
        let client = Client::with_config(Connection::memory_with(clock.clone())?, config).await?;
        let worker = worker(&client).validated()?;
        // The worker's client may have middleware that the plain one has not.
        let client = worker.client().clone();
        worker.put_crons().await?;
        let pools = Shared::pools(worker, client.broker().session().await?);
        let drainer = Arc::new(Drainer::begin(pools).await?);
        let now = Arc::new(Mutex::new(now));
        client.go_by(&now);
        Ok(Self { client, clock, now, drainer })
    }

    /// The client: hand it to the code under test.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The time by the store's clock.
    pub fn now(&self) -> SystemTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock on. Nothing runs by that; what is due now runs at the next [`drain`](Self::drain), as with a
    /// worker that was away meanwhile.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        self.clock.advance(by);
    }

    /// Lets time pass as with a worker at work: the clock stops at every moment at which something is due, as
    /// [`Drained::next_due`] says, and what is due runs then; so does what is due at the end.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn pass(&self, time: Duration) -> Result<Drained> {
        let end = self.now() + time;
        let mut all = self.drain().await?;
        loop {
            let left = end.duration_since(self.now()).unwrap_or_default();
            if left.is_zero() {
                return Ok(all);
            }
            self.advance(all.next_due.map_or(left, |next| next.max(Duration::from_millis(1)).min(left)));
            all.add(self.drain().await?);
        }
    }

    /// Runs everything that is due, until nothing is: ready jobs, delayed ones and retries whose time has come, cron
    /// entries, and whatever these jobs push. One job runs after the other, in this task.
    ///
    /// A job that waits for another one to end waits for ever. The time limits of jobs go by tokio's clock and not by
    /// the sandbox's; `tokio::time::pause` moves that.
    ///
    /// # Errors
    /// When more than [`DRAIN_JOBS_MAX`](super::DRAIN_JOBS_MAX) jobs ran, as with a job that pushes itself again.
    pub async fn drain(&self) -> Result<Drained> {
        self.drainer.drain().await
    }

    /// From now on every push of [this client](Self::client) and its clones runs what is due before it answers, so that
    /// the code under test finds its jobs done. What a job pushes runs after it, and jobs of a batch as they are added.
    pub fn run_inline(&self) {
        self.client.run_inline(&self.drainer);
    }

    /// Pushes a job, runs what is due, and answers how the job ended.
    ///
    /// # Errors
    /// As [`drain`](Self::drain) and [`Client::push`].
    pub async fn perform<Style, J: Pushable<Style>>(&self, job: J) -> Result<Performed<J::Output>> {
        let handle = self.client.push_with(job, Push::new().result_ttl(RESULT_TTL)).await?;
        self.drain().await?;
        self.outcome(&handle).await
    }

    async fn outcome<T: serde::de::DeserializeOwned>(&self, handle: &Handle<T>) -> Result<Performed<T>> {
        let state = handle.state().await?.ok_or_else(|| Error::Forgotten(handle.id().clone()))?;
        if state == State::Completed {
            return Ok(Performed::Completed(handle.result().await?));
        }
        let details = self.client.inspector().show(handle.id()).await?;
        let history = details.map(|details| details.history).unwrap_or_default();
        let error = history.errors.last().map(|error| error.message.clone());
        Ok(Performed::Failed { state, message: history.reason.or(error).unwrap_or_default() })
    }

    /// Takes up to a hundred ready jobs of a queue like a worker whose process ends right after it has begun them.
    /// Answers their ids. They run again once the [lease](Config::lease) has passed, one suspect at a time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn abandon(&self, queue: &str) -> Result<Vec<JobId>> {
        check_name("queue", queue)?;
        // The last part is the concurrency: so many of its jobs had begun.
        let consumer = format!("abandoned.0.0.{:x}.{ABANDON_MAX}", crate::random::random());
        let request = Request { consumer: &consumer, count: ABANDON_MAX, may_suspect: false, woken: None };
        let taken = self.client.broker().fetch(&[queue], request).await?;
        Ok(taken.iter().map(|job| job.job_id(queue)).collect())
    }
}
