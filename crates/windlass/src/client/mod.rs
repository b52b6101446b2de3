//! The client: pushes jobs and hands out what looks at them.

mod check;
mod handle;
mod options;
mod pusher;
mod results;

use std::sync::Arc;
use std::task::Poll;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use windlass_conn::Connection;

use crate::broker::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, Broker, Single};
use crate::config::Config;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::inspector::Inspector;
use crate::job::Pushable;
use crate::limit::Limits;
use crate::name::check_name;
use crate::unique::Pushed;

pub use handle::Handle;
pub(crate) use handle::{split_record, state_of};
pub(crate) use options::epoch_ms;
pub use options::{KEY_LEN_MAX, Push};
pub use pusher::QUEUE_RULES_AGE_MAX;

/// Pushes jobs into one namespace of a store. A clone is the same client; pushes of many tasks on one
/// client travel together.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use windlass::{Client, Context, Job, Outcome, Push};
/// # use std::time::Duration;
/// # #[derive(Serialize, Deserialize)]
/// # struct Greet { name: String }
/// # impl Job for Greet {
/// #     const KIND: &'static str = "greet";
/// #     type Output = ();
/// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
/// # }
/// # async fn example() -> windlass::Result<()> {
/// let client = Client::open("data").await?;
/// client.push(Greet { name: "Ada".into() }).await?;
/// let later = Push::new().delay(Duration::from_secs(60)).key("greet-bob");
/// let handle = client.push_with(Greet { name: "Bob".into() }, later).await?;
/// println!("{} is {:?}", handle.id(), handle.state().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.inner.config.namespace).finish()
    }
}

struct Inner {
    broker: Broker,
    config: Config,
    pusher: pusher::Pusher,
    results: results::Results,
}

impl Client {
    /// Opens the store that `url` names (a directory, `memory:`, `redis://…`), with default settings.
    ///
    /// # Errors
    /// When the store cannot be opened or is not fit.
    pub async fn open(url: &str) -> Result<Self> {
        Self::with_config(Connection::open(url).await?, Config::default()).await
    }

    /// A client on a connection, with default settings.
    ///
    /// # Errors
    /// When the store is not fit.
    pub async fn new(connection: Connection) -> Result<Self> {
        Self::with_config(connection, Config::default()).await
    }

    /// A client on a connection.
    ///
    /// # Errors
    /// When a setting cannot be used, or the store is not fit: older than Redis 6.2, or with a layout of
    /// another version.
    pub async fn with_config(connection: Connection, config: Config) -> Result<Self> {
        config.validate()?;
        let broker = Broker::new(connection, &config)?;
        check::store(&broker).await?;
        let pusher = pusher::Pusher::new(broker.clone());
        let results = results::Results::new(broker.clone());
        Ok(Self { inner: Arc::new(Inner { broker, config, pusher, results }) })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        self.inner.broker.connection()
    }

    /// What looks at jobs and queues, and manages them.
    pub fn inspector(&self) -> Inspector {
        Inspector::new(self.clone())
    }

    /// What manages the cron entries of the namespace.
    #[cfg(feature = "cron")]
    pub fn cron(&self) -> crate::cron::Crontab {
        crate::cron::Crontab::new(self.clone())
    }

    /// Pushes a job as its kind says.
    ///
    /// # Errors
    /// When the job is too large, or the store fails. Then it may have been pushed all the same; use a
    /// [`key`](Push::key) where a duplicate hurts.
    pub async fn push<Style, J: Pushable<Style>>(&self, job: J) -> Result<Handle<J::Output>> {
        self.push_with(job, Push::new()).await
    }

    /// Pushes a job with options.
    ///
    /// # Errors
    /// As [`push`](Self::push), and when a name among the options cannot be part of a key.
    pub async fn push_with<Style, J: Pushable<Style>>(
        &self,
        job: J,
        options: Push,
    ) -> Result<Handle<J::Output>> {
        let envelope = envelope_of(&job, &options);
        let keeps_result = envelope.result.is_some();
        let queue = options.queue.as_deref().unwrap_or(J::QUEUE);
        let (id, pushed) = self.send(queue, envelope, &options).await?;
        Ok(Handle::pushed_by(self.clone(), id, keeps_result, pushed))
    }

    /// Pushes a job whose type is not known here.
    ///
    /// # Errors
    /// As [`push_with`](Self::push_with).
    pub async fn push_raw(&self, kind: &str, args: &RawValue, options: Push) -> Result<JobId> {
        let mut envelope = Envelope::new(kind, args);
        options.apply(&mut envelope);
        Ok(self.send(options.queue.as_deref().unwrap_or("default"), envelope, &options).await?.0)
    }

