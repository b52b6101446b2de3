//! Moves of cron entries: put, find what is due, fire, pause, resume, run by hand, remove, list.

use std::time::Duration;

use redis::Value;

use super::script::{
    CRON_DUE, CRON_FIRE, CRON_LIST, CRON_PAUSE, CRON_PUT, CRON_REMOVE, CRON_RESUME, CRON_RUN,
};
use super::{BATCH_BYTES_MAX, Broker, array, bytes, int, text};
use crate::client::Push;
use crate::config::Config;
use crate::cron::{Cron, Entry, Overlap};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::event::{JobEvent, JobStep};
use crate::id::JobId;
use crate::middleware::{PushChain, Pushing};
use crate::state::State;

/// Most entries of a namespace.
pub const CRONS_MAX: usize = 10_000;

/// Most due entries that one look answers; a record may be as large as a job.
const DUE_MAX: usize = 20;

/// Most jobs that one call of a catching up pushes.
const FIRE_JOBS_MAX: usize = 100;

/// How many entries one call of a listing looks at, about.
const LIST_PAGE: usize = 100;

/// How often a move by hand begins anew because the entry was changed between look and move.
const RACES_MAX: usize = 20;

/// The entries that are due.
#[derive(Debug)]
#[non_exhaustive]
pub struct DueCrons {
    /// The store's time, in milliseconds since 1970.
    pub now_ms: u64,
    /// How long until the next one is due that is not yet.
    pub next: Option<Duration>,
    /// The first of those that are due.
    pub due: Vec<DueCron>,
}

/// An entry that is due, as it was seen.
#[derive(Debug)]
pub struct DueCron {
    name: String,
    /// The moment at which it is due, as the store wrote it.
    score: String,
    entry: Result<Entry>,
}

/// What became of an entry that was due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// The jobs that were pushed, oldest time first.
    pub jobs: Vec<JobId>,
    /// Whether the entry was not as it was seen any more: another worker fired it, or somebody changed it.
    pub is_stale: bool,
    /// Whether times were left out that had passed.
    pub has_missed: bool,
    /// Whether the time was left out because the last job has not ended.
    pub overlaps: bool,
    /// Why a middleware did not let a job through; the last reason, if there are several.
    pub refused: Option<String>,
}

/// A name, its record, and the moment at which it is due.
pub(crate) type Listed = (String, Vec<u8>, Option<u64>);

impl DueCron {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it cannot be used here: another version wrote it, or its zone is not known on this machine.
    pub fn problem(&self) -> Option<String> {
        self.entry.as_ref().err().map(ToString::to_string)
    }
}

impl Broker {
    /// Adds an entry, or changes the one of its name. Answers whether anything changed.
    ///
    /// # Errors
    /// When the entry has no job, a job larger than `config.max_payload`, or no time left, when there are
    /// [`CRONS_MAX`] entries, or when the store fails; repeating the call is safe.
    pub async fn put_cron(&self, cron: &Cron, config: &Config) -> Result<bool> {
        let (definition, queue) = (cron.to_definition()?, cron.queue()?);
        let now = self.now_ms().await?;
        config.check_envelope(cron.name(), &cron.envelope(Some(now))?)?;
        let (next, moment) = first(cron, now)?;
        let keys = [self.keys.cron(), self.keys.cron_next(), self.keys.seq()];
        let mut call = CRON_PUT.call(&keys);
        call.arg(cron.name())
            .arg(definition)
            .arg(cron.times())
            .arg(next)
            .arg(moment)
            .arg(queue)
            .arg(CRONS_MAX);
        match int(&self.run(&CRON_PUT, &call).await?)? {
            -1 => Err(cron.wrong("name", cron.name().into(), &format!("is one more than {CRONS_MAX}"))),
            changed => Ok(changed == 1),
        }
    }

