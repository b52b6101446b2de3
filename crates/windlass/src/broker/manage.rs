//! Moves of single jobs that a person asks for: cancel, kill, reschedule, edit; and putting many back.

use redis::{Cmd, Value};

use super::control::scored;
use super::push::{due_arg, ms};
use super::script::{CANCEL, EDIT, REQUEUE_ALL, RESCHEDULE, Script};
use super::{BATCH_BYTES_MAX, Broker, Due, array, int, text};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::state::State;

/// How long a request to stop stands: a worker that takes the job from a dead one within this time heeds it, too. Such a job
/// may wait long, as in a queue that is paused.
pub(crate) const CANCEL_STANDS: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// How many requests to stop may stand in a namespace; the oldest give way.
pub(crate) const CANCELS_MAX: usize = 10_000;

/// Most requests that one call reads.
const CANCELS_PAGE: usize = 500;

/// Most jobs that one call looks at to put them back.
const REQUEUE_MAX: u64 = 100;

/// What is asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToStop {
    /// A job, named by its entry.
    Job(JobId),
    /// What runs of a batch and of those nested in it.
    Batch(String),
}

/// What became of a job that was to be ended by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It did not run, and is in its new state.
    Ended,
    /// A worker has it and is asked to stop it: its token fires within about a second. If it then fails it is
    /// cancelled; a job that does not heed its token ends as it ends.
    Asked,
    /// A worker has it, and nothing was done.
    Active,
    /// It had ended without success before.
    Over,
    /// There is no such job any more, or never was.
    Missing,
}

/// What became of a job that was to be due at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rescheduled {
    /// It waits for its new time.
    Scheduled,
    /// A worker has it, and nothing was done.
    Active,
    /// There is no such job any more, or never was.
    Missing,
}

/// What became of a job that was to be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edited {
    /// It is changed and waits where it was.
    Edited,
    /// It is changed and in its queue now.
    Enqueued,
    /// It was in its queue already. It was taken out and pushed again under its id, so that it is the last one there.
    Repushed,
    /// A worker has it, and nothing was done.
    Active,
    /// There is no such job any more, or never was.
    Missing,
}

/// What became of jobs that were to be put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requeued {
    /// How many are in their queues now.
    pub moved: u64,
    /// How many stayed where they are, since they are unique and an equal job is there that has not ended.
    pub kept_out: u64,
}

/// Which stored jobs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Those of this state. Default: the dead.
    pub state: State,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those of this queue.
    pub queue: Option<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { state: State::Dead, kind: None, queue: None }
    }
}

