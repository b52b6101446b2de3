//! A run of a scene: the store, who dies on it, who is healthy, and what was seen.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass::broker::{BATCH_BYTES_MAX, Broker, Request, Taken};
use windlass::{
    Client, Config, Connection, Context, Failure, Job, JobId, Keep, Outcome, Push, Result, Retry, State,
    Worker,
};
use windlass_conn::{Cut, Fuse};
use windlass_db::Database;
use windlass_test::clock::{Clock, ShiftedClock};
use windlass_test::invariants::Snapshot;
use windlass_test::redis_server::RedisServer;

/// Where jobs go unless a scene says otherwise.
pub const QUEUE: &str = "default";
/// Workers by name; the last part is how many jobs they run at once.
pub const A: &str = "a.1.1.a.2";
pub const B: &str = "b.1.1.b.2";
/// How long a job waits that is not to run now.
pub const LATER: Duration = Duration::from_secs(60);
/// How long results are kept: longer than any scene.
const KEPT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The pace of a drain: what waited then is due, and the lease of whoever is silent is over.
const ROUND: Duration = Duration::from_secs(120);
const ROUNDS_MAX: usize = 20;

/// A store for scenes, one after the other.
pub struct Stage {
    clock: Clock,
    database: Option<Database>,
    server: Option<RedisServer>,
}

impl Stage {
    pub fn memory() -> Self {
        let (clock, manual) = Clock::manual();
        let database = Database::memory_with(windlass_db::Config::default(), manual);
        Self { clock, database: Some(database.expect("a database opens")), server: None }
    }

    pub fn redis(server: RedisServer, clock: ShiftedClock) -> Self {
        Self { clock: Clock::Shifted(clock), database: None, server: Some(server) }
    }

    async fn connect(&self) -> Connection {
        match (&self.database, &self.server) {
            (Some(database), _) => Connection::to(database.clone()),
            (None, Some(server)) => Connection::open(&server.url()).await.expect("the server answers"),
            (None, None) => unreachable!("a stage is one of both"),
        }
    }
}

/// A job that does as it is told and is seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Act {
    pub name: String,
    #[serde(default)]
    pub does: Does,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub padding: String,
}

/// How an act ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub enum Does {
    #[default]
    Succeed,
    /// Fails once.
    Fail,
    /// Dies whenever it runs.
    Die,
    /// Is put off once.
    Snooze,
    Discard,
    Cancel,
    /// Opens a batch within its own, with one job, and closes it.
    Nest,
    /// The same with a job that dies.
    NestDying,
    /// The same with a job that is due later.
    NestLater,
    /// Opens a batch within its own, leaves it open, and is put off for so long that somebody else closes it.
    NestOpen,
    /// Adds a job to its batch.
    Grow,
}

impl Job for Act {
    const KIND: &'static str = "k";
    type Output = Value;

    async fn run(self, context: Context) -> Outcome<Value> {
        let count = context.state::<Log>()?.note(&self.name, context.id());
        match self.does {
            Does::Fail if count == 1 => return Err(Failure::retry("told to")),
            Does::Snooze if count == 1 => return Err(Failure::snooze(Duration::from_secs(1))),
            Does::Die => return Err(Failure::kill("told to")),
            Does::Discard => return Err(Failure::discard("told to")),
            Does::Cancel => return Err(Failure::cancel()),
            Does::Nest | Does::NestDying => {
                let nested = context.nested_batch().on_complete_with(act("inner"), kept()).open().await?;
                let does = if self.does == Does::Nest { Does::Succeed } else { Does::Die };
                nested.push_with(Act { does, ..act("child") }, kept()).await?;
                nested.close().await?;
            }
            Does::NestLater => {
                let nested = context.nested_batch().on_complete_with(act("inner"), kept());
                nested.push_all_with([act("a")], kept().delay(LATER)).await?;
            }
            Does::NestOpen if count == 1 => {
                let nested = context.nested_batch().on_complete_with(act("inner"), kept()).open().await?;
                nested.push_with(act("child"), kept()).await?;
                return Err(Failure::snooze(Keep::default().age + LATER));
            }
            Does::Grow => {
                let batch = context.batch().expect("it is one of a batch");
                batch.push_with(act("more"), kept()).await?;
            }
            _ => {}
        }
        Ok(json!(self.name))
    }