    /// Finds entries that are due, passing over the first `passed` of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_crons(&self, passed: usize) -> Result<DueCrons> {
        let mut call = CRON_DUE.call(&self.cron_keys());
        call.arg(passed).arg(DUE_MAX);
        let mut answer = array(self.run(&CRON_DUE, &call).await?)?.into_iter();
        let (Some(now), Some(next)) = (answer.next(), answer.next()) else {
            return Err(Error::Answer("cron_due gave no numbers"));
        };
        let mut due = Vec::new();
        while let (Some(name), Some(score), Some(record)) = (answer.next(), answer.next(), answer.next()) {
            let (name, score) = (text(name)?, text(score)?);
            let entry = Entry::parse(&name, &bytes(record)?);
            due.push(DueCron { name, score, entry });
        }
        let next = u64::try_from(int(&next)?).ok().map(Duration::from_millis);
        Ok(DueCrons { now_ms: int(&now)?.unsigned_abs(), next, due })
    }

    /// Pushes the jobs of an entry that is due and moves it on. `now_ms` is the store's time at which it was
    /// seen. Many jobs go in several calls, each of which leaves the entry due for the rest.
    ///
    /// # Errors
    /// When the entry cannot be used here, or the store fails; what was pushed then is not pushed again.
    pub async fn fire_cron(&self, due: &DueCron, now_ms: u64) -> Result<Fired> {
        self.fire_seen(due, now_ms, None).await
    }

    /// The same with what sees each job before it is pushed. A time whose job is refused is left out.
    ///
    /// # Errors
    /// As [`fire_cron`](Self::fire_cron).
    pub(crate) async fn fire_seen(
        &self,
        due: &DueCron,
        now_ms: u64,
        watchers: Option<&PushChain>,
    ) -> Result<Fired> {
        let Entry { cron, progress } = match &due.entry {
            Ok(entry) => entry,
            Err(error) => return Err(Error::Unsupported(error.to_string())),
        };
        let mut plan = cron.plan(progress.due, now_ms);
        if cron.overlaps() == Overlap::Skip && plan.runs.len() > 1 {
            plan.runs.drain(..plan.runs.len() - 1);
            plan.has_missed = true;
        }
        let mut fired = Fired { has_missed: plan.has_missed, ..Fired::default() };
        let (mut score, mut rest) = (due.score.clone(), plan.runs.as_slice());
        loop {
            let Gathered { queue, times, envelopes, refused } = gather(cron, rest, watchers).await?;
            if queue != cron.queue()? {
                self.add_queue(&queue).await?;
            }
            let (done, left) = rest.split_at(times);
            // What is left was reached before now, so that it is due at once.
            let next = left.first().map(|&time| (time, time)).or(plan.next);
            let mut call = CRON_FIRE.call(&self.fire_keys(&queue, progress));
            call.arg(&due.name).arg(progress.rev).arg(&score);
            call.arg(next.map_or(String::new(), |(time, _)| time.to_string()));
            call.arg(next.map_or(String::new(), |(_, moment)| moment.to_string()));
            call.arg(&queue).arg(done.last().map_or(String::new(), ToString::to_string));
            match cron.overlaps() {
                Overlap::Allow => call.arg("-").arg(""),
                Overlap::Skip => {
                    let entry = progress.last_job();
                    call.arg(progress.last_id.as_deref().unwrap_or_default());
                    call.arg(entry.as_ref().map_or("", JobId::entry))
                }
            };
            call.arg(&envelopes);
            let mut answer = array(self.run(&CRON_FIRE, &call).await?)?.into_iter();
            match int(&answer.next().ok_or(Error::Answer("cron_fire gave nothing"))?)? {
                0 => fired.is_stale = true,
                2 => fired.overlaps = true,
                _ => {}
            }
            if !fired.is_stale {
                fired.refused = refused.or(fired.refused);
            }
            for (id, envelope) in answer.zip(&envelopes) {
                fired.jobs.push(self.tell_enqueued(JobId::parse(&text(id)?)?, envelope));
            }
            if left.is_empty() || fired.is_stale {
                return Ok(fired);
            }
            (score, rest) = (left[0].to_string(), left);
        }
    }

    /// Pauses an entry. Answers false when it was paused.
    ///
    /// # Errors
    /// When there is no such entry, or the store fails.
    pub async fn pause_cron(&self, name: &str) -> Result<bool> {
        let mut call = CRON_PAUSE.call(&self.cron_keys());
        call.arg(name);
        match int(&self.run(&CRON_PAUSE, &call).await?)? {
            -1 => Err(no_cron(name)),
            changed => Ok(changed == 1),
        }
    }

    /// Lets a paused entry go on. Answers false when it was not paused.
    ///
    /// # Errors
    /// When there is no such entry, or the store fails.
    pub async fn resume_cron(&self, name: &str) -> Result<bool> {
        for _ in 0..RACES_MAX {
            let Entry { cron, progress } = self.cron(name).await?;
            let (next, moment) = first(&cron, self.now_ms().await?)?;
            let mut call = CRON_RESUME.call(&self.cron_keys());
            call.arg(name).arg(progress.rev).arg(next).arg(moment);
            match int(&self.run(&CRON_RESUME, &call).await?)? {
                -1 => {}
                changed => return Ok(changed == 1),
            }
        }
        Err(Error::Answer("the cron entry is changed all the time"))
    }

    /// Pushes an entry's job now.
    ///
    /// # Errors
    /// When there is no such entry, or the store fails; whether the job was pushed is unknown then.
    pub async fn run_cron(&self, name: &str) -> Result<JobId> {
        self.run_cron_seen(name, None).await
    }

    /// The same with what sees the job before it is pushed.
    ///
    /// # Errors
    /// As [`run_cron`](Self::run_cron), and when it is refused.
    pub(crate) async fn run_cron_seen(&self, name: &str, watchers: Option<&PushChain>) -> Result<JobId> {
        for _ in 0..RACES_MAX {
            let Entry { cron, progress } = self.cron(name).await?;
            let (queue, envelope) = seen(&cron, None, watchers).await?;
            if queue != cron.queue()? {
                self.add_queue(&queue).await?;
            }
            let mut call =
                CRON_RUN.call(&[self.keys.cron(), self.keys.stream(&queue), self.keys.wake(&queue)]);
            call.arg(name).arg(progress.rev).arg(&queue).arg(&envelope);
            let id = text(self.run(&CRON_RUN, &call).await?)?;
            if !id.is_empty() {
                return Ok(self.tell_enqueued(JobId::parse(&id)?, &envelope));
            }
        }
        Err(Error::Answer("the cron entry is changed all the time"))
    }

    /// Removes an entry. Answers false when there was none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove_cron(&self, name: &str) -> Result<bool> {
        let mut call = CRON_REMOVE.call(&self.cron_keys());
        call.arg(name);
        Ok(int(&self.run(&CRON_REMOVE, &call).await?)? == 1)
    }

    /// A page of entries, and the cursor of the next page, 0 at the end.
    pub(crate) async fn list_crons(&self, cursor: u64) -> Result<(u64, Vec<Listed>)> {
        let mut call = CRON_LIST.call(&self.cron_keys());
        call.arg(cursor).arg(LIST_PAGE);
        let mut answer = array(self.run(&CRON_LIST, &call).await?)?.into_iter();
        let cursor = text(answer.next().ok_or(Error::Answer("cron_list gave no cursor"))?)?;
        let mut listed = Vec::new();
        while let (Some(name), Some(record), Some(moment)) = (answer.next(), answer.next(), answer.next()) {
            let moment = int(&moment).ok().and_then(|moment| u64::try_from(moment).ok());
            listed.push((text(name)?, bytes(record)?, moment));
        }
        let cursor = cursor.parse().map_err(|_| Error::Answer("cron_list gave no cursor"))?;
        Ok((cursor, listed))
    }

    /// One entry.
    async fn cron(&self, name: &str) -> Result<Entry> {
        match self.send(redis::cmd("HGET").arg(self.keys.cron()).arg(name)).await? {
            Value::Nil => Err(no_cron(name)),
            record => Entry::parse(name, &bytes(record)?),
        }
    }

    /// Tells of a job of an entry, and answers it.
    fn tell_enqueued(&self, id: JobId, envelope: &[u8]) -> JobId {
        if self.bus.is_heard() {
            let kind =
                Envelope::parse(envelope).map(|envelope| envelope.kind.into_owned()).unwrap_or_default();
            self.bus.tell_job(JobEvent::new(JobStep::Enqueued, id.clone(), kind));
        }
        id
    }

    fn cron_keys(&self) -> [String; 2] {
        [self.keys.cron(), self.keys.cron_next()]
    }

    fn fire_keys(&self, queue: &str, progress: &crate::cron::Progress) -> [String; 10] {
        let last = progress.last_job();
        let last_queue = last.as_ref().map_or(queue, JobId::queue);
        let [cron, cron_next] = self.cron_keys();
        [
            cron,
            cron_next,
            self.keys.stream(queue),
            self.keys.wake(queue),
            self.keys.stream(last_queue),
            self.keys.jobs(),
            self.keys.moved(),
            self.stored(State::Dead),
            self.stored(State::Discarded),
            self.stored(State::Cancelled),
        ]
    }
}

