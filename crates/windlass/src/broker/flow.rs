//! Moves of jobs that have to do with others: ends of jobs of chains and batches, and what is done with a batch.

use std::time::Duration;

use redis::{Cmd, Value};

use super::fail::Fail;
use super::lane::Lack;
use super::lease::Held;
use super::manage::{CANCEL_STANDS, CANCELS_MAX};
use super::push::{Due, due_arg, ms, scheduled_history};
use super::script::{
    BATCH_CANCEL, BATCH_END, BATCH_LOOK, BATCH_PUSH, FAIL_FLOW, SETTLE, SETTLE_RULED, Script,
};
use super::{BATCH_JOBS_MAX, Broker, SETS_SCANNED_MAX, array, bytes, int, text};
use crate::error::{Error, Result};
use crate::flow::{BATCH_DEPTH_MAX, BatchStatus, Flow, JobError, Step};
use crate::id::JobId;
use crate::retention::Retention;
use crate::state::State;

/// A job of a chain or a batch that succeeded.
#[derive(Debug, Clone)]
pub struct Settle {
    /// What the worker holds.
    pub held: Held,
    /// The job.
    pub id: JobId,
    /// Whether its id has a redirect.
    pub is_moved: bool,
    /// Its result as JSON, and how long it is kept.
    pub result: Option<(Vec<u8>, Duration)>,
    /// The batch that it is one of.
    pub batch: Option<String>,
    /// Its place in a group, and what is kept there as JSON.
    pub item: Option<(u64, Vec<u8>)>,
    /// The next job of the chain.
    pub next: Option<Step>,
}

/// What is to be done with a batch: open it, add jobs of one queue, close it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchPush<'a> {
    pub(crate) id: &'a str,
    pub(crate) queue: &'a str,
    /// Fields of a batch to be opened; none for one that is there.
    pub(crate) create: &'a [(&'static str, Vec<u8>)],
    /// The caller keeps within [`BATCH_JOBS_MAX`] and [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX).
    pub(crate) jobs: &'a [&'a [u8]],
    pub(crate) due: Option<Due>,
    pub(crate) is_group: bool,
    /// The number of the first of these jobs among all of a batch with a key: those that were added before are left out.
    pub(crate) from: Option<u64>,
    pub(crate) closes: bool,
    /// Whether the limits of the queue are asked: not for the later calls of one push, so that none is left half done.
    pub(crate) is_limited: bool,
}

