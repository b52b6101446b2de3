//! The worker: takes jobs from its queues and runs them.
//!
//! A worker has one pool of its own and one for each `capsule`; a pool is a worker by itself to the store, with a name
//! and leases of its own, and all of them share a process, its services and its connections (`pool`). `hand` is what a
//! pool holds, plain data. `executor` runs jobs on the user's runtime and exchanges ended ones for new ones with the
//! store; `attempt` is one run of a job, `drive` keeps it within its limits and `panic` catches its panics, `fail` tells of one that did not succeed,
//! `wait` waits for wake marks, `blocking` has threads for jobs that block, `process` runs those that are programs, which
//! `keeper` ends when this process is gone. `duty` is the thread that Windlass keeps for
//! itself, with its own small runtime and connection: it renews leases, so that a job which blocks the user's runtime
//! does not lose its own.

mod attempt;
mod blocking;
mod capsule;
mod drive;
mod duty;
mod executor;
mod fail;
mod hand;
mod identity;
#[cfg(all(unix, feature = "process"))]
mod keeper;
mod kind;
mod order;
mod panic;
mod pool;
#[cfg(all(unix, feature = "process"))]
mod process;
mod settle;
mod shared;
mod signal;
mod states;
mod summary;
#[cfg(unix)]
mod systemd;
mod wait;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};

use crate::broker::again;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::failure::Outcome;
use crate::job::{BlockingJob, Job};
use crate::middleware::{RunChain, RunMiddleware};
use crate::name::check_name;
use crate::retry::Retry;

use kind::Kinds;
use states::States;

pub use capsule::Capsule;
pub(crate) use duty::Duty;
#[cfg(feature = "embedded")]
pub(crate) use executor::drain;
use hand::Hand;
pub(crate) use hand::{EntryKey, HoldKey};
#[cfg(all(unix, feature = "process"))]
pub use process::{EXIT_DEAD, EXIT_SNOOZE, ProcessJob};
pub(crate) use shared::Shared;
pub use signal::Control;
pub use summary::{EXIT_OUTGROWN, Summary};
#[cfg(unix)]
pub use systemd::Systemd;

/// Most jobs that one worker runs at once.
pub const CONCURRENCY_MAX: usize = 10_000;

/// How long running jobs may take to end when the worker stops, unless set otherwise.
pub const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(25);

/// Takes jobs from queues and runs those of the kinds registered with it.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use windlass::{Client, Context, Job, Outcome, Worker};
/// # #[derive(Serialize, Deserialize)]
/// # struct Greet { name: String }
/// # impl Job for Greet {
/// #     const KIND: &'static str = "greet";
/// #     type Output = ();
/// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
/// # }
/// # async fn example() -> windlass::Result<()> {
/// let client = Client::open("data").await?;
/// let summary = Worker::new(&client)
///     .queue("critical")
///     .queue("default")
///     .concurrency(50)
///     .register::<Greet>()
///     .on_event(|event| println!("{event}"))
///     .signals()
///     .run()
///     .await?;
/// println!("{summary}");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Worker {
    client: Client,
    /// Its own pool, unless it is there for its capsules alone.
    own: Option<Capsule>,
    capsules: Vec<Capsule>,
    shutdown_timeout: Duration,
    kinds: Kinds,
    middleware: RunChain,
    states: States,
    events: Events,
    has_signals: bool,
    pid_file: Option<PathBuf>,
    control: Control,
    exits_when_empty: bool,
    #[cfg(unix)]
    systemd: Option<Systemd>,
    record_max: Option<u64>,
    memory_max: Option<u64>,
    #[cfg(feature = "cron")]
    crons: Vec<crate::cron::Cron>,
}