/// What one call does for the first times of those that are left.
struct Gathered {
    /// The queue that its jobs go to.
    queue: String,
    /// How many times it is for, those left out included.
    times: usize,
    envelopes: Vec<Vec<u8>>,
    /// Why a time was left out.
    refused: Option<String>,
}

/// The jobs of one call: within its bounds and of one queue, but for at least one time.
async fn gather(cron: &Cron, times: &[u64], watchers: Option<&PushChain>) -> Result<Gathered> {
    let (mut queue, mut envelopes, mut size, mut refused) = (None, Vec::new(), 0, None);
    let mut count = 0;
    for &time in times.iter().take(FIRE_JOBS_MAX) {
        match seen(cron, Some(time), watchers).await {
            Ok((to, envelope)) => {
                size += envelope.len();
                let fits = size <= BATCH_BYTES_MAX && queue.as_ref().is_none_or(|queue| *queue == to);
                if !fits && !envelopes.is_empty() {
                    break;
                }
                queue = Some(to);
                envelopes.push(envelope);
            }
            // Whatever a middleware fails with, the entry goes on: it would be due for ever otherwise.
            Err(error) if watchers.is_some() => refused = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        count += 1;
    }
    let queue = queue.map_or_else(|| cron.queue().map(str::to_owned), Ok)?;
    Ok(Gathered { queue, times: count, envelopes, refused })
}

/// The queue and the job for a time, once every middleware has seen it.
async fn seen(cron: &Cron, time: Option<u64>, watchers: Option<&PushChain>) -> Result<(String, Vec<u8>)> {
    let (queue, envelope) = (cron.queue()?, cron.envelope(time)?);
    let Some(watchers) = watchers else { return Ok((queue.to_owned(), envelope)) };
    let mut job = Pushing::of_envelope(queue, &envelope, &Push::new())?.fixed("comes when its entry is due");
    watchers.apply(&mut job).await?;
    job.into_bytes()
}

fn first(cron: &Cron, now: u64) -> Result<(u64, u64)> {
    cron.first(now).ok_or_else(|| cron.wrong("spec", cron.times(), "has no time left in the calendar"))
}

fn no_cron(name: &str) -> Error {
    Error::NoCron(name.to_owned())
}