impl Broker {
    /// Ends a job of a chain or a batch that succeeded, and pushes what follows. Answers false when it was not held any
    /// more.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn settle(&self, queue: &str, consumer: &str, settle: &Settle) -> Result<bool> {
        let redirected = if settle.is_moved { settle.id.as_str() } else { "" };
        let call = self.settle_call(&SETTLE, queue, consumer, settle, redirected);
        Ok(int(&self.run_told(&SETTLE, &call).await?)? == 1)
    }

    /// The same for a job of a queue with lanes or rules: what it held of limits is free in the same step.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn settle_ruled(&self, queue: &str, consumer: &str, settle: &Settle) -> Result<bool> {
        let mut call = self.settle_call(&SETTLE_RULED, queue, consumer, settle, settle.id.as_str());
        call.arg(queue);
        Ok(int(&self.run_told(&SETTLE_RULED, &call).await?)? == 1)
    }

    fn settle_call(&self, script: &Script, queue: &str, consumer: &str, settle: &Settle, id: &str) -> Cmd {
        let keys = [
            self.keys.stream(queue),
            self.keys.suspect(queue),
            self.keys.moved(),
            self.keys.stats(),
            self.keys.result(&settle.id),
        ];
        let mut call = script.call(&keys);
        call.arg(consumer).arg(settle.held.entry.to_string()).arg(settle.held.count);
        call.arg(id);
        match &settle.result {
            Some((value, ttl)) => call.arg(ms(*ttl).max(1)).arg(value),
            None => call.arg("0").arg(""),
        };
        call.arg(settle.batch.as_deref().unwrap_or_default());
        match &settle.item {
            Some((n, item)) => call.arg(n).arg(item),
            None => call.arg("").arg(""),
        };
        match &settle.next {
            Some(next) => call.arg(&next.queue).arg(&next.job),
            None => call.arg("").arg(""),
        };
        call
    }

    /// Moves a job that ended without success, and pushes what follows from its `flow`. Otherwise as
    /// [`fail`](Self::fail).
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn fail_flow(
        &self,
        queue: &str,
        consumer: &str,
        fail: &Fail,
        retention: &Retention,
        flow: &Flow,
        error: &JobError,
    ) -> Result<bool> {
        let mut call = self.fail_call(&FAIL_FLOW, queue, consumer, fail, retention);
        call.arg(serde_json::to_vec(flow)?).arg(serde_json::to_vec(error)?);
        Ok(int(&self.run_told(&FAIL_FLOW, &call).await?)? == 1)
    }

    /// Opens a batch, adds jobs to it, closes it. Answers the ids of the jobs.
    ///
    /// # Errors
    /// [`Error::Batch`] when the batch does not take them. When the store fails, whether it was done is unknown.
    pub(crate) async fn push_batch(&self, push: &BatchPush<'_>) -> Result<Vec<JobId>> {
        let queue = push.queue;
        let keys = [
            self.keys.batch(push.id),
            self.keys.queues(),
            self.keys.stream(queue),
            self.keys.wake(queue),
            self.keys.seq(),
            self.stored(State::Scheduled),
            self.keys.jobs(),
        ];
        let mut call = BATCH_PUSH.call(&keys);
        call.arg(push.id).arg(queue).arg(push.due.map(due_arg).unwrap_or_default());
        call.arg(scheduled_history()?).arg(u8::from(push.is_group)).arg(u8::from(push.closes));
        call.arg(BATCH_DEPTH_MAX).arg(u8::from(push.is_limited));
        call.arg(push.from.map(|from| from.to_string()).unwrap_or_default()).arg(2 * push.create.len());
        for (name, value) in push.create {
            call.arg(name).arg(value);
        }
        call.arg(push.jobs);
        let mut answer = array(self.run_told(&BATCH_PUSH, &call).await?)?.into_iter();
        let refused = |problem| Err(Error::Batch { id: push.id.to_owned(), problem });
        match int(&answer.next().ok_or(Error::Answer("batch_push gave nothing"))?)? {
            -4 => Err(Lack::read(answer.collect())?.error(queue)),
            1 => answer.map(|id| JobId::parse(&text(id)?)).collect(),
            -1 => refused("is cancelled"),
            -2 => refused("would be nested in one that is over"),
            -3 => refused("would be nested too deep"),
            _ => refused("is over or was never there"),
        }
    }

    /// Cancels what has not ended of a batch: what is stored of it ends, and workers are asked to stop what they run.
    /// Answers false when it is over or was never there.
    ///
    /// # Errors
    /// When the store fails; repeating the call is safe.
    pub async fn cancel_batch(&self, id: &str) -> Result<bool> {
        let mut call = BATCH_CANCEL.call(&[self.keys.batch(id), self.keys.cancels()]);
        call.arg(id).arg(ms(CANCEL_STANDS)).arg(CANCELS_MAX);
        if int(&self.run(&BATCH_CANCEL, &call).await?)? == 0 {
            return Ok(false);
        }
        for state in [State::Scheduled, State::Retry, State::Parked] {
            self.end_cancelled(id, state).await?;
        }
        Ok(true)
    }

    /// Ends jobs of cancelled batches that are stored in `state`.
    async fn end_cancelled(&self, id: &str, state: State) -> Result<()> {
        let keys = [
            self.keys.jobs(),
            self.stored(state),
            self.stored(State::Cancelled),
            self.keys.stats(),
            self.keys.batch(id),
        ];
        let mut skip = 0;
        loop {
            let mut call = BATCH_END.call(&keys);
            call.arg(skip).arg(SETS_SCANNED_MAX).arg("its batch was cancelled");
            match array(self.run_told(&BATCH_END, &call).await?)?.as_slice() {
                [Value::Int(0), _] => return Ok(()),
                [looked, ended] => skip += int(looked)? - int(ended)?,
                _ => return Err(Error::Answer("batch_end gave other than two numbers")),
            }
        }
    }

    /// Whether a batch, or one that it is nested in, was cancelled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_batch_cancelled(&self, id: &str) -> Result<bool> {
        let call = BATCH_LOOK.call(&[self.keys.batch(id)]);
        Ok(int(&self.run(&BATCH_LOOK, &call).await?)? == 1)
    }

    /// How far a batch is; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn batch_status(&self, id: &str) -> Result<Option<BatchStatus>> {
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.batch(id));
        read.arg(&[
            "state",
            "description",
            "is_cancelled",
            "total",
            "pending",
            "succeeded",
            "dead",
            "cancelled",
        ]);
        read.arg(&["children", "completed_at", "succeeded_at", "died_at"]);
        let fields = <[Value; 12]>::try_from(array(self.send(&read).await?)?)
            .map_err(|_| Error::Answer("a batch has other fields"))?;
        let [state, description, is_cancelled, numbers @ ..] = fields;
        if state == Value::Nil {
            return Ok(None);
        }
        let number = |i: usize| match &numbers[i] {
            Value::Nil => Ok(None),
            number => int(number).map(|number| Some(number.unsigned_abs())),
        };
        let count = |i| number(i).map(Option::unwrap_or_default);
        Ok(Some(BatchStatus {
            id: id.to_owned(),
            description: (description != Value::Nil).then(|| text(description)).transpose()?,
            total: count(0)?,
            pending: count(1)?,
            succeeded: count(2)?,
            dead: count(3)?,
            cancelled: count(4)?,
            children: count(5)?,
            is_closed: text(state)? == "closed",
            is_cancelled: is_cancelled != Value::Nil,
            completed_at: number(6)?,
            succeeded_at: number(7)?,
            died_at: number(8)?,
        }))
    }

    /// What is kept of the jobs of a group, in their order; `None` while some have not ended.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn batch_items(&self, id: &str) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(status) = self.batch_status(id).await? else { return Ok(None) };
        if status.completed_at.is_none() {
            return Ok(None);
        }
        let mut read = redis::cmd("HGET");
        read.arg(self.keys.batch(id)).arg("items");
        let count = match self.send(&read).await? {
            Value::Nil => 0,
            count => int(&count)?.unsigned_abs() as usize,
        };
        let mut items = Vec::new();
        while items.len() < count {
            let last = count.min(items.len() + BATCH_JOBS_MAX);
            let mut read = redis::cmd("HMGET");
            read.arg(self.keys.batch_items(id)).arg((items.len()..last).collect::<Vec<_>>());
            for item in array(self.send(&read).await?)? {
                items.push(if item == Value::Nil { b"{}".to_vec() } else { bytes(item)? });
            }
            if items.len() != last {
                return Err(Error::Answer("a group gave another number of results than asked for"));
            }
        }
        Ok(Some(items))
    }
}