    fn retry() -> Retry {
        Retry::Fixed(Duration::from_secs(1))
    }
}

/// A job of that name.
pub fn act(name: &str) -> Act {
    doing(name, Does::Succeed)
}

/// A job of that name which ends so.
pub fn doing(name: &str, does: Does) -> Act {
    Act { name: name.into(), does, padding: String::new() }
}

/// Three jobs so large that each needs a call of its own.
pub fn large(name: &str) -> [Act; 3] {
    [(); 3].map(|()| Act { padding: "x".repeat(BATCH_BYTES_MAX * 2 / 3), ..act(name) })
}

/// How scenes push: the result of every job is kept, so that its success is seen.
pub fn kept() -> Push {
    Push::new().result_ttl(KEPT)
}

/// What ran: the ids by name, each with how often.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<BTreeMap<String, BTreeMap<JobId, usize>>>>);

impl Log {
    fn note(&self, name: &str, id: &JobId) -> usize {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = runs.entry(name.into()).or_default().entry(id.clone()).or_default();
        *count += 1;
        *count
    }

    fn count(&self, name: &str) -> usize {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(name).map_or(0, BTreeMap::len)
    }
}

/// One run of a scene.
pub struct Play<'a> {
    stage: &'a Stage,
    fuse: Fuse,
    /// A healthy client and its moves.
    pub client: Client,
    pub broker: Broker,
    pub config: Config,
    log: Log,
    acknowledged: RefCell<BTreeSet<String>>,
    /// How many successes leave no result.
    unseen: Cell<usize>,
    /// The most that may hold each limit.
    caps: RefCell<BTreeMap<String, i64>>,
}

/// What a process has that may die.
pub struct Dying {
    pub client: Client,
    pub broker: Broker,
}

impl<'a> Play<'a> {
    pub async fn begin(stage: &'a Stage, cut: Cut) -> Self {
        let connection = stage.connect().await;
        let flushed = connection.clone().req_packed_command(&redis::cmd("FLUSHALL")).await;
        flushed.expect("the store answers");
        // Nobody dies of crashes unless that is the scene.
        let config = Config { crash_limit: 100, ..Config::default() };
        let broker = Broker::new(connection.clone(), &config).expect("a namespace");
        let client = Client::with_config(connection, config.clone()).await.expect("the store is fit");
        Self {
            stage,
            fuse: Fuse::new(cut),
            client,
            broker,
            config,
            log: Log::default(),
            acknowledged: RefCell::default(),
            unseen: Cell::default(),
            caps: RefCell::default(),
        }
    }

    /// Has something done by a process that dies at the call of this run, once in a scene; then everything that is there must fit together.
    /// None when it died, or was told of an error.
    pub async fn dying<T>(&self, does: impl AsyncFnOnce(Dying) -> Result<T>) -> Option<T> {
        let connection = self.stage.connect().await.with_fuse(self.fuse.clone());
        let broker = Broker::new(connection.clone(), &self.config).expect("a namespace");
        let client = Client::with_config(connection, self.config.clone()).await.expect("the store is fit");
        self.fuse.light();
        let done = tokio::select! {
            done = does(Dying { client, broker }) => done.ok(),
            () = self.fuse.blown() => None,
        };
        self.look().await;
        done
    }

    /// A worker runs all that is due, and dies at the call of this run.
    pub async fn dying_worker(&self) {
        self.dying(async |dying| windlass::testing::drain(self.worker(&dying.client)).await.map(drop)).await;
    }

    /// A healthy worker runs all that is due now.
    pub async fn work(&self) {
        let ran = windlass::testing::drain(self.worker(&self.client)).await;
        ran.expect("a worker runs");
        self.look().await;
    }

    fn worker(&self, client: &Client) -> Worker {
        Worker::new(client).concurrency(2).state(self.log.clone()).register::<Act>()
    }

