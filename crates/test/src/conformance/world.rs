//! Where a case runs: a store, a fresh namespace in it, and short words for what cases do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{FromRedisValue, aio::ConnectionLike};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use windlass::broker::{Broker, Ended, Held, Request, Taken};
use windlass::{Client, Config, Connection, Context, JobId, Outcome, Push, Retry, State, Worker};
use windlass_db::Database;

use crate::clock::Clock;

/// A store that cases run on.
#[derive(Clone)]
pub struct Store {
    url: String,
    run: String,
    count: Arc<AtomicU64>,
    clock: Option<Clock>,
    /// The database of a store that no URL names, since a test has its clock.
    database: Option<Database>,
}

impl Store {
    /// A database of this process, by a clock that cases move.
    pub fn embedded_by_clock(database: Database, clock: Clock) -> Self {
        Self { clock: Some(clock), database: Some(database), ..Self::new("memory:") }
    }

    /// The store that `url` names, which tells the time by a clock that cases move.
    pub fn by_clock(url: impl Into<String>, clock: Clock) -> Self {
        Self { clock: Some(clock), ..Self::new(url) }
    }

    /// The store that `url` names.
    pub fn new(url: impl Into<String>) -> Self {
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let run = format!("{:x}", started.map_or(0, |since| since.as_micros()));
        Self { url: url.into(), run, count: Arc::default(), clock: None, database: None }
    }

    /// Moves the store's time on.
    ///
    /// # Panics
    /// When its clock is not the case's to move.
    pub fn advance(&self, by: Duration) {
        self.clock.as_ref().expect("the case is for a store by a clock").advance(by);
    }

    /// What names it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Connection {
        match &self.database {
            Some(database) => Connection::to(database.clone()),
            None => Connection::open(&self.url).await.expect("the store answers"),
        }
    }

    /// A fresh namespace, with default settings.
    pub async fn world(&self) -> World {
        self.world_with(|_| {}).await
    }

    /// A fresh namespace with other settings.
    pub async fn world_with(&self, change: impl FnOnce(&mut Config)) -> World {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut config = Config { namespace: format!("t-{}-{number}", self.run), ..Config::default() };
        change(&mut config);
        let client =
            Client::with_config(self.connect().await, config.clone()).await.expect("the store is fit");
        let broker = Broker::new(self.connect().await, &config).expect("the namespace is a name");
        World { client, broker, config }
    }
}

/// One case's namespace.
pub struct World {
    /// Pushes.
    pub client: Client,
    /// Makes single moves, so that a case can stop between any two.
    pub broker: Broker,
    /// The settings.
    pub config: Config,
}

/// One run of a job, as a recorder saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// Which attempt.
    pub attempt: u32,
    /// The arguments as JSON.
    pub args: String,
}

impl World {
    /// Pushes a job of a kind without a type.
    pub async fn push(&self, kind: &str, args: &str, options: Push) -> JobId {
        let pushed = self.client.push_raw(kind, &json(args), options).await;
        pushed.expect("the push is answered").id().clone()
    }

