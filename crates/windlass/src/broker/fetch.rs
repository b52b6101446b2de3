//! Taking jobs, and waiting for some to take.

use std::time::Duration;

use redis::Value;

use super::script::FETCH;
use super::{Broker, array, bytes, int};
use crate::error::{Error, Result};
use crate::id::{EntryId, JobId};

/// What to take.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The worker.
    pub consumer: &'a str,
    /// How many jobs at most.
    pub count: usize,
    /// Whether a suspect may be among them.
    pub may_suspect: bool,
    /// Which queue's wake mark brought the worker here.
    pub woken: Option<usize>,
}

/// A job that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which of the asked queues it came from.
    pub queue: usize,
    pub(crate) entry: EntryId,
    /// How often it was delivered: with the consumer and the entry, the fencing token.
    pub count: u32,
    /// Whether it may have ended a process before.
    pub is_suspect: bool,
    /// Its envelope; empty when the entry has none.
    pub envelope: Vec<u8>,
    /// Its id, when that is not its entry.
    pub id: Option<String>,
    /// Its history as JSON, when it has one.
    pub history: Option<Vec<u8>>,
}

impl Taken {
    /// The id of the job; `queue` is the name of the queue that it came from.
    pub fn job_id(&self, queue: &str) -> JobId {
        let original = self.id.as_deref().and_then(|id| JobId::parse(id).ok());
        original.unwrap_or_else(|| JobId::of_entry(queue, self.entry))
    }
}

impl Broker {
    /// Takes jobs from `queues` in that order. Answers them with the store's time in milliseconds.
    ///
    /// # Errors
    /// When the store fails; what was taken then goes back after the lease.
    pub async fn fetch(&self, queues: &[&str], request: Request<'_>) -> Result<(u64, Vec<Taken>)> {
        let mut keys = Vec::with_capacity(4 * queues.len());
        for queue in queues {
            let suspect = self.keys.suspect(queue);
            keys.extend([self.keys.gate(queue), self.keys.stream(queue), self.keys.wake(queue), suspect]);
        }
        let mut call = FETCH.call(&keys);
        call.arg(request.consumer).arg(request.count).arg(u8::from(request.may_suspect));
        call.arg(request.woken.map_or(0, |queue| queue + 1));
        let mut parts = array(self.run(&FETCH, &call).await?)?.into_iter();
        let now = parts.next().ok_or(Error::Answer("fetch did not tell the time"))?;
        let mut taken = Vec::with_capacity(request.count.min(super::BATCH_JOBS_MAX));
        for part in parts {
            read_part(part, &mut taken)?;
        }
        Ok((int(&now)?.unsigned_abs(), taken))
    }

    /// Waits until one of `queues` has a wake mark, and takes it. Needs a session of its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn wait(&self, queues: &[&str], timeout: Duration) -> Result<Option<usize>> {
        let mut command = redis::cmd("BZPOPMIN");
        let keys: Vec<_> = queues.iter().map(|queue| self.keys.wake(queue)).collect();
        command.arg(&keys).arg(timeout.as_secs_f64());
        let mut answer = array(self.send(&command).await?)?.into_iter();
        let Some(key) = answer.next() else { return Ok(None) };
        let key = bytes(key)?;
        Ok(keys.iter().position(|wake| wake.as_bytes() == key))
    }
}

/// Reads `{queue, entries}` or `{queue, entries, counts, suspect}`.
fn read_part(part: Value, taken: &mut Vec<Taken>) -> Result<()> {
    let wrong = || Error::Answer("fetch gave a part without entries");
    let mut part = array(part)?.into_iter();
    let queue = int(&part.next().ok_or_else(wrong)?)? as usize;
    let queue = queue.checked_sub(1).ok_or_else(wrong)?;
    let entries = array(part.next().ok_or_else(wrong)?)?;
    let counts = part.next().map(array).transpose()?.unwrap_or_default();
    let is_suspect = matches!(part.next(), Some(Value::BulkString(flag)) if flag == b"1");
    for (i, entry) in entries.into_iter().enumerate() {
        let count = counts.get(i).map(int).transpose()?.unwrap_or(1) as u32;
        taken.push(read_entry(queue, entry, count, is_suspect)?);
    }
    Ok(())
}

fn read_entry(queue: usize, entry: Value, count: u32, is_suspect: bool) -> Result<Taken> {
    let wrong = || Error::Answer("an entry of a stream was expected");
    let mut parts = array(entry)?.into_iter();
    let id = bytes(parts.next().ok_or_else(wrong)?)?;
    let entry = std::str::from_utf8(&id).ok().and_then(EntryId::parse).ok_or_else(wrong)?;
    let mut taken = Taken { queue, entry, count, is_suspect, envelope: Vec::new(), id: None, history: None };
    let mut fields = array(parts.next().ok_or_else(wrong)?)?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value = bytes(value)?;
        match bytes(name)?.as_slice() {
            b"j" => taken.envelope = value,
            b"i" => taken.id = String::from_utf8(value).ok(),
            b"s" => taken.history = Some(value),
            _ => {}
        }
    }
    Ok(taken)
}