impl Worker {
    /// A worker of the queue `default` with as many jobs at once as the machine has cores, times five.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            own: None,
            capsules: Vec::new(),
            shutdown_timeout: SHUTDOWN_TIMEOUT_DEFAULT,
            kinds: Kinds::default(),
            middleware: RunChain::default(),
            states: States::default(),
            events: Events::new(client.bus().clone()),
            has_signals: false,
            pid_file: None,
            control: Control::new(client),
            exits_when_empty: false,
            #[cfg(unix)]
            systemd: None,
            record_max: None,
            memory_max: None,
            #[cfg(feature = "cron")]
            crons: Vec::new(),
        }
    }

    /// Adds a queue. Queues are served in the order in which they are added: the second gives jobs only
    /// when the first has none.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.own = Some(self.own_pool().queue(queue));
        self
    }

    /// Adds a queue that shares with the other weighted ones: each is looked at first in proportion to its
    /// weight. Weighted queues come after those without a weight.
    pub fn queue_weighted(mut self, queue: impl Into<String>, weight: u32) -> Self {
        self.own = Some(self.own_pool().queue_weighted(queue, weight));
        self
    }

    /// How many jobs run at once.
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.own = Some(self.own_pool().concurrency(jobs));
        self
    }

    /// How many jobs run at once, by how much there is to do: see [`Capsule::elastic`].
    pub fn elastic(mut self, min: usize, max: usize) -> Self {
        self.own = Some(self.own_pool().elastic(min, max));
        self
    }

    /// Adds a pool with queues and a concurrency of its own. A worker that is given capsules and neither queues nor a
    /// concurrency has no other pool than these.
    pub fn capsule(mut self, capsule: Capsule) -> Self {
        self.capsules.push(capsule);
        self
    }

    /// How long running jobs may take to end when the worker stops. Default: 25 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Runs jobs of this type.
    pub fn register<J: Job>(mut self) -> Self {
        self.kinds.add_async::<J>();
        self
    }

    /// Runs jobs of this type on threads of the worker's own.
    pub fn register_blocking<J: BlockingJob>(mut self) -> Self {
        self.kinds.add_blocking::<J>();
        self
    }

    /// Runs jobs of a kind without a Rust type: the function gets the arguments as JSON and answers JSON.
    pub fn register_raw<F, R>(mut self, kind: impl Into<String>, retry: Retry, run: F) -> Self
    where
        F: Fn(Box<RawValue>, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome<Box<RawValue>>> + Send + 'static,
    {
        self.kinds.add_raw(kind.into(), retry, run);
        self
    }

    /// Runs jobs of a kind as processes of their own. Needs the feature `process`.
    #[cfg(all(unix, feature = "process"))]
    pub fn register_process(mut self, job: ProcessJob) -> Self {
        self.kinds.add_process(job);
        self
    }

    /// Adds a middleware: it stands around every attempt, within those that were added before.
    pub fn middleware(mut self, middleware: impl RunMiddleware) -> Self {
        self.middleware.add(middleware);
        self
    }

    /// Gives jobs a value of a type, which they ask for with [`Context::state`]; one of each type.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.add(value);
        self
    }

    /// Puts this cron entry when the worker starts, as [`Crontab::put`](crate::Crontab::put) does: an entry that
    /// is as before keeps its times and its pause. Every worker fires all entries of the namespace, whoever
    /// put them.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use windlass::{Client, Context, Cron, Job, Outcome, Push, Worker};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Sweep;
    /// # impl Job for Sweep {
    /// #     const KIND: &'static str = "sweep";
    /// #     type Output = ();
    /// #     async fn run(self, _: Context) -> Outcome<()> { Ok(()) }
    /// # }
    /// # async fn example(client: &Client) -> windlass::Result<()> {
    /// let nightly = Cron::new("sweep", "0 3 * * *")?.zone("Europe/Berlin")?.job(&Sweep, Push::new())?;
    /// Worker::new(client).register::<Sweep>().cron(nightly).run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "cron")]
    pub fn cron(mut self, cron: crate::cron::Cron) -> Self {
        self.crons.push(cron);
        self
    }

    /// Calls a function with every [`Event`], beside `tracing`, in the order in which they are added. It must not block.
    /// [`Client::on_job_event`] and [`Client::subscribe`] tell of every single job as well.
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.events.listen(listener);
        self
    }

    /// Heeds signals: TERM, INT and QUIT stop the worker, a second one at once, if it comes a tenth of a second later or more: what
    /// is sent twice counts once. TSTP makes it quiet.
    pub fn signals(mut self) -> Self {
        self.has_signals = true;
        self
    }

    /// Writes the process's id to a file while the worker runs.
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// Tells systemd when the worker is ready, that it lives, and when it stops.
    #[cfg(unix)]
    pub fn systemd(mut self, systemd: Systemd) -> Self {
        self.systemd = Some(systemd);
        self
    }

    /// Writes what happens in this process, to single jobs and to its workers, into a stream of the store that keeps about
    /// `max` events, for [`Inspector::events`](crate::Inspector::events). They are written a few times a second, many in one call; without
    /// this nothing is written and nothing is paid.
    pub fn record_events(mut self, max: u64) -> Self {
        self.record_max = Some(max);
        self
    }

    /// Stops by itself once its queues give nothing more and nothing runs. Delayed jobs and retries that
    /// are not due yet are not waited for.
    pub fn exit_when_empty(mut self) -> Self {
        self.exits_when_empty = true;
        self
    }

    /// Stops, as by [`Control::stop`], once the process takes more than so many bytes of memory: running jobs end, the
    /// rest goes back, and [`Summary::outgrown`] says so. Have the process end with [`Summary::exit_code`] and its
    /// supervisor start it anew (`Restart=on-failure` of systemd). For jobs that leak, and for those that leave the
    /// memory of one large job behind. It is looked at about every second, on Linux only.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// What quiets and stops this worker from elsewhere.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs until a signal (see [`signals`](Self::signals)) or [`Control`] stops it.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    pub async fn run(self) -> Result<Summary> {
        self.run_until(std::future::pending()).await
    }

    /// Runs until `stop` is ready. Then running jobs may end within the shutdown timeout; the rest is
    /// cancelled and goes back to its queue at once.
    ///
    /// # Errors
    /// When the settings cannot be used or the store does not answer for 5 s at the start. Later the worker waits
    /// for a store that is gone.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<Summary> {
        let worker = self.validated()?;
        let _pid_file = worker.pid_file.clone().map(signal::PidFile::write).transpose()?;
        let signals = worker.has_signals.then(|| signal::listen(worker.control.clone())).transpose()?;
        let (control, client) = (worker.control.clone(), worker.client.clone());
        let guard = signal::ForceOnDrop(control.clone());
        let (sender, ended) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        // Opened here, so that they live on the runtime of the executors.
        let broker = again(|| worker.client.broker().session()).await?;
        let mut waiters = Vec::with_capacity(worker.capsules.len());
        for _ in &worker.capsules {
            waiters.push(again(|| worker.client.broker().session()).await?);
        }
        // What begins a worker does no harm twice; who has the store may just be ending.
        again(|| worker.put_crons()).await?;
        let pools = Shared::pools(worker, broker);
        std::thread::Builder::new().name("windlass".into()).spawn(move || {
            let _ = sender.send(duty::run(pools, waiters, &runtime));
        })?;
        let mut ended = std::pin::pin!(ended);
        let mut stop = std::pin::pin!(stop);
        let ended = tokio::select! {
            ended = &mut ended => ended,
            () = &mut stop => {
                control.stop();
                ended.await
            }
        };
        std::mem::forget(guard);
        if let Some(signals) = signals {
            signals.abort();
        }
        let summary = ended.map_err(|_| Error::Stopped("the worker's thread"))??;
        Ok(Summary { buffered: client.buffered().jobs as u64, ..summary })
    }

    /// Puts the cron entries that are written in the code.
    pub(crate) async fn put_crons(&self) -> Result<()> {
        #[cfg(feature = "cron")]
        for cron in &self.crons {
            self.client.cron().put(cron).await?;
        }
        Ok(())
    }

    /// The client that it was made from.
    #[cfg(feature = "embedded")]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The pool that is meant when the worker itself is told of queues.
    fn own_pool(&mut self) -> Capsule {
        self.own.take().unwrap_or_else(|| Capsule::new(OWN_POOL))
    }

    /// Checks everything, and lines its own pool up with its capsules.
    pub(crate) fn validated(mut self) -> Result<Self> {
        let mut problems = Vec::new();
        if self.own.is_some() || self.capsules.is_empty() {
            let own = self.own_pool();
            self.capsules.insert(0, own);
        }
        let mut names = HashSet::new();
        for capsule in &mut self.capsules {
            let name = capsule.name.clone();
            if let Err(error) = check_name("capsule", &name) {
                problems.push(error.to_string());
            }
            if !names.insert(name.clone()) {
                problems.push(format!("there are two capsules `{name}`, give each its own name"));
            }
            problems.extend(capsule.complete(&name));
        }
        for kind in self.kinds.names() {
            problems.extend(check_name("kind", &kind).err().map(|error| error.to_string()));
        }
        problems.extend(self.kinds.problems());
        if self.record_max == Some(0) {
            problems.push("record_events keeps 0 events; use 1 or more, or leave it out".into());
        }
        if self.memory_max == Some(0) {
            problems.push("memory_max is 0 bytes, so that no job would run; name a size".into());
        }
        if self.memory_max.is_some() && !cfg!(target_os = "linux") {
            problems.push("memory_max is there on Linux only, leave it out here".into());
        }
        #[cfg(feature = "cron")]
        problems.extend(self.crons.iter().filter_map(|cron| Some(cron.check().err()?.to_string())));
        if problems.is_empty() { Ok(self) } else { Err(Error::Config(problems)) }
    }
}

/// The name of the pool that a worker has by itself, and of the queue that it serves when none is named.
const OWN_POOL: &str = "default";

/// How far a worker has been told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not at all.
    Running,
    /// Take no more jobs.
    Quiet,
    /// End, letting running jobs end.
    Draining,
    /// End now.
    Forced,
}

/// This machine's time in milliseconds since 1970.
pub(crate) fn local_now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as u64)
}

pub(crate) type PhaseReceiver = watch::Receiver<Phase>;
