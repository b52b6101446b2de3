//! Ending jobs that succeeded and taking new ones, in one move; and waiting for some to take.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Value;

use super::lease::{Held, add_pairs, read_entries};
use super::push::ms;
use super::script::{EXCHANGE, EXCHANGE_RULED};
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

/// What a worker is that makes an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// How many jobs it can begin at once: it gets no more than these of what is limited.
    pub free: usize,
    /// Whether any of the jobs that it ends came from a queue with lanes or rules.
    pub ends_ruled: bool,
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
    /// Whether it came from a queue with lanes or rules: its end is told with the rules.
    pub is_ruled: bool,
}

impl Taken {
    /// The id of the job; `queue` is the name of the queue that it came from.
    pub fn job_id(&self, queue: &str) -> JobId {
        let original = self.id.as_deref().and_then(|id| JobId::parse(id).ok());
        original.unwrap_or_else(|| JobId::of_entry(queue, self.entry))
    }
}

/// Jobs of one queue that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Their queue.
    pub queue: &'a str,
    /// What the consumer holds, sorted.
    pub held: &'a [Held],
    /// What some of them have beside that.
    pub extras: &'a [Extra],
}

/// What a success has beside its entry, for the few jobs that have any of it.
#[derive(Debug, Clone)]
pub struct Extra {
    pub(crate) entry: EntryId,
    /// The job.
    pub id: JobId,
    /// Whether its id has a redirect.
    pub is_moved: bool,
    /// Whether it came from a queue with lanes or rules.
    pub(crate) is_ruled: bool,
    /// Its result as JSON, and how long it is kept.
    pub result: Option<(Vec<u8>, Duration)>,
    /// The lock that is not needed any more.
    pub(crate) lock: Option<String>,
}

impl Extra {
    /// What a success of `taken`, the job `id`, has beside its entry.
    pub fn of(taken: &Taken, id: JobId, result: Option<(Vec<u8>, Duration)>) -> Self {
        let (is_moved, is_ruled) = (taken.id.is_some(), taken.is_ruled);
        Self { entry: taken.entry, id, is_moved, is_ruled, result, lock: None }
    }

    /// The same of a job that is unique until it has ended.
    pub(crate) fn locked(self, lock: Option<String>) -> Self {
        Self { lock, ..self }
    }
}

/// The answer to an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// The store's time in milliseconds.
    pub now_ms: u64,
    /// Those of the ended jobs that the consumer did not hold any more.
    pub refused: Vec<Held>,
    /// What was taken.
    pub taken: Vec<Taken>,
    /// How long until a job that waits for a limit may be taken, though nobody does anything.
    pub next: Option<Duration>,
}

impl Broker {
    /// Ends jobs, and takes others from `queues` in that order: one call, so that short jobs cost the store as
    /// few as can be.
    ///
    /// # Errors
    /// When the store fails; what was taken then goes back after the lease, and telling of the end again is safe.
    pub async fn exchange(
        &self,
        ended: Option<Ended<'_>>,
        queues: &[&str],
        request: Request<'_>,
    ) -> Result<Exchanged> {
        let ends_ruled = ended.is_some_and(|ended| ended.extras.iter().any(|extra| extra.is_ruled));
        self.exchange_with(ended, queues, request, Asker { free: request.count, ends_ruled }).await
    }