    /// Healthy workers run all that is due, one after the other, until all jobs have ended.
    pub async fn drain(&self) {
        for _ in 0..ROUNDS_MAX {
            self.advance(ROUND);
            self.work().await;
            let found = self.look().await;
            if found.places().values().all(|places| places[0].has_ended()) {
                return;
            }
        }
        panic!("jobs do not end: {:?}", self.look().await.places());
    }

    pub fn advance(&self, by: Duration) {
        self.stage.clock.advance(by);
    }

    /// Everything that is there fits together.
    pub async fn look(&self) -> Snapshot {
        let found = Snapshot::read(&self.broker).await;
        let mut problems = found.problems();
        let (holders, caps) = (found.holders(), self.caps.borrow());
        for (limit, held) in
            holders.iter().filter(|(limit, held)| caps.get(*limit).is_some_and(|cap| *held > cap))
        {
            problems.push(format!("{held} hold {limit}"));
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        found
    }

    /// No more than `cap` jobs ever hold a limit.
    pub fn cap(&self, limit: &str, cap: i64) {
        self.caps.borrow_mut().insert(limit.into(), cap);
    }

    /// These jobs were acknowledged: they end and are seen to.
    pub fn note<'b>(&self, ids: impl IntoIterator<Item = &'b JobId>) {
        self.acknowledged.borrow_mut().extend(ids.into_iter().map(ToString::to_string));
    }

    /// An acknowledged job is gone by the scene's own doing.
    pub fn forget(&self, id: &JobId) {
        self.acknowledged.borrow_mut().remove(id.as_str());
    }

    /// So many successes leave no result.
    pub fn unseen(&self, count: usize) {
        self.unseen.set(count);
    }

    /// So many different jobs of that name have run.
    pub fn ran(&self, name: &str, count: usize) {
        self.ran_among(name, count..=count);
    }

    pub fn ran_among(&self, name: &str, counts: std::ops::RangeInclusive<usize>) {
        let count = self.log.count(name);
        assert!(counts.contains(&count), "{count} jobs {name:?} have run, not {counts:?}: {:?}", self.log);
    }

    /// A job that is pushed by the healthy client.
    pub async fn push(&self, job: Act, options: Push) -> JobId {
        let id = self.client.push_with(job, options).await.expect("the push is answered").id().clone();
        self.note([&id]);
        id
    }

    pub async fn take(&self, consumer: &str, count: usize) -> Vec<Taken> {
        let request = Request { consumer, count, may_suspect: true, woken: None };
        self.broker.fetch(&[QUEUE], request).await.expect("the fetch is answered")
    }

    pub async fn recover(&self, dead: &str) {
        let recovered = self.broker.recover(QUEUE, &self.config, &[dead.to_owned()]).await;
        recovered.expect("the recovery is answered");
    }

    /// What is known of a job's state; None when it is nowhere.
    pub async fn state(&self, id: &JobId) -> Option<State> {
        self.client.inspector().show(id).await.expect("the store answers").map(|details| details.state)
    }

    pub async fn ask<T: redis::FromRedisValue>(&self, name: &str, args: &[&str]) -> T {
        let mut command = redis::cmd(name);
        command.arg(args);
        let answer = self.broker.connection().clone().req_packed_command(&command).await;
        T::from_redis_value(answer.expect("the store answers")).expect("the answer has the type asked for")
    }

    /// Looks a last time. Answers whether the run came to its call.
    pub async fn end(&self) -> bool {
        let found = self.look().await;
        let places = found.places();
        for id in self.acknowledged.borrow().iter() {
            let is_told = found.results.contains_key(id);
            assert!(is_told || places.contains_key(id), "{id} is lost");
        }
        let completed = found.results.values().flatten().filter(|state| *state == "completed").count();
        let counted = found.hash("stats").get("completed").map_or(0, |count| count.parse().unwrap_or(0));
        assert_eq!(completed + self.unseen.get(), counted, "successes are counted once");
        if places.values().all(|places| places[0].has_ended()) {
            assert_eq!(found.holders(), BTreeMap::new(), "nobody is left who holds a limit");
        }
        self.fuse.has_met()
    }
}
