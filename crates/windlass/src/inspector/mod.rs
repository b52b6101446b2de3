//! Looks at jobs and queues, and manages them: what a command line and a dashboard need.

mod edit;
mod events;
mod manage;
mod queue;

use redis::Value;

use crate::broker::{Place, SETS_SCANNED_MAX, array, bytes, int, pairs, scored, text};
use crate::client::{Client, split_record, state_of};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::id::{EntryId, JobId};
use crate::keys::GROUP;
use crate::progress::Progress;
use crate::state::{History, State};

pub use edit::Edit;
pub use events::StoredEvent;

/// Looks at one namespace, and manages it.
///
/// ```no_run
/// # async fn example() -> windlass::Result<()> {
/// let inspector = windlass::Client::open("data").await?.inspector();
/// for queue in inspector.queues().await? {
///     println!("{}: {} enqueued, {} active", queue.name, queue.enqueued, queue.active);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inspector {
    client: Client,
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Jobs that wait for a worker, those in lanes included.
    pub enqueued: u64,
    /// Those of them that wait in a lane: for their turn, or for a limit.
    pub in_lanes: u64,
    /// Jobs that a worker has.
    pub active: u64,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Whether workers are to take only jobs of kinds that they know from it. While it [is ruled](Self::is_ruled) they
    /// take any all the same.
    pub asks_for_kinds: bool,
    /// Whether it has lanes or rules: jobs with priorities or groups, or a rule for it, its keys or any kind.
    pub is_ruled: bool,
    /// When its oldest job that waits or runs entered it, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
}

/// One job, with everything that is known of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Details {
    /// Its id.
    pub id: JobId,
    /// Its state.
    pub state: State,
    /// Its kind; empty when its envelope cannot be read.
    pub kind: String,
    /// The words that it was tagged with.
    pub tags: Vec<String>,
    /// What the push added beside its arguments.
    pub meta: serde_json::Map<String, serde_json::Value>,
    /// Its envelope as stored.
    pub envelope: Vec<u8>,
    /// Its history.
    pub history: History,
    /// When it is due, or ended, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// The worker that has it.
    pub worker: Option<String>,
    /// Attempts begun.
    pub attempts: u32,
    /// The lane of its queue that it waits in, as `QUEUE/RANK/KIND/KEY`: rank 0 is the front, each priority one more.
    pub lane: Option<String>,
    /// The limit that its lane waits for, such as `kind:resize`; none when the lane waits for its turn.
    pub waits_for: Option<String>,
    /// What it answered, or the error that ended it, as JSON.
    pub result: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Details>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its name.
    pub name: String,
    /// Its last beat, in milliseconds since 1970.
    pub beat_ms: u64,
    /// Its description: host, pid, queues, concurrency, started, busy, phase, version.
    pub fields: Vec<(String, String)>,
}

/// Counters and sizes of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Moves counted since the namespace began: completed, failed, dead and so on.
    pub counters: Vec<(String, u64)>,
    /// How many jobs each stored state has.
    pub stored: Vec<(State, u64)>,
}

/// Begins the name of a page of jobs in lanes.
const LANES: &str = "lanes:";

/// Longest page.
const PAGE_MAX: usize = SETS_SCANNED_MAX;

