//! Moves into the system: push, push once, schedule.

use std::time::Duration;

use super::lane::Lack;
use super::script::{PUSH, PUSH_ONCE, QUEUE_ADD, SCHEDULE};
use super::{Broker, array, int, text};
use crate::error::{Error, Result};
use crate::id::{EntryId, JobId};
use crate::state::{History, State};

/// Most jobs of one call.
pub const BATCH_JOBS_MAX: usize = 500;

/// Most bytes of one call; a single larger job goes alone.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// When a scheduled job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// This long after the store's now.
    In(Duration),
    /// At this time, in milliseconds since 1970.
    At(u64),
}

impl Broker {
    /// Makes a queue's name known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_queue(&self, queue: &str) -> Result<()> {
        let mut call = QUEUE_ADD.call(&[self.keys.queues()]);
        call.arg(queue);
        self.run(&QUEUE_ADD, &call).await.map(drop)
    }

    /// Adds ready jobs to `queue` and answers their ids. The caller keeps within [`BATCH_JOBS_MAX`] and
    /// [`BATCH_BYTES_MAX`].
    ///
    /// # Errors
    /// When the store fails; whether the jobs were added is unknown then.
    pub async fn push(&self, queue: &str, envelopes: &[impl AsRef<[u8]>]) -> Result<Vec<JobId>> {
        let mut call = PUSH.call(&[self.keys.stream(queue), self.keys.wake(queue)]);
        call.arg("ids");
        for envelope in envelopes {
            call.arg(envelope.as_ref());
        }
        let ids = array(self.run(&PUSH, &call).await?)?;
        if ids.len() != envelopes.len() {
            return Err(Error::Answer("push gave another number of ids than jobs"));
        }
        ids.into_iter().map(|id| entry_id(queue, &text(id)?)).collect()
    }

    /// Adds ready jobs to `queue` without asking for their ids, which is cheaper.
    ///
    /// # Errors
    /// When the store fails; whether the jobs were added is unknown then.
    pub async fn push_bulk(&self, queue: &str, envelopes: &[impl AsRef<[u8]>]) -> Result<()> {
        let mut call = PUSH.call(&[self.keys.stream(queue), self.keys.wake(queue)]);
        call.arg("count");
        for envelope in envelopes {
            call.arg(envelope.as_ref());
        }
        self.run(&PUSH, &call).await.map(drop)
    }

    /// Adds a ready job unless `key` is known. Answers the id, and whether the job is new.
    ///
    /// # Errors
    /// [`Error::QueueFull`] when the queue has a limit, `is_limited` says so, and there is no room. When the store fails;
    /// repeating the call is safe.
    pub async fn push_once(
        &self,
        queue: &str,
        key: &str,
        ttl: Duration,
        envelope: &[u8],
        is_limited: bool,
    ) -> Result<(JobId, bool)> {
        let keys = [self.keys.stream(queue), self.keys.wake(queue), self.keys.enqueue_key(key)];
        let mut call = PUSH_ONCE.call(&keys);
        call.arg(envelope).arg(queue).arg(ms(ttl).max(1)).arg(u8::from(is_limited));
        let mut answer = array(self.run(&PUSH_ONCE, &call).await?)?;
        if answer.len() == 4 {
            return Err(Lack::read(answer.split_off(1))?.error(queue));
        }
        first_and_id(answer)
    }

    /// Stores jobs of `queue` that are due later and answers their ids.
    ///
    /// # Errors
    /// When the store fails; whether the jobs were stored is unknown then.
    pub async fn schedule(&self, queue: &str, jobs: &[(Due, impl AsRef<[u8]>)]) -> Result<Vec<JobId>> {
        let keys = [self.keys.seq(), self.stored(State::Scheduled), self.keys.jobs()];
        let mut call = SCHEDULE.call(&keys);
        call.arg(queue).arg(scheduled_history()?).arg("0");
        for (due, envelope) in jobs {
            call.arg(due_arg(*due)).arg(envelope.as_ref());
        }
        let answer = array(self.run(&SCHEDULE, &call).await?)?;
        answer.into_iter().skip(1).map(|id| JobId::parse(&text(id)?)).collect()
    }

    /// Stores a job that is due later unless `key` is known. Answers the id, and whether the job is new.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn schedule_once(
        &self,
        queue: &str,
        key: &str,
        ttl: Duration,
        due: Due,
        envelope: &[u8],
    ) -> Result<(JobId, bool)> {
        let set = self.stored(State::Scheduled);
        let keys = [self.keys.seq(), set, self.keys.jobs(), self.keys.enqueue_key(key)];
        let mut call = SCHEDULE.call(&keys);
        call.arg(queue).arg(scheduled_history()?).arg(ms(ttl).max(1)).arg(due_arg(due)).arg(envelope);
        first_and_id(array(self.run(&SCHEDULE, &call).await?)?)
    }

    /// The store's time in milliseconds since 1970.
    pub(crate) async fn now_ms(&self) -> Result<u64> {
        match array(self.send(&redis::cmd("TIME")).await?)?.as_slice() {
            [seconds, micros] => Ok(int(seconds)?.unsigned_abs() * 1000 + int(micros)?.unsigned_abs() / 1000),
            _ => Err(Error::Answer("TIME gave other than two numbers")),
        }
    }

    /// The key of the set of a state that is known to have one.
    pub(super) fn stored(&self, state: State) -> String {
        self.keys.set(state).expect("the state is one of State::STORED")
    }
}

fn entry_id(queue: &str, entry: &str) -> Result<JobId> {
    let entry = EntryId::parse(entry).ok_or(Error::Answer("an entry id was expected"))?;
    Ok(JobId::of_entry(queue, entry))
}

fn first_and_id(answer: Vec<redis::Value>) -> Result<(JobId, bool)> {
    let [added, id] = <[_; 2]>::try_from(answer).map_err(|_| Error::Answer("one id was expected"))?;
    Ok((JobId::parse(&text(id)?)?, int(&added)? == 1))
}

pub(super) fn scheduled_history() -> Result<String> {
    let history = History { state: State::Scheduled, ..History::default() };
    Ok(serde_json::to_string(&history)?)
}

pub(super) fn due_arg(due: Due) -> String {
    match due {
        Due::In(delay) => format!("+{}", ms(delay)),
        Due::At(at) => format!("={at}"),
    }
}

/// Whole milliseconds, the rest rounded up so that nothing is early.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(MS_MAX)
}

/// Greatest number of milliseconds that a sorted set keeps exactly.
const MS_MAX: u64 = 1 << 52;