impl Broker {
    /// Ends a job as cancelled, or asks the worker that has it to.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn cancel(&self, id: &JobId) -> Result<Ending> {
        self.end(id, State::Cancelled, "it was cancelled", ms(CANCEL_STANDS)).await
    }

    /// Puts a job among the dead that does not run.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn kill(&self, id: &JobId) -> Result<Ending> {
        self.end(id, State::Dead, "it was killed", 0).await
    }

    async fn end(&self, id: &JobId, state: State, reason: &str, stands_ms: u64) -> Result<Ending> {
        let more = [self.stored(state), self.keys.stats(), self.keys.cancels()];
        let mut call = self.by_id(&CANCEL, id, &more);
        call.arg(state.as_str()).arg(reason);
        call.arg(stands_ms).arg(CANCELS_MAX);
        match text(self.run_told(&CANCEL, &call).await?)?.as_str() {
            "ended" => Ok(Ending::Ended),
            "asked" => Ok(Ending::Asked),
            "active" => Ok(Ending::Active),
            "over" => Ok(Ending::Over),
            "none" => Ok(Ending::Missing),
            _ => Err(Error::Answer("cancel gave a word that is not known")),
        }
    }

    /// Requests to stop from the score `since` on, each with its score. Answers no more than a page; go on behind it with
    /// `skip`.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn cancels(&self, since: i64, skip: usize) -> Result<(Vec<(ToStop, i64)>, bool)> {
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(self.keys.cancels()).arg(since).arg("+inf").arg("WITHSCORES");
        range.arg("LIMIT").arg(skip).arg(CANCELS_PAGE);
        let page = scored(self.send(&range).await?)?;
        let is_full = page.len() == CANCELS_PAGE;
        let page = page.into_iter().map(|(member, at)| {
            let batch = member.strip_prefix("batch:").map(|id| ToStop::Batch(id.to_owned()));
            Ok((batch.map_or_else(|| JobId::parse(&member).map(ToStop::Job), Ok)?, at))
        });
        Ok((page.collect::<Result<_>>()?, is_full))
    }

    /// Sets when a job is due that does not run.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn reschedule(&self, id: &JobId, due: Due) -> Result<Rescheduled> {
        let mut call = self.by_id(&RESCHEDULE, id, &[]);
        call.arg(due_arg(due));
        match word(self.run_told(&RESCHEDULE, &call).await?)?.as_str() {
            "scheduled" => Ok(Rescheduled::Scheduled),
            "active" => Ok(Rescheduled::Active),
            "none" => Ok(Rescheduled::Missing),
            _ => Err(Error::Answer("reschedule gave a word that is not known")),
        }
    }

    /// Gives a job that does not run another envelope in place of `old`, and puts it into its queue if `is_due`.
    /// Answers `None` when it has another envelope than `old`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn edit(&self, id: &JobId, old: &[u8], new: &[u8], is_due: bool) -> Result<Option<Edited>> {
        let mut call = self.by_id(&EDIT, id, &[self.keys.wake(id.queue())]);
        call.arg(old).arg(new).arg(u8::from(is_due));
        match word(self.run_told(&EDIT, &call).await?)?.as_str() {
            "edited" => Ok(Some(Edited::Edited)),
            "enqueued" => Ok(Some(Edited::Enqueued)),
            "repushed" => Ok(Some(Edited::Repushed)),
            "active" => Ok(Some(Edited::Active)),
            "none" => Ok(Some(Edited::Missing)),
            "changed" => Ok(None),
            _ => Err(Error::Answer("edit gave a word that is not known")),
        }
    }

    /// Puts every job that fits into its queue, but those that came into their state since the call began, and but for unique
    /// ones of which an equal one is there. What is scheduled or to be retried need not be due; of these no more are looked
    /// at than were there when the call began.
    ///
    /// # Errors
    /// When the store fails; some jobs are in their queues then, and repeating the call moves the rest. When the
    /// state is not one whose jobs are stored.
    pub async fn requeue_all(&self, filter: &Filter, queues: &[String]) -> Result<Requeued> {
        let set = self.keys.set(filter.state).ok_or_else(|| {
            Error::Config(vec![format!(
                "jobs that are {} are not stored, they cannot be put back",
                filter.state
            )])
        })?;
        let mut keys = vec![set, self.keys.jobs(), self.keys.moved()];
        keys.extend(queues.iter().flat_map(|queue| [self.keys.stream(queue), self.keys.wake(queue)]));
        let mut left = int(&self.send(redis::cmd("ZCARD").arg(&keys[0])).await?)?.unsigned_abs();
        // What waits for its time is ordered by that, not by when it came: there the number alone is the bound.
        let waits = matches!(filter.state, State::Scheduled | State::Retry);
        let mut latest = if waits { "+inf".to_owned() } else { String::new() };
        let (mut skip, mut requeued) = (0, Requeued::default());
        loop {
            let mut call = REQUEUE_ALL.call(&keys);
            call.arg(skip).arg(left.min(REQUEUE_MAX)).arg(BATCH_BYTES_MAX).arg(&latest);
            call.arg(filter.kind.as_deref().unwrap_or_default());
            call.arg(filter.queue.as_deref().unwrap_or_default()).arg(queues);
            let answer = array(self.run_told(&REQUEUE_ALL, &call).await?)?;
            let [looked, moved, score, kept_out] = <[Value; 4]>::try_from(answer)
                .map_err(|_| Error::Answer("requeue_all gave other than four values"))?;
            let (looked, moved) = (int(&looked)?.unsigned_abs(), int(&moved)?.unsigned_abs());
            latest = text(score)?;
            requeued.moved += moved;
            requeued.kept_out += int(&kept_out)?.unsigned_abs();
            skip += looked.saturating_sub(moved);
            left = left.saturating_sub(looked);
            if looked == 0 || left == 0 {
                return Ok(requeued);
            }
        }
    }

    /// Begins a call that finds one job; `more` are the keys after those of `find.lua`.
    fn by_id(&self, script: &Script, id: &JobId, more: &[String]) -> Cmd {
        let mut keys = self.by_id_keys(id.queue());
        keys.extend_from_slice(more);
        let mut call = script.call(&keys);
        call.arg(id.as_str());
        call
    }

    /// The keys of `find.lua`.
    pub(super) fn by_id_keys(&self, queue: &str) -> Vec<String> {
        let mut keys =
            vec![self.keys.jobs(), self.keys.moved(), self.keys.stream(queue), self.keys.suspect(queue)];
        keys.extend(self.keys.sets());
        keys
    }
}

/// What was done, as a word; in its place an array names an equal job that keeps this one out.
fn word(answer: Value) -> Result<String> {
    match answer {
        Value::Array(mut equal) => match equal.pop() {
            Some(id) => Err(Error::Duplicate(JobId::parse(&text(id)?)?)),
            None => Err(Error::Answer("a word was expected")),
        },
        answer => text(answer),
    }
}
