//! The entries of a namespace: put, list, pause, resume, run now, remove.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::{self, Definition, Progress};
use super::{CatchUp, Cron, Overlap};
use crate::client::Client;
use crate::envelope::Envelope;
use crate::error::Result;
use crate::id::JobId;

/// Manages the cron entries of a namespace while programs run. Every call is one atomic step.
///
/// ```no_run
/// use serde_json::value::to_raw_value;
/// use windlass::{Client, Cron, Push};
/// # async fn example() -> windlass::Result<()> {
/// let crontab = Client::open("data").await?.cron();
/// let hourly = Cron::new("sweep", "@hourly")?.raw("sweep", &to_raw_value(&())?, Push::new())?;
/// crontab.put(&hourly).await?;
/// crontab.run_now("sweep").await?;
/// for entry in crontab.list().await? {
///     println!("{}: {} in {}, next at {:?}", entry.name, entry.spec, entry.zone, entry.next_ms);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Crontab {
    client: Client,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CronInfo {
    /// Its name.
    pub name: String,
    /// Its expression.
    pub spec: String,
    /// The zone of its times.
    pub zone: String,
    /// How late a run may be.
    pub jitter: Duration,
    /// What is done about missed times.
    pub catch_up: CatchUp,
    /// What is done when the last job has not ended.
    pub overlap: Overlap,
    /// The kind of its jobs.
    pub kind: String,
    /// Their queue.
    pub queue: String,
    /// Whether it is paused.
    pub is_paused: bool,
    /// When it is due next, in milliseconds since 1970; `None` while it is paused.
    pub next_ms: Option<u64>,
    /// The time that its last job was pushed for, in milliseconds since 1970.
    pub last_ms: Option<u64>,
    /// Its last job.
    pub last_id: Option<JobId>,
    /// Why workers of this version cannot use it.
    pub problem: Option<String>,
}

impl Crontab {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Adds an entry, or changes the one of the same name. One that is as before stays as it is; a changed
    /// one stays paused if it was, and its times are reckoned anew when its expression or zone is another.
    /// Answers whether anything changed.
    ///
    /// # Errors
    /// [`Error::Cron`](crate::Error::Cron) when it has no job or there are too many entries,
    /// [`Error::Payload`](crate::Error::Payload) when its job is too large, or when the store fails; repeating
    /// the call is safe.
    pub async fn put(&self, cron: &Cron) -> Result<bool> {
        self.client.broker().put_cron(cron, self.client.config()).await
    }

    /// Every entry, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<CronInfo>> {
        let mut entries = BTreeMap::new();
        let mut cursor = 0;
        loop {
            let (next, page) = self.client.broker().list_crons(cursor).await?;
            for (name, record, next_ms) in page {
                entries.insert(name.clone(), CronInfo::of(name, &record, next_ms));
            }
            if next == 0 {
                return Ok(entries.into_values().collect());
            }
            cursor = next;
        }
    }

    /// Pauses an entry: nothing is pushed for times that pass. Answers false when it was paused already.
    ///
    /// # Errors
    /// [`Error::NoCron`](crate::Error::NoCron), or when the store fails.
    pub async fn pause(&self, name: &str) -> Result<bool> {
        self.client.broker().pause_cron(name).await
    }

    /// Lets a paused entry go on with its next time; what fell into the pause is left out. Answers false
    /// when it was not paused.
    ///
    /// # Errors
    /// [`Error::NoCron`](crate::Error::NoCron), or when the store fails.
    pub async fn resume(&self, name: &str) -> Result<bool> {
        self.client.broker().resume_cron(name).await
    }

    /// Pushes an entry's job at once, whether it is paused or its last job runs; its times stay as they are.
    ///
    /// # Errors
    /// [`Error::NoCron`](crate::Error::NoCron), when a middleware refuses the job, or when the store fails. Then it may
    /// have been pushed all the same.
    pub async fn run_now(&self, name: &str) -> Result<JobId> {
        self.client.broker().run_cron_seen(name, self.client.watchers()).await
    }

    /// Removes an entry; jobs that it has pushed stay. Answers false when there is none.
    ///
    /// A worker that has the entry in its code puts it again when it starts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        self.client.broker().remove_cron(name).await
    }
}

impl CronInfo {
    /// What can be told of a record, also one of another version.
    fn of(name: String, record: &[u8], next_ms: Option<u64>) -> Self {
        let (progress, definition) = match entry::split(record) {
            Ok(parts) => parts,
            Err(error) => return Self { name, next_ms, problem: Some(error.to_string()), ..Self::default() },
        };
        let is_usable = Cron::of(&name, definition.clone()).and_then(|cron| cron.envelope(None));
        let kind = kind_of(&definition).unwrap_or_default();
        let last_id = progress.last_job();
        let Definition { spec, zone, jitter, catch_up, overlap, queue, job: _ } = definition;
        let Progress { paused: is_paused, last: last_ms, .. } = progress;
        let (jitter, problem) =
            (Duration::from_millis(jitter), is_usable.err().map(|error| error.to_string()));
        Self {
            name,
            spec,
            zone,
            jitter,
            catch_up,
            overlap,
            kind,
            queue,
            is_paused,
            next_ms,
            last_ms,
            last_id,
            problem,
        }
    }
}

fn kind_of(definition: &Definition) -> Option<String> {
    Some(Envelope::parse(definition.job.get().as_bytes()).ok()?.kind.into_owned())
}
