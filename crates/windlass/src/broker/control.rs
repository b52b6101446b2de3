//! Moves that a person or a service asks for: promote, unpark, prune, pause, requeue, remove, show.

use std::time::Duration;

use redis::Value;

use super::lease::ids_of;
use super::push::ms;
use super::script::{PROMOTE, PRUNE, QUEUE_RM, REMOVE, REQUEUE, RESUME, RETAIN, SHOW, UNPARK};
use super::{BATCH_BYTES_MAX, Broker, array, bytes, int, text};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::retention::Retention;
use crate::state::State;

/// Most jobs that one promotion moves.
const PROMOTE_MAX: usize = 200;

/// Most bytes that one promotion moves, give or take one job.
const PROMOTE_BYTES_MAX: usize = 4 * BATCH_BYTES_MAX;

/// Most members of a set that one call looks at.
pub(crate) const SETS_SCANNED_MAX: usize = 200;

/// What a promotion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// How many jobs are in their queues now.
    pub moved: usize,
    /// How long until the next one is due.
    pub next: Option<Duration>,
    /// Queues of due jobs that the caller did not name.
    pub unknown: Vec<String>,
}

/// Where one job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Stored outside the streams: its record, the time that orders it, and the state of the set that it is in.
    Record(Vec<u8>, i64, Option<State>),
    /// In its queue: its fields, and its holder with the delivery count when somebody has it.
    Entry(Vec<(Vec<u8>, Vec<u8>)>, Option<(String, u32)>),
    /// In a lane of its queue: its record, the lane, and the limit that the lane waits for.
    Lane(Vec<u8>, String, Option<String>),
    /// Ended, with a result: its fields.
    Result(Vec<(Vec<u8>, Vec<u8>)>),
    /// Ended and forgotten, or never there.
    Nowhere,
}

/// What became of a queue that was to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueRemoval {
    /// It is forgotten.
    Removed,
    /// So many jobs wait or run in it, or are to come back to it; nothing was done.
    HasJobs(u64),
    /// So many live workers take from it; nothing was done.
    HasWorkers(u64),
    /// There is no such queue.
    Missing,
}