    /// The same for a worker of which more is known.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub async fn exchange_with(
        &self,
        ended: Option<Ended<'_>>,
        queues: &[&str],
        request: Request<'_>,
        Asker { free, ends_ruled }: Asker,
    ) -> Result<Exchanged> {
        if ends_ruled || self.is_ruled.load(Ordering::Relaxed) {
            return Ok(self.exchange_once(ended, queues, request, Some(free)).await?.0);
        }
        let (mut exchanged, is_ruled) = self.exchange_once(ended, queues, request, None).await?;
        let got = exchanged.taken.len();
        if is_ruled && got < request.count {
            // What ended has ended, and is told once.
            let may_suspect = request.may_suspect && !exchanged.taken.iter().any(|job| job.is_suspect);
            let rest = Request { count: request.count - got, may_suspect, woken: None, ..request };
            let free = free.saturating_sub(got);
            match self.exchange_once(None, queues, rest, Some(free)).await {
                Ok((more, _)) => {
                    exchanged.taken.extend(more.taken);
                    exchanged.next = more.next;
                }
                // What was taken before must not be lost for that.
                Err(error) if got == 0 && ended.is_none() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(exchanged)
    }

    /// One call, with the rules if `free` is given. Answers also whether a queue has lanes or rules.
    async fn exchange_once(
        &self,
        ended: Option<Ended<'_>>,
        queues: &[&str],
        request: Request<'_>,
        free: Option<usize>,
    ) -> Result<(Exchanged, bool)> {
        let Ended { queue, held, extras } = ended.unwrap_or(Ended {
            queue: queues.first().copied().unwrap_or_default(),
            held: &[],
            extras: &[],
        });
        let mut keys = Vec::with_capacity(5 + 4 * queues.len() + extras.len());
        keys.extend([
            self.keys.stream(queue),
            self.keys.suspect(queue),
            self.keys.moved(),
            self.keys.stats(),
            self.keys.gate(queue),
        ]);
        for queue in queues {
            let suspect = self.keys.suspect(queue);
            keys.extend([self.keys.gate(queue), self.keys.stream(queue), self.keys.wake(queue), suspect]);
        }
        let moved = || extras.iter().filter(|extra| extra.is_moved);
        let results = || extras.iter().filter_map(|extra| Some((extra, extra.result.as_ref()?)));
        keys.extend(results().map(|(extra, _)| self.keys.result(&extra.id)));
        let script = if free.is_some() { &EXCHANGE_RULED } else { &EXCHANGE };
        let mut call = script.call(&keys);
        call.arg(request.consumer).arg(held.len()).arg(request.count);
        let may_suspect = u8::from(request.may_suspect);
        match free {
            Some(free) => call.arg(format!("{may_suspect}r{free}")),
            None => call.arg(may_suspect),
        };
        call.arg(request.woken.map_or(0, |queue| queue + 1)).arg(moved().count());
        add_pairs(&mut call, held);
        for extra in moved() {
            call.arg(extra.entry.to_string()).arg(extra.id.as_str());
        }
        for (extra, (value, ttl)) in results() {
            call.arg(extra.entry.to_string()).arg(ms(*ttl).max(1)).arg(value);
        }
        let wrong = || Error::Answer("an exchange tells the time and what it refused");
        let mut parts = array(self.run(script, &call).await?)?.into_iter();
        let now_ms = int(&parts.next().ok_or_else(wrong)?)?.unsigned_abs();
        let refused = read_entries(parts.next().ok_or_else(wrong)?, held)?;
        let mut exchanged = Exchanged {
            now_ms,
            refused,
            taken: Vec::with_capacity(request.count.min(super::BATCH_JOBS_MAX)),
            next: None,
        };
        let mut ruled = None;
        for part in parts {
            read_part(part, &mut exchanged, &mut ruled)?;
        }
        let is_ruled = ruled.is_some();
        // One that had no room did not look at all queues.
        if request.count > 0 && (is_ruled || exchanged.taken.len() < request.count) {
            self.is_ruled.store(is_ruled, Ordering::Relaxed);
        }
        Ok((exchanged, is_ruled))
    }

    /// Takes jobs from `queues` in that order.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub async fn fetch(&self, queues: &[&str], request: Request<'_>) -> Result<Vec<Taken>> {
        Ok(self.exchange(None, queues, request).await?.taken)
    }

    /// Ends jobs that succeeded; answers those that were refused.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub async fn finish(&self, consumer: &str, ended: Ended<'_>) -> Result<Vec<Held>> {
        let request = Request { consumer, count: 0, may_suspect: false, woken: None };
        Ok(self.exchange(Some(ended), &[], request).await?.refused)
    }

    /// Leaves a wake mark for a queue, for whoever waits on it next.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark(&self, queue: &str) -> Result<()> {
        self.send(redis::cmd("ZADD").arg(self.keys.wake(queue)).arg(0).arg("w")).await.map(drop)
    }

    /// Waits until one of `queues` has a wake mark, and takes it. Needs a session of its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn wait(&self, queues: &[&str], timeout: Duration) -> Result<Option<usize>> {
        self.wait_with(queues, &[], timeout).await
    }

    /// The same with more marks of queues: the number of the queue, and a kind that is known there with its version.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub(crate) async fn wait_with(
        &self,
        queues: &[&str],
        kinds: &[(usize, &str)],
        timeout: Duration,
    ) -> Result<Option<usize>> {
        let mut command = redis::cmd("BZPOPMIN");
        let mut keys: Vec<_> = queues.iter().map(|queue| self.keys.wake(queue)).collect();
        keys.extend(kinds.iter().map(|(queue, kind)| self.keys.wake_of_kind(queues[*queue], kind)));
        command.arg(&keys).arg(timeout.as_secs_f64());
        let mut answer = array(self.send(&command).await?)?.into_iter();
        let Some(key) = answer.next() else { return Ok(None) };
        let key = bytes(key)?;
        let found = keys.iter().position(|wake| wake.as_bytes() == key);
        Ok(found.map(|at| at.checked_sub(queues.len()).map_or(at, |kind| kinds[kind].0)))
    }
}

