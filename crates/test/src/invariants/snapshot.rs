//! All that a namespace holds, read key by key while nobody writes.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, Value};
use windlass::Connection;
use windlass::broker::Broker;

use super::places::Place;

/// A hash.
pub type Fields = BTreeMap<String, String>;

/// Most members of one key that a test has.
const ALL: usize = 100_000;

/// An entry of a queue's stream.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id in the stream.
    pub id: String,
    /// What it holds.
    pub fields: Fields,
    /// Under whom it is pending.
    pub holder: Option<String>,
}

/// All that a namespace holds. A key that nobody wrote is empty here.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Names of known queues.
    pub queues: BTreeSet<String>,
    /// The entries of each queue.
    pub streams: BTreeMap<String, Vec<Entry>>,
    /// Pending entries of each queue that are not in its stream.
    pub gone: BTreeMap<String, Vec<String>>,
    /// Sorted sets that a namespace has once, those of the states among them.
    pub sets: BTreeMap<String, BTreeMap<String, f64>>,
    /// The ids in each lane.
    pub lanes: BTreeMap<String, BTreeMap<String, f64>>,
    /// The turns of each queue.
    pub turns: BTreeMap<String, BTreeMap<String, f64>>,
    /// Hashes that a namespace has once.
    pub hashes: BTreeMap<String, Fields>,
    /// Hashes of one queue, by their name and the queue's: `gate`, `suspect`, `waits`, `pace`, `permits`.
    pub of_queue: BTreeMap<(String, String), Fields>,
    /// Batches, without the results of their jobs.
    pub batches: BTreeMap<String, Fields>,
    /// Results of the jobs of groups.
    pub items: BTreeMap<String, Fields>,
    /// The nested batches that each job opened.
    pub opened: BTreeMap<String, BTreeSet<String>>,
    /// The states in the results of each job.
    pub results: BTreeMap<String, Vec<String>>,
    /// The locks of unique jobs, and whether they expire.
    pub locks: BTreeMap<String, (String, bool)>,
    /// Keys that should not be there between two moves.
    pub strange: Vec<String>,
    pub(super) places: OnceCell<BTreeMap<String, Vec<Place>>>,
    pub(super) envelopes: OnceCell<BTreeMap<String, serde_json::Value>>,
}

impl Snapshot {
    /// Reads the namespace of a broker.
    ///
    /// # Panics
    /// When the store fails.
    pub async fn read(broker: &Broker) -> Self {
        let (reader, mut snapshot) = (Reader(broker.connection().clone()), Self::default());
        let schema = broker.keys().schema();
        let prefix = schema.strip_suffix("schema").expect("the layout's key is so named");
        let keys: Vec<String> = reader.ask("KEYS", &[&broker.keys().pattern()]).await;
        for key in keys {
            let name = key.strip_prefix(prefix).expect("the pattern has the prefix");
            snapshot.note(&reader, &key, name).await;
        }
        snapshot
    }

    async fn note(&mut self, reader: &Reader, key: &str, name: &str) {
        let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
        let rest = rest.to_owned();
        match kind {
            "queues" => self.queues = reader.ask("SMEMBERS", &[key]).await,
            "q" => {
                let (entries, gone) = reader.stream(key).await;
                self.streams.insert(rest.clone(), entries);
                self.gone.insert(rest, gone);
            }
            "scheduled" | "retry" | "parked" | "dead" | "discarded" | "cancelled" | "nested" | "workers"
            | "cron-next" | "blocked" | "asleep" => {
                drop(self.sets.insert(name.into(), reader.set(key).await))
            }
            "lane" => drop(self.lanes.insert(rest, reader.set(key).await)),
            "turns" => drop(self.turns.insert(rest, reader.set(key).await)),
            "jobs" | "kept" | "moved" | "caps" | "stats" | "cron" | "rules" => {
                self.hashes.insert(name.into(), reader.ask("HGETALL", &[key]).await);
            }
            "gate" | "suspect" | "waits" | "pace" | "permits" => {
                self.of_queue.insert((kind.into(), rest), reader.ask("HGETALL", &[key]).await);
            }
            "batch" => match rest.strip_suffix(":r") {
                Some(id) => drop(self.items.insert(id.into(), reader.ask("HGETALL", &[key]).await)),
                None => drop(self.batches.insert(rest, reader.ask("HGETALL", &[key]).await)),
            },
            "opened" => drop(self.opened.insert(rest, reader.ask("SMEMBERS", &[key]).await)),
            "r" => drop(self.results.insert(rest, reader.result(key).await)),
            "unique" => {
                let expires = reader.ask::<i64>("PTTL", &[key]).await >= 0;
                self.locks.insert(rest, (reader.ask("GET", &[key]).await, expires));
            }
            "compact" => self.strange.push(name.into()),
            _ => {}
        }
    }

    /// A hash of the namespace.
    pub fn hash(&self, name: &str) -> &Fields {
        static NONE: Fields = Fields::new();
        self.hashes.get(name).unwrap_or(&NONE)
    }

    /// A hash of a queue.
    pub fn hash_of(&self, name: &str, queue: &str) -> &Fields {
        static NONE: Fields = Fields::new();
        self.of_queue.get(&(name.to_owned(), queue.to_owned())).unwrap_or(&NONE)
    }

    /// The members of a sorted set of the namespace.
    pub fn members(&self, name: &str) -> impl Iterator<Item = &str> {
        self.sets.get(name).into_iter().flat_map(|set| set.keys().map(String::as_str))
    }
}

struct Reader(Connection);

impl Reader {
    async fn ask<T: FromRedisValue>(&self, name: &str, args: &[&str]) -> T {
        let mut command = redis::cmd(name);
        command.arg(args);
        let answer: Value = self.0.clone().req_packed_command(&command).await.expect("the store answers");
        T::from_redis_value(answer).expect("the answer has the type asked for")
    }

    async fn set(&self, key: &str) -> BTreeMap<String, f64> {
        let members: Vec<(String, f64)> = self.ask("ZRANGE", &[key, "0", "-1", "WITHSCORES"]).await;
        members.into_iter().collect()
    }

    /// The entries of a stream, and what is pending without one.
    async fn stream(&self, key: &str) -> (Vec<Entry>, Vec<String>) {
        let entries: Vec<(String, Fields)> = self.ask("XRANGE", &[key, "-", "+"]).await;
        let mut command = redis::cmd("XPENDING");
        command.arg(key).arg("w").arg("-").arg("+").arg(ALL);
        // There may be no group yet.
        let pending = match self.0.clone().req_packed_command(&command).await {
            Ok(Value::ServerError(_)) | Err(_) => Vec::new(),
            Ok(answer) => Vec::<(String, String, i64, i64)>::from_redis_value(answer).expect("a list"),
        };
        let mut holders: BTreeMap<_, _> =
            pending.into_iter().map(|(id, consumer, _, _)| (id, consumer)).collect();
        let entry = |(id, fields): (String, Fields)| Entry { holder: holders.remove(&id), id, fields };
        let entries = entries.into_iter().map(entry).collect();
        (entries, holders.into_keys().collect())
    }

    async fn result(&self, key: &str) -> Vec<String> {
        let entries: Vec<(String, Fields)> = self.ask("XRANGE", &[key, "-", "+"]).await;
        entries.into_iter().map(|(_, fields)| fields.get("state").cloned().unwrap_or_default()).collect()
    }
}
