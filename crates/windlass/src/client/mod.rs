//! The client: pushes jobs and hands out what looks at them.

mod buffer;
mod changes;
mod check;
mod handle;
mod many;
mod options;
mod pusher;
mod results;
mod send;
mod spread;

#[cfg(feature = "embedded")]
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "embedded")]
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
#[cfg(feature = "embedded")]
use std::time::SystemTime;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use windlass_conn::Connection;

use crate::broker::{Broker, Due, again};
use crate::config::Config;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::event::{Bus, JobEvent, Subscription};
use crate::id::JobId;
use crate::inspector::Inspector;
use crate::job::Pushable;
use crate::limit::Limits;
use crate::middleware::{PushChain, PushMiddleware};
use crate::name::check_name;
#[cfg(feature = "embedded")]
use crate::testing::Drainer;

pub use buffer::Buffered;
pub use changes::ProgressChanges;
pub use handle::Handle;
pub(crate) use handle::{split_record, state_of};
pub use options::{KEY_LEN_MAX, Push};
pub(crate) use options::{epoch_ms, ms as whole_ms};
pub use pusher::QUEUE_RULES_AGE_MAX;
pub use send::{AHEAD_BYTES_MAX, AHEAD_JOBS_MAX};

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
    /// What sees every push, for a client that has any.
    chain: Option<Arc<PushChain>>,
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
    buffer: Option<buffer::Buffer>,
    /// What runs the jobs of a test as they are pushed.
    #[cfg(feature = "embedded")]
    inline: OnceLock<Weak<Drainer>>,
    /// The time that a test has made.
    #[cfg(feature = "embedded")]
    now: OnceLock<Arc<Mutex<SystemTime>>>,
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
        again(|| check::store(&broker)).await?;
        let pusher = pusher::Pusher::new(broker.clone());
        let results = results::Results::new(broker.clone());
        let buffer = buffer::Buffer::of(&config, &broker, &pusher);
        let inner = Inner {
            buffer,
            broker,
            config,
            pusher,
            results,
            #[cfg(feature = "embedded")]
            inline: OnceLock::new(),
            #[cfg(feature = "embedded")]
            now: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner), chain: None })
    }

    /// The same client with a middleware more, which sees every job before it is pushed, by this client, its clones
    /// and the workers made from it.
    #[must_use]
    pub fn middleware(self, middleware: impl PushMiddleware) -> Self {
        let chain = self.chain.as_deref().cloned().unwrap_or_default().with(middleware);
        Self { chain: Some(Arc::new(chain)), ..self }
    }

    /// Calls a function with every [`JobEvent`] of this client's pushes and of the workers made from it. It must not
    /// block.
    pub fn on_job_event(&self, listener: impl Fn(&JobEvent) + Send + Sync + 'static) {
        self.bus().listen(listener);
    }

    /// Gathers what happens from now on to this client's jobs and workers, up to `bound` events.
    ///
    /// ```
    /// # async fn example(client: windlass::Client) {
    /// use windlass::News;
    ///
    /// let mut events = client.subscribe(1000);
    /// while let Some(news) = events.next().await {
    ///     match news {
    ///         News::Job(event) => println!("{event}"),
    ///         News::Worker(event) => println!("{event}"),
    ///         News::Missed(count) => println!("too slow, {count} events are gone"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn subscribe(&self, bound: usize) -> Subscription {
        self.bus().subscribe(bound)
    }

    /// Runs jobs as they are pushed, from now on.
    #[cfg(feature = "embedded")]
    pub(crate) fn run_inline(&self, drainer: &Arc<Drainer>) {
        // The drainer has this client: whoever holds the sandbox holds both.
        self.inner.inline.get_or_init(|| Arc::downgrade(drainer));
    }

    /// Goes by the time of a test, from now on.
    #[cfg(feature = "embedded")]
    pub(crate) fn go_by(&self, now: &Arc<Mutex<SystemTime>>) {
        self.inner.now.get_or_init(|| now.clone());
    }

    /// What is to be done after every push: nothing, outside of tests.
    async fn after_push(&self) -> Result<()> {
        #[cfg(feature = "embedded")]
        if let Some(drainer) = self.inner.inline.get().and_then(Weak::upgrade) {
            // Boxed, since what is drained may push by this very function.
            let draining: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(drainer.drain());
            draining.await?;
        }
        Ok(())
    }

    pub(crate) fn bus(&self) -> &Arc<Bus> {
        self.inner.broker.bus()
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
        let sent = self.send(queue, envelope, &options).await?;
        Ok(Handle::pushed_by(self.clone(), sent, keeps_result))
    }

    /// Pushes a job whose type is not known here.
    ///
    /// ```no_run
    /// # use windlass::{Client, Push};
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let args = serde_json::value::to_raw_value(&serde_json::json!({ "name": "Ada" }))?;
    /// let handle = client.push_raw("greet", &args, Push::new().key("welcome-17")).await?;
    /// println!("{} ({:?})", handle.id(), handle.pushed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`push_with`](Self::push_with).
    pub async fn push_raw(
        &self,
        kind: &str,
        args: &RawValue,
        options: Push,
    ) -> Result<Handle<Box<RawValue>>> {
        let mut envelope = Envelope::new(kind, args);
        options.apply(&mut envelope);
        let keeps_result = envelope.result.is_some();
        let sent = self.send(options.queue.as_deref().unwrap_or("default"), envelope, &options).await?;
        Ok(Handle::pushed_by(self.clone(), sent, keeps_result))
    }

    /// What waits in this process for the store to be back; nothing without [`Config::buffer_jobs`].
    ///
    /// ```no_run
    /// # use windlass::{Client, Config, Connection};
    /// # use std::time::Duration;
    /// # async fn example() -> windlass::Result<()> {
    /// let config = Config { buffer_jobs: 10_000, ..Config::default() };
    /// let client = Client::with_config(Connection::open("redis://store").await?, config).await?;
    /// // At the end of the process:
    /// let left = client.flush(Duration::from_secs(5)).await;
    /// if left.jobs > 0 {
    ///     eprintln!("{} jobs were not sent: {}", left.jobs, left.error.unwrap_or_default());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn buffered(&self) -> Buffered {
        self.inner.buffer.as_ref().map(buffer::Buffer::look).unwrap_or_default()
    }

    /// Waits until nothing is buffered any more, for `time` at most; answers what is left. Call it before the process
    /// ends: what is buffered is lost with it.
    pub async fn flush(&self, time: std::time::Duration) -> Buffered {
        if let Some(buffer) = &self.inner.buffer {
            buffer.flush(time).await;
        }
        self.buffered()
    }

    /// A handle of a job by its id.
    pub fn handle<T: DeserializeOwned>(&self, id: JobId) -> Handle<T> {
        Handle::of(self.clone(), id)
    }

    /// What sets the rules of the namespace: caps, rates, weights, order, pauses of kinds.
    pub fn limits(&self) -> Limits {
        Limits::new(self.clone())
    }

    /// Makes a queue known to the store and answers whether a limit keeps pushes out when it is full.
    pub(crate) async fn know(&self, queue: &str) -> crate::Result<bool> {
        self.inner.pusher.know(queue).await
    }

    /// Has the rules of queues read anew before the next push.
    pub(crate) fn forget_rules(&self) {
        self.inner.pusher.forget_rules();
    }

    /// What sees every push, if there is anything.
    pub(crate) fn watchers(&self) -> Option<&PushChain> {
        self.chain.as_deref()
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.inner.broker
    }

    /// Writes an envelope and checks its names and its size.
    pub(crate) fn encode(
        &self,
        queue: &str,
        mut envelope: Envelope<'_, impl Serialize>,
        options: &Push,
    ) -> Result<Encoded> {
        check_name("kind", &envelope.kind)?;
        options.check()?;
        crate::tag::check(&envelope)?;
        #[cfg(feature = "embedded")]
        if let Some(now) = self.inner.now.get() {
            let now = *now.lock().unwrap_or_else(PoisonError::into_inner);
            envelope.expires = options.expiry_by(&envelope, now).or(envelope.expires);
        }
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
        self.inner.config.check_envelope(&envelope.kind, &bytes)?;
        Ok(Encoded { bytes, lock, due: options.due })
    }
}

/// A job as it is sent: its envelope, the name of its lock if it is unique, and when it is due.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    lock: String,
    due: Option<Due>,
}

impl Encoded {
    /// The same with its own time, for one of a bulk load that is spread.
    fn spread(self, dealt: Option<Option<Due>>) -> Self {
        Self { due: dealt.unwrap_or(self.due), ..self }
    }
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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