impl Broker {
    /// Moves due jobs of `state` (scheduled or retry) into their queues.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn promote(&self, state: State, queues: &[String]) -> Result<Promoted> {
        let mut call = PROMOTE.call(&self.keys_with_queues(state, queues));
        call.arg(PROMOTE_MAX).arg(PROMOTE_BYTES_MAX).arg(queues);
        let mut answer = array(self.run(&PROMOTE, &call).await?)?.into_iter();
        let (Some(moved), Some(next)) = (answer.next(), answer.next()) else {
            return Err(Error::Answer("promote gave no numbers"));
        };
        let next = u64::try_from(int(&next)?).ok().map(Duration::from_millis);
        let unknown = answer.map(text).collect::<Result<_>>()?;
        Ok(Promoted { moved: int(&moved)? as usize, next, unknown })
    }

    /// Puts parked jobs of `kinds` (each as `KIND:VERSION`, the latest that is known) into their queues, looking from rank
    /// `from`. Answers how many were
    /// looked at and how many moved.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unpark(&self, from: usize, queues: &[String], kinds: &[String]) -> Result<(usize, usize)> {
        let mut call = UNPARK.call(&self.keys_with_queues(State::Parked, queues));
        call.arg(from).arg(SETS_SCANNED_MAX).arg(queues.len()).arg(queues).arg(kinds);
        match array(self.run(&UNPARK, &call).await?)?.as_slice() {
            [seen, moved] => Ok((int(seen)? as usize, int(moved)? as usize)),
            _ => Err(Error::Answer("unpark gave other than two numbers")),
        }
    }

    /// Drops what is too old. Answers how much; go on while it is not 0.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune(&self, config: &Config) -> Result<usize> {
        self.prune_and_name(config).await.map(|(done, _)| done)
    }

    /// The same, with the ids of the parked jobs that are dead now.
    pub(crate) async fn prune_and_name(&self, config: &Config) -> Result<(usize, Vec<JobId>)> {
        let mut dropped = 0;
        for state in [State::Dead, State::Discarded, State::Cancelled] {
            dropped += self.retain(state, &config.retention).await?;
        }
        let keys = [
            self.keys.jobs(),
            self.stored(State::Dead),
            self.stored(State::Parked),
            self.keys.workers(),
            self.keys.stats(),
        ];
        let mut call = PRUNE.call(&keys);
        call.arg(ms(config.retention.age_max())).arg(ms(config.parked_age));
        call.arg(ms(config.lease).saturating_mul(10)).arg("no worker came that knows its kind");
        match array(self.run_told(&PRUNE, &call).await?)?.as_slice() {
            [done, died] => Ok((dropped + int(done)? as usize, ids_of(died.clone())?)),
            _ => Err(Error::Answer("prune gave other than a number and a list")),
        }
    }

    /// Drops ended jobs of `state` that are too old, or too many of their queue. Answers how many.
    async fn retain(&self, state: State, retention: &Retention) -> Result<usize> {
        let keys = [self.stored(state), self.keys.jobs(), self.keys.kept()];
        let (keeps, mut skip, mut all) = (retention.to_json(state)?, 0, 0);
        loop {
            let mut call = RETAIN.call(&keys);
            call.arg(&keeps).arg(skip).arg(SETS_SCANNED_MAX);
            match array(self.run(&RETAIN, &call).await?)?.as_slice() {
                [Value::Int(0), _] => return Ok(all),
                [looked, dropped] => {
                    skip += int(looked)? - int(dropped)?;
                    all += int(dropped)? as usize;
                }
                _ => return Err(Error::Answer("retain gave other than two numbers")),
            }
        }
    }

    /// How long until the first parked job is too old.
    ///
    /// # Errors
    /// When the store fails.
    #[cfg(feature = "embedded")]
    pub async fn parked_left(&self, config: &Config) -> Result<Option<Duration>> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.stored(State::Parked)).arg(0).arg(0).arg("WITHSCORES");
        let first: Vec<(String, f64)> =
            redis::from_redis_value(self.send(&command).await?).map_err(redis::RedisError::from)?;
        let Some((_, since)) = first.first() else { return Ok(None) };
        let end = (*since as u64).saturating_add(ms(config.parked_age));
        Ok(Some(Duration::from_millis(end.saturating_sub(self.now_ms().await?))))
    }

    /// Stops a queue from giving jobs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pause(&self, queue: &str) -> Result<()> {
        self.send(redis::cmd("HSET").arg(self.keys.gate(queue)).arg("paused").arg(1)).await.map(drop)
    }

    /// Lets a paused queue go on. Answers whether it was paused.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self, queue: &str) -> Result<bool> {
        let call = RESUME.call(&[self.keys.gate(queue), self.keys.wake(queue)]);
        Ok(int(&self.run(&RESUME, &call).await?)? == 1)
    }

    /// Forgets a queue that has no jobs and no live workers.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub(crate) async fn remove_queue(&self, queue: &str, lease: Duration) -> Result<QueueRemoval> {
        let keys = [
            self.keys.queues(),
            self.keys.stream(queue),
            self.keys.workers(),
            self.keys.by_kind(),
            self.keys.wake(queue),
            self.keys.gate(queue),
            self.keys.suspect(queue),
            self.keys.knows(queue),
            self.keys.turns(queue),
            self.keys.waits(queue),
            self.keys.pace(queue),
        ];
        let mut call = QUEUE_RM.call(&keys);
        call.arg(queue).arg(ms(lease).max(1));
        let answer = array(self.run(&QUEUE_RM, &call).await?)?;
        let answer = answer.iter().map(int).collect::<Result<Vec<_>>>()?;
        match answer.as_slice() {
            [1] => Ok(QueueRemoval::Removed),
            [0] => Ok(QueueRemoval::Missing),
            [-1, jobs] => Ok(QueueRemoval::HasJobs(jobs.unsigned_abs())),
            [-2, workers] => Ok(QueueRemoval::HasWorkers(workers.unsigned_abs())),
            _ => Err(Error::Answer("queue_rm gave numbers that are not known")),
        }
    }

    /// Puts a stored job into its queue now. Answers false when no such job is stored.
    ///
    /// # Errors
    /// When the store fails; [`Error::Duplicate`] when it is unique and an equal job is there that has not ended.
    pub async fn requeue(&self, id: &JobId) -> Result<bool> {
        let queue = id.queue();
        let mut keys =
            vec![self.keys.jobs(), self.keys.moved(), self.keys.stream(queue), self.keys.wake(queue)];
        keys.extend(self.keys.sets());
        let mut call = REQUEUE.call(&keys);
        call.arg(id.as_str()).arg(queue);
        match self.run_told(&REQUEUE, &call).await? {
            Value::BulkString(equal) => {
                Err(Error::Duplicate(JobId::parse(&String::from_utf8_lossy(&equal))?))
            }
            answer => Ok(int(&answer)? == 1),
        }
    }

    /// Removes a job that does not run: `Some(true)` when it was, `Some(false)` when there is none, `None`
    /// when a worker has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, id: &JobId) -> Result<Option<bool>> {
        let queue = id.queue();
        let mut keys =
            vec![self.keys.jobs(), self.keys.moved(), self.keys.stream(queue), self.keys.suspect(queue)];
        keys.extend(self.keys.sets());
        let mut call = REMOVE.call(&keys);
        call.arg(id.as_str()).arg(id.entry());
        let answer = int(&self.run_told(&REMOVE, &call).await?)?;
        Ok((answer >= 0).then_some(answer == 1))
    }

    /// Finds a job.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn show(&self, id: &JobId) -> Result<Place> {
        let stream = self.keys.stream(id.queue());
        let mut keys = vec![self.keys.jobs(), self.keys.moved(), stream, self.keys.result(id)];
        keys.extend(self.keys.sets());
        let mut call = SHOW.call(&keys);
        call.arg(id.as_str()).arg(id.entry());
        let mut answer = array(self.run(&SHOW, &call).await?)?.into_iter();
        let mut next = || answer.next().ok_or(Error::Answer("show left something out"));
        match text(next()?)?.as_str() {
            "record" => Ok(Place::Record(bytes(next()?)?, int(&next()?)?, State::parse(&text(next()?)?))),
            "lane" => {
                let (record, lane, limit) = (bytes(next()?)?, text(next()?)?, text(next()?)?);
                Ok(Place::Lane(record, lane, Some(limit).filter(|limit| !limit.is_empty())))
            }
            "result" => Ok(Place::Result(pairs(next()?)?)),
            "entry" => {
                next()?;
                let fields = pairs(next()?)?;
                let holder = match (answer.next(), answer.next()) {
                    (Some(holder), Some(count)) => Some((text(holder)?, int(&count)? as u32)),
                    _ => None,
                };
                Ok(Place::Entry(fields, holder))
            }
            _ => Ok(Place::Nowhere),
        }
    }

    fn keys_with_queues(&self, state: State, queues: &[String]) -> Vec<String> {
        let mut keys = vec![self.stored(state), self.keys.jobs(), self.keys.moved()];
        keys.extend(queues.iter().flat_map(|queue| [self.keys.stream(queue), self.keys.wake(queue)]));
        keys
    }
}

/// Reads a flat list of names and values.
pub(crate) fn pairs(value: Value) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut items = array(value)?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((bytes(name)?, bytes(value)?));
    }
    Ok(pairs)
}

/// Reads members with their scores: RESP3 pairs them, RESP2 has them in turn.
pub(crate) fn scored(value: Value) -> Result<Vec<(String, i64)>> {
    let wrong = || Error::Answer("a member with its score was expected");
    let mut items = array(value)?.into_iter();
    let mut members = Vec::new();
    while let Some(first) = items.next() {
        let (member, score) = match first {
            Value::Array(pair) => <[_; 2]>::try_from(pair).map_err(|_| wrong())?.into(),
            member => (member, items.next().ok_or_else(wrong)?),
        };
        members.push((text(member)?, int(&score)?));
    }
    Ok(members)
}