impl Inspector {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Every queue, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let mut names = self.list_of(redis::cmd("SMEMBERS").arg(self.keys().queues())).await?;
        // A push by a client that knew of a queue makes it no name again.
        for name in self.list_of(redis::cmd("ZRANGE").arg(self.keys().forgotten()).arg(0).arg(-1)).await? {
            let traces = [self.keys().stream(&name), self.keys().pace(&name)];
            if !names.contains(&name) && self.number(redis::cmd("EXISTS").arg(&traces)).await? > 0 {
                names.push(name);
            }
        }
        names.sort();
        let mut queues = Vec::with_capacity(names.len());
        for name in names {
            queues.push(self.queue(&name).await?);
        }
        Ok(queues)
    }

    /// One queue.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue(&self, name: &str) -> Result<QueueInfo> {
        let stream = self.keys().stream(name);
        let length = self.number(redis::cmd("XLEN").arg(&stream)).await?;
        let active = self.active_in(&stream).await?;
        let gate = self.keys().gate(name);
        let is_ruled = self.number(redis::cmd("HEXISTS").arg(&gate).arg("ruled")).await? == 1;
        let in_lanes = match is_ruled {
            true => self.client.broker().jobs_in_lanes(name).await?,
            false => 0,
        };
        let is_paused = self.number(redis::cmd("HEXISTS").arg(gate).arg("paused")).await? == 1;
        let first = redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1).to_owned();
        let first = array(self.send(&first).await?)?.into_iter().next();
        let first = first.map(array).transpose()?.and_then(|entry| entry.into_iter().next());
        let oldest_ms = first.map(text).transpose()?.and_then(|id| id.split_once('-')?.0.parse().ok());
        Ok(QueueInfo {
            name: name.to_owned(),
            enqueued: length.saturating_sub(active) + in_lanes,
            in_lanes,
            active,
            is_paused,
            asks_for_kinds: self.client.broker().asks_for_kinds(name).await?,
            is_ruled,
            oldest_ms,
        })
    }

    /// One job; `None` when nothing is kept of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn show(&self, id: &JobId) -> Result<Option<Details>> {
        let place = self.client.broker().show(id).await?;
        let Some(state) = state_of(&place) else { return Ok(None) };
        Ok(Some(match place {
            Place::Record(record, at, _) => {
                let (history, envelope) = split_record(&record);
                details(id.clone(), state, envelope.to_vec(), history, u64::try_from(at).ok())
            }
            Place::Entry(fields, holder) => {
                let (envelope, history) = entry_parts(fields);
                let mut details = details(id.clone(), state, envelope, history, None);
                if let Some((holder, count)) = holder {
                    details.attempts = details.attempts.saturating_add(count);
                    details.worker = Some(holder).filter(|holder| !holder.starts_with('~'));
                }
                details
            }
            Place::Lane(record, lane, waits_for) => {
                let (history, envelope) = split_record(&record);
                let details = details(id.clone(), state, envelope.to_vec(), history, None);
                Details { lane: Some(lane), waits_for, ..details }
            }
            Place::Result(fields) => {
                let value = fields.into_iter().find(|(name, _)| name == b"v" || name == b"e");
                let result = value.map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
                let details = details(id.clone(), state, Vec::new(), History::default(), None);
                Details { result, ..details }
            }
            Place::Nowhere => return Ok(None),
        }))
    }

    /// How far a job is and the last lines of its log; `None` when it told nothing, or that is forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn progress(&self, id: &JobId) -> Result<Option<Progress>> {
        self.client.broker().progress(id).await
    }

    /// Jobs of one state: those that are stored by time, those of a queue by age. `from` is the `next` of
    /// the page before. The queue is needed for the states enqueued and active.
    ///
    /// # Errors
    /// When the store fails, a queue is needed and not given, or the state keeps no jobs.
    pub async fn list(
        &self,
        state: State,
        queue: Option<&str>,
        from: Option<&str>,
        count: usize,
    ) -> Result<Page> {
        let count = count.clamp(1, PAGE_MAX);
        match (state, queue) {
            (State::Completed, _) => {
                Err(config("completed jobs are not listed, only their results are kept"))
            }
            (State::Enqueued | State::Active, None) => Err(config("a queue is needed to list its jobs")),
            (State::Enqueued | State::Active, Some(queue)) => {
                crate::name::check_name("queue", queue)?;
                if let Some(skip) = from.and_then(|from| from.strip_prefix(LANES)) {
                    return self.list_lanes(queue, skip, count).await;
                }
                self.list_queue(state, queue, from, count).await
            }
            (state, _) => self.list_set(state, from, count).await,
        }
    }

    /// The workers that have beaten lately, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let mut range = redis::cmd("ZREVRANGE");
        range.arg(self.keys().workers()).arg(0).arg(PAGE_MAX - 1).arg("WITHSCORES");
        let mut workers = Vec::new();
        for (name, beat) in scored(self.send(&range).await?)? {
            let fields = pairs(self.send(redis::cmd("HGETALL").arg(self.keys().worker(&name))).await?)?;
            let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let fields = fields.into_iter().map(|(name, value)| (lossy(name), lossy(value))).collect();
            workers.push(WorkerInfo { name, beat_ms: beat.unsigned_abs(), fields });
        }
        Ok(workers)
    }

    /// Counters and sizes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stats(&self) -> Result<Stats> {
        let counters = pairs(self.send(redis::cmd("HGETALL").arg(self.keys().stats())).await?)?;
        let mut counters: Vec<_> = counters
            .into_iter()
            .filter_map(|(name, value)| {
                Some((String::from_utf8(name).ok()?, std::str::from_utf8(&value).ok()?.parse().ok()?))
            })
            .collect();
        counters.sort();
        let mut stored = Vec::new();
        for (state, set) in State::STORED.into_iter().zip(self.keys().sets()) {
            stored.push((state, self.number(redis::cmd("ZCARD").arg(set)).await?));
        }
        Ok(Stats { counters, stored })
    }

    async fn list_set(&self, state: State, from: Option<&str>, count: usize) -> Result<Page> {
        let rank: usize = from.map_or(Ok(0), str::parse).map_err(|_| config("the page is not a number"))?;
        let set = self.keys().set(state).ok_or_else(|| config("the state has no list"))?;
        let mut range = redis::cmd("ZRANGE");
        range.arg(set).arg(rank).arg(rank.saturating_add(count - 1));
        let ids = self.list_of(&range).await?;
        let mut jobs = Vec::with_capacity(ids.len());
        // What is no id names no job; the others are shown in spite of it.
        for id in ids.iter().filter_map(|id| JobId::parse(id).ok()) {
            // A job that moved on between the two commands is shown where it is now, or not at all.
            jobs.extend(self.show(&id).await?.filter(|job| job.state == state));
        }
        Ok(Page { jobs, next: (ids.len() == count).then(|| (rank + ids.len()).to_string()) })
    }

    async fn list_queue(&self, state: State, queue: &str, from: Option<&str>, count: usize) -> Result<Page> {
        let from = from.map(|from| EntryId::parse(from).ok_or_else(|| config("the page is not an entry")));
        let start = from.transpose()?.map_or("-".to_owned(), |from| format!("({from}"));
        let stream = self.keys().stream(queue);
        let mut range = if state == State::Active { redis::cmd("XPENDING") } else { redis::cmd("XRANGE") };
        range.arg(&stream);
        if state == State::Active {
            range.arg(GROUP).arg(start).arg("+").arg(count);
        } else {
            range.arg(start).arg("+").arg("COUNT").arg(count);
        }
        let items = match self.send(&range).await {
            Err(Error::Store(error)) if error.code() == Some("NOGROUP") => Vec::new(),
            answer => array(answer?)?,
        };
        let (mut jobs, mut last, seen) = (Vec::new(), None, items.len());
        for item in items {
            let Some(entry) = array(item)?.into_iter().next() else { continue };
            let entry = EntryId::parse(&text(entry)?).ok_or(Error::Answer("an entry id was expected"))?;
            last = Some(entry);
            jobs.extend(self.show_entry(queue, entry).await?.filter(|job| job.state == state));
        }
        let next = match last {
            Some(last) if seen == count => Some(last.to_string()),
            _ if state == State::Enqueued && self.client.broker().jobs_in_lanes(queue).await? > 0 => {
                Some(format!("{LANES}0"))
            }
            _ => None,
        };
        Ok(Page { jobs, next })
    }

    /// Jobs in the lanes of a queue, which follow on those in its stream.
    async fn list_lanes(&self, queue: &str, skip: &str, count: usize) -> Result<Page> {
        let skip: usize = skip.parse().map_err(|_| config("the page is not a number"))?;
        let ids = self.client.broker().list_lanes(queue, skip, count).await?;
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids.iter().flatten() {
            jobs.extend(self.show(id).await?.filter(|job| job.state == State::Enqueued));
        }
        Ok(Page { jobs, next: (ids.len() == count).then(|| format!("{LANES}{}", skip + count)) })
    }

    /// The job that an entry is, under its own id.
    async fn show_entry(&self, queue: &str, entry: EntryId) -> Result<Option<Details>> {
        let range = redis::cmd("XRANGE")
            .arg(self.keys().stream(queue))
            .arg(entry.to_string())
            .arg(entry.to_string())
            .to_owned();
        let Some(found) = array(self.send(&range).await?)?.into_iter().next() else { return Ok(None) };
        let fields = pairs(array(found)?.into_iter().nth(1).unwrap_or(Value::Nil))?;
        let original = fields.into_iter().find(|(name, _)| name == b"i").map(|(_, id)| id);
        let original = original.and_then(|id| JobId::parse(std::str::from_utf8(&id).ok()?).ok());
        self.show(&original.unwrap_or_else(|| JobId::of_entry(queue, entry))).await
    }

    /// How many jobs of a stream workers have; what waits to be taken again does not count.
    async fn active_in(&self, stream: &str) -> Result<u64> {
        let answer = match self.send(redis::cmd("XPENDING").arg(stream).arg(GROUP)).await {
            Err(Error::Store(error)) if error.code() == Some("NOGROUP") => return Ok(0),
            answer => array(answer?)?,
        };
        let mut active = 0;
        for consumer in array(answer.into_iter().nth(3).unwrap_or(Value::Nil))? {
            let mut consumer = array(consumer)?.into_iter();
            let (Some(name), Some(count)) = (consumer.next(), consumer.next()) else { continue };
            if !bytes(name)?.starts_with(b"~") {
                active += int(&count)?.unsigned_abs();
            }
        }
        Ok(active)
    }

    fn keys(&self) -> &crate::keys::Keys {
        self.client.broker().keys()
    }

    async fn send(&self, command: &redis::Cmd) -> Result<Value> {
        self.client.broker().send(command).await
    }

    async fn number(&self, command: &redis::Cmd) -> Result<u64> {
        Ok(int(&self.send(command).await?)?.unsigned_abs())
    }

    async fn list_of(&self, command: &redis::Cmd) -> Result<Vec<String>> {
        array(self.send(command).await?)?.into_iter().map(text).collect()
    }
}

fn config(problem: &str) -> Error {
    Error::Config(vec![problem.to_owned()])
}

fn entry_parts(fields: Vec<(Vec<u8>, Vec<u8>)>) -> (Vec<u8>, History) {
    let (mut envelope, mut history) = (Vec::new(), History::default());
    for (name, value) in fields {
        match name.as_slice() {
            b"j" => envelope = value,
            b"s" => history = History::read(&value),
            _ => {}
        }
    }
    (envelope, history)
}

fn details(id: JobId, state: State, envelope: Vec<u8>, history: History, at_ms: Option<u64>) -> Details {
    let (kind, tags, meta) = Envelope::parse(&envelope)
        .map(|envelope| (envelope.kind.into_owned(), envelope.tags, envelope.meta.unwrap_or_default()))
        .unwrap_or_default();
    let attempts = history.attempts;
    Details {
        id,
        state,
        kind,
        tags,
        meta,
        envelope,
        history,
        at_ms,
        worker: None,
        attempts,
        lane: None,
        waits_for: None,
        result: None,
    }
}