    /// Pushes `count` jobs with the arguments 0, 1, 2….
    pub async fn push_numbers(&self, count: usize) -> Vec<JobId> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.push("k", &number.to_string(), Push::new()).await);
        }
        ids
    }

    /// Takes up to `count` jobs of the queue `default`.
    pub async fn take(&self, consumer: &str, count: usize) -> Vec<Taken> {
        self.take_with(consumer, count, true).await
    }

    /// The same, saying whether a suspect may be among them.
    pub async fn take_with(&self, consumer: &str, count: usize, may_suspect: bool) -> Vec<Taken> {
        let request = Request { consumer, count, may_suspect, woken: None };
        self.broker.fetch(&["default"], request).await.expect("the fetch is answered")
    }

    /// Ends taken jobs with success; answers how many were refused.
    pub async fn finish(&self, consumer: &str, taken: &[Taken]) -> usize {
        let refused =
            self.broker.finish(consumer, Ended { queue: "default", held: &held(taken), extras: &[] }).await;
        refused.expect("the finish is answered").len()
    }

    /// Takes back what these workers held, as if they were known to be dead.
    pub async fn recover(&self, dead: &[&str]) -> windlass::broker::Recovered {
        let dead: Vec<_> = dead.iter().map(ToString::to_string).collect();
        self.broker.recover("default", &self.config, &dead).await.expect("the recovery is answered")
    }

    /// A worker of the queue `default` with two slots.
    pub fn worker(&self) -> Worker {
        Worker::new(&self.client).concurrency(2)
    }

    /// A worker that answers each job of the kind `k` with `answer`, and what it ran.
    pub fn recorder<F, R>(&self, answer: F) -> (Worker, mpsc::UnboundedReceiver<Run>)
    where
        F: Fn(Run) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome<()>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let run = move |args: Box<RawValue>, context: Context| {
            let run =
                Run { id: context.id().clone(), attempt: context.attempt(), args: args.get().to_owned() };
            let answer = answer(run.clone());
            let sender = sender.clone();
            async move {
                sender.send(run).ok();
                answer.await.map(|()| json("null"))
            }
        };
        let retry = Retry::Fixed(Duration::from_millis(1));
        (self.worker().register_raw("k", retry, run), receiver)
    }

    /// Waits until a job is in a state, and answers what is known of it then.
    pub async fn until(&self, id: &JobId, state: State) -> windlass::Details {
        let inspector = self.client.inspector();
        eventually(async || inspector.show(id).await.unwrap().filter(|job| job.state == state)).await
    }

    /// One command on the namespace's keys.
    pub async fn ask<T: FromRedisValue>(&self, name: &str, args: &[&str]) -> T {
        let mut connection = self.client.connection().clone();
        let mut command = redis::cmd(name);
        command.arg(args);
        let answer = connection.req_packed_command(&command).await.expect("the command is answered");
        T::from_redis_value(answer).expect("the answer has the type asked for")
    }

    /// The store's time in milliseconds since 1970.
    pub async fn broker_now(&self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask("TIME", &[]).await;
        seconds * 1000 + micros / 1000
    }

    /// Whether no job and no trace of one is left.
    pub async fn is_empty(&self) -> bool {
        let keys = self.broker.keys();
        let mut left: u64 = self.ask("XLEN", &[&keys.stream("default")]).await;
        for hash in [keys.jobs(), keys.moved(), keys.suspect("default")] {
            left += self.ask::<u64>("HLEN", &[&hash]).await;
        }
        for set in keys.sets() {
            left += self.ask::<u64>("ZCARD", &[&set]).await;
        }
        left == 0
    }
}

/// A worker that runs beside the case.
pub struct Beside {
    control: windlass::Control,
    task: tokio::task::JoinHandle<windlass::Result<windlass::Summary>>,
}

impl Beside {
    /// Starts a worker.
    pub fn start(worker: Worker) -> Self {
        Self { control: worker.control(), task: tokio::spawn(worker.run()) }
    }

    /// What controls it.
    pub fn control(&self) -> &windlass::Control {
        &self.control
    }

    /// Stops it and answers what it did.
    pub async fn stop(self) -> windlass::Summary {
        self.control.stop();
        self.ended().await
    }

    /// Waits until it has ended.
    pub async fn ended(self) -> windlass::Summary {
        self.task.await.expect("the worker's task ends").expect("the worker runs")
    }
}

/// The tokens of taken jobs, sorted as moves want them.
pub fn held(taken: &[Taken]) -> Vec<Held> {
    let mut held: Vec<_> = taken.iter().map(Held::of).collect();
    held.sort();
    held
}

/// JSON that is known to be right.
pub fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("it is JSON")
}

/// Asks until the answer is `Some`: for what the store or a service brings about by itself. A case that
/// waits in vain ends with the suite's own timeout.
pub async fn eventually<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        pace.tick().await;
    }
}