/// Reads a list of parts as [`read_part`] does, for what was taken.
pub(super) fn read_taken(parts: Value) -> Result<Vec<Taken>> {
    let (mut exchanged, mut ruled) = (Exchanged::default(), None);
    for part in array(parts)? {
        read_part(part, &mut exchanged, &mut ruled)?;
    }
    Ok(exchanged.taken)
}

/// Reads `{queue, entries}`, `{queue, entries, counts, suspect}`, `{queue, "ruled"}` or `{0, ms}`; `ruled` is the last
/// queue that was said to have lanes or rules, before what it gives.
fn read_part(part: Value, exchanged: &mut Exchanged, ruled: &mut Option<usize>) -> Result<()> {
    let wrong = || Error::Answer("an exchange gave a part without entries");
    let mut part = array(part)?.into_iter();
    let queue = int(&part.next().ok_or_else(wrong)?)? as usize;
    let entries = match part.next().ok_or_else(wrong)? {
        Value::Int(next) if queue == 0 => {
            exchanged.next = u64::try_from(next).ok().map(Duration::from_millis);
            return Ok(());
        }
        Value::Array(entries) => entries,
        word => {
            *ruled = Some(queue);
            return if bytes(word)? == b"ruled" { Ok(()) } else { Err(wrong()) };
        }
    };
    let is_ruled = *ruled == Some(queue);
    let queue = queue.checked_sub(1).ok_or_else(wrong)?;
    let counts = part.next().map(array).transpose()?.unwrap_or_default();
    let is_suspect = matches!(part.next(), Some(Value::BulkString(flag)) if flag == b"1");
    for (i, entry) in entries.into_iter().enumerate() {
        let count = counts.get(i).map(int).transpose()?.unwrap_or(1) as u32;
        exchanged.taken.push(Taken { is_suspect, is_ruled, ..read_entry(queue, entry, count)? });
    }
    Ok(())
}

fn read_entry(queue: usize, entry: Value, count: u32) -> Result<Taken> {
    let wrong = || Error::Answer("an entry of a stream was expected");
    let mut parts = array(entry)?.into_iter();
    let id = bytes(parts.next().ok_or_else(wrong)?)?;
    let entry = std::str::from_utf8(&id).ok().and_then(EntryId::parse).ok_or_else(wrong)?;
    let (envelope, id, history) = (Vec::new(), None, None);
    let (is_suspect, is_ruled) = (false, false);
    let mut taken = Taken { queue, entry, count, is_suspect, envelope, id, history, is_ruled };
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