    /// Pushes any number of jobs of one type in few calls and little memory. Answers how many.
    ///
    /// # Errors
    /// When a job is too large, or the store fails; jobs before it have been pushed, and perhaps some of the
    /// thousand after it.
    pub async fn push_many<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Result<u64> {
        self.push_many_with(jobs, Push::new()).await
    }

    /// Pushes any number of jobs of one type with the same options; a key among them is an error. Of
    /// [unique](Push::unique) jobs those are not counted that were there already.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many).
    pub async fn push_many_with<Style, J: Pushable<Style>>(
        &self,
        jobs: impl IntoIterator<Item = J>,
        options: Push,
    ) -> Result<u64> {
        let queue = options.queue.as_deref().unwrap_or(J::QUEUE);
        let jobs = jobs.into_iter().map(|job| self.encode(queue, envelope_of(&job, &options), &options));
        self.push_encoded(queue, jobs, &options).await
    }

    /// Pushes any number of jobs whose type is not known here. Answers how many.
    ///
    /// # Errors
    /// As [`push_many`](Self::push_many).
    pub async fn push_many_raw<'a>(
        &self,
        kind: &str,
        args: impl IntoIterator<Item = &'a RawValue>,
        options: Push,
    ) -> Result<u64> {
        let queue = options.queue.as_deref().unwrap_or("default");
        let jobs = args.into_iter().map(|args| {
            let mut envelope = Envelope::new(kind, args);
            options.apply(&mut envelope);
            self.encode(queue, envelope, &options)
        });
        self.push_encoded(queue, jobs, &options).await
    }

    /// A handle of a job by its id.
    pub fn handle<T: DeserializeOwned>(&self, id: JobId) -> Handle<T> {
        Handle::of(self.clone(), id)
    }

    /// What sets the rules of the namespace: caps, rates, weights, order, pauses of kinds.
    pub fn limits(&self) -> Limits {
        Limits::new(self.clone())
    }

    /// Has the rules of queues read anew before the next push.
    pub(crate) fn forget_rules(&self) {
        self.inner.pusher.forget_rules();
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.inner.broker
    }

    pub(crate) async fn send(
        &self,
        queue: &str,
        envelope: Envelope<'_, impl Serialize>,
        options: &Push,
    ) -> Result<(JobId, Pushed)> {
        check_name("queue", queue)?;
        if options.key.as_ref().is_some_and(|key| key.len() > KEY_LEN_MAX) {
            return Err(Error::Config(vec![format!("the key has more than {KEY_LEN_MAX} bytes")]));
        }
        // The first job of a chain has it from its step.
        let lane = envelope.lane.as_deref().cloned();
        let Encoded { bytes, lock } = self.encode(queue, envelope, options)?;
        let Inner { broker, config, pusher, .. } = &*self.inner;
        let ttl = options.key_ttl.unwrap_or(config.key_ttl);
        if let Some(unique) = &options.unique {
            pusher.know(queue).await?;
            let job = Single { lock: &lock, envelope: &bytes };
            let mut pushed = broker.push_unique(queue, unique.rule(), options.due, &[job]).await?;
            return match pushed.pop().ok_or(Error::Answer("push_unique gave no id"))? {
                (id, Pushed::Kept) if unique.refuses() => Err(Error::Duplicate(id)),
                pushed => Ok(pushed),
            };
        }
        match (&options.key, options.due) {
            (None, None) => Ok((pusher.push(queue, lane, bytes).await?, Pushed::New)),
            (Some(key), due) => {
                pusher.know(queue).await?;
                let answer = match due {
                    None => broker.push_once(queue, key, ttl, &bytes).await,
                    Some(due) => broker.schedule_once(queue, key, ttl, due, &bytes).await,
                };
                answer.map(|(id, is_new)| (id, if is_new { Pushed::New } else { Pushed::Kept }))
            }
            (None, Some(due)) => {
                pusher.know(queue).await?;
                let mut ids = broker.schedule(queue, &[(due, bytes)]).await?;
                Ok((ids.pop().ok_or(Error::Answer("schedule gave no id"))?, Pushed::New))
            }
        }
    }

    /// Sends encoded jobs in batches: the next one is gathered and sent while the last is under way.
    async fn push_encoded(
        &self,
        queue: &str,
        jobs: impl Iterator<Item = Result<Encoded>>,
        options: &Push,
    ) -> Result<u64> {
        check_name("queue", queue)?;
        if options.key.is_some() {
            return Err(Error::Config(vec!["a key names one job, it cannot be given to many".into()]));
        }
        let is_limited = self.inner.pusher.know(queue).await?;
        let mut jobs = jobs.peekable();
        let mut pushed = 0;
        let mut last = None;
        loop {
            let batch = gather(&mut jobs)?;
            let next = if batch.is_empty() {
                None
            } else {
                Some(sent(self.push_batch(queue, batch, options, is_limited)).await)
            };
            let is_done = next.is_none();
            if let Some(last) = std::mem::replace(&mut last, next) {
                pushed += last.await?;
            }
            if is_done {
                return Ok(pushed);
            }
        }
    }

    async fn push_batch(
        &self,
        queue: &str,
        batch: Vec<Encoded>,
        options: &Push,
        is_limited: bool,
    ) -> Result<u64> {
        let broker = &self.inner.broker;
        if let Some(unique) = &options.unique {
            let jobs: Vec<_> =
                batch.iter().map(|job| Single { lock: &job.lock, envelope: &job.bytes }).collect();
            let pushed = broker.push_unique(queue, unique.rule(), options.due, &jobs).await?;
            return Ok(pushed.iter().filter(|(_, pushed)| *pushed != Pushed::Kept).count() as u64);
        }
        match options.due {
            None if is_limited => {
                let lane = (!options.lane.is_plain()).then_some(&options.lane);
                let jobs: Vec<_> = batch.iter().map(|job| (lane, job.as_ref())).collect();
                let limited = broker.push_limited(queue, &jobs).await?;
                if limited.ids.len() < batch.len() {
                    return Err(limited.error(queue));
                }
            }
            None if !options.lane.is_plain() => {
                let jobs: Vec<_> = batch.iter().map(|job| (&options.lane, job.as_ref())).collect();
                broker.push_lane_bulk(queue, &jobs).await?;
            }
            None => broker.push_bulk(queue, &batch).await?,
            Some(due) => {
                let jobs: Vec<_> = batch.iter().map(|job| (due, job)).collect();
                broker.schedule(queue, &jobs).await.map(drop)?;
            }
        }
        Ok(batch.len() as u64)
    }

    /// Writes an envelope and checks its names and its size.
    pub(crate) fn encode(
        &self,
        queue: &str,
        mut envelope: Envelope<'_, impl Serialize>,
        options: &Push,
    ) -> Result<Encoded> {
        check_name("kind", &envelope.kind)?;
        options.lane.check()?;
        let mut lock = String::new();
        if let Some(unique) = &options.unique {
            if options.key.is_some() {
                return Err(Error::Config(vec!["a job has a key or is unique, not both".into()]));
            }
            let args = serde_json::value::to_raw_value(&envelope.args)?;
            lock = unique.lock(queue, &envelope.kind, &args)?;
            envelope.unique = unique.ends_with_job().then(|| lock.clone());
        }
        let bytes = envelope.to_bytes()?;
        self.inner.config.check_payload(&envelope.kind, bytes.len())?;
        Ok(Encoded { bytes, lock })
    }
}

/// A job as it is sent: its envelope, and the name of its lock if it is unique.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    lock: String,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Takes the jobs of one call: within its bounds, but at least one while there are any.
pub(crate) fn gather(
    jobs: &mut std::iter::Peekable<impl Iterator<Item = Result<Encoded>>>,
) -> Result<Vec<Encoded>> {
    let mut batch: Vec<Encoded> = Vec::with_capacity(BATCH_JOBS_MAX);
    let mut bytes = 0;
    while batch.len() < BATCH_JOBS_MAX {
        let fits = |job: &Result<Encoded>| match job {
            Ok(job) => batch.is_empty() || bytes + job.bytes.len() <= BATCH_BYTES_MAX,
            Err(_) => true,
        };
        let Some(job) = jobs.next_if(fits) else { break };
        let job = job?;
        bytes += job.bytes.len();
        batch.push(job);
    }
    Ok(batch)
}

/// Begins a call: polled once, it is on its way, after those that were begun before it. The caller awaits
/// it later, in the same order.
async fn sent<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let mut call = Box::pin(call);
    let mut answer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(ready) = call.as_mut().poll(context) {
            answer = Some(ready);
        }
        Poll::Ready(())
    })
    .await;
    async move {
        match answer {
            Some(answer) => answer,
            None => call.await,
        }
    }
}

/// The envelope of a typed job.
pub(crate) fn envelope_of<'a, Style, J: Pushable<Style>>(job: &'a J, options: &Push) -> Envelope<'a, &'a J> {
    let mut envelope = Envelope::new(J::KIND, job);
    envelope.kv = J::VERSION;
    envelope.max = J::MAX_ATTEMPTS;
    envelope.timeout = J::timeout().map(options::ms);
    envelope.result = J::result_ttl().map(options::ms);
    options.apply(&mut envelope);
    envelope
}
