//! How jobs are sent: one by the way its options ask for, many in calls of bounded size.

use std::task::Poll;

use serde::Serialize;

use super::buffer::{Buffer, Kept, Later};
use super::many::{Batched, Tally, there_now};
use super::{Client, Encoded, Inner, Push};
use crate::broker::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, BatchPush, Due, Rule, Single, ms};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::event::{Event, JobEvent, JobStep};
use crate::id::JobId;
use crate::limit::Lane;
use crate::middleware::{PushChain, Pushing};
use crate::name::check_name;
use crate::unique::{Pushed, PushedJob};

/// What became of the push of one job.
pub(crate) struct Sent {
    pub(super) id: JobId,
    pub(super) pushed: Pushed,
    /// Its id to be, when it is buffered.
    pub(super) later: Option<Later>,
}

impl Sent {
    fn of((id, pushed): (JobId, Pushed)) -> Self {
        Self { id, pushed, later: None }
    }
}

impl Client {
    /// Pushes one job, once every middleware has seen it.
    pub(crate) async fn send(
        &self,
        queue: &str,
        envelope: Envelope<'_, impl Serialize>,
        options: &Push,
    ) -> Result<Sent> {
        let pushed = match &self.chain {
            None => self.send_seen(queue, envelope, options).await?,
            Some(chain) => {
                let mut job = Pushing::new(queue, envelope, options)?;
                chain.apply(&mut job).await?;
                let (queue, envelope, options) = job.into_parts();
                self.send_seen(&queue, envelope, &options).await?
            }
        };
        self.after_push().await?;
        Ok(pushed)
    }

    /// Pushes one job that every middleware has seen.
    async fn send_seen(
        &self,
        queue: &str,
        envelope: Envelope<'_, impl Serialize>,
        options: &Push,
    ) -> Result<Sent> {
        check_name("queue", queue)?;
        options.check_not_spread()?;
        let kind = self.bus().is_heard().then(|| envelope.kind.to_string());
        // The first job of a chain has it from its step.
        let lane = envelope.lane.as_deref().cloned();
        let encoded = self.encode(queue, envelope, options)?;
        let sent = match &self.inner.buffer {
            Some(buffer) if options.unique.is_none() => {
                self.send_or_keep(buffer, queue, lane, encoded, options).await
            }
            _ => self.send_encoded(queue, lane, encoded, options).await.map(Sent::of),
        };
        let sent = self.tell_limited(sent, || kind.clone().unwrap_or_default())?;
        if let Some(kind) = kind
            && matches!(sent.pushed, Pushed::New | Pushed::Replaced)
        {
            self.tell_pushed(&sent.id, &kind, options.due);
        }
        Ok(sent)
    }

    /// Pushes one job, or keeps it while the store is away. A unique job is not kept: whether an equal one is there is
    /// for the store to say, and for the caller to hear.
    async fn send_or_keep(
        &self,
        buffer: &Buffer,
        queue: &str,
        lane: Option<Lane>,
        encoded: Encoded,
        options: &Push,
    ) -> Result<Sent> {
        let kept = Kept {
            queue: queue.to_owned(),
            envelope: encoded.bytes.clone(),
            due: options.due,
            key: options.key.clone(),
            key_ttl: options.key_ttl.unwrap_or(self.inner.config.key_ttl),
        };
        // Behind others that wait, so that they come in order.
        if !buffer.is_waiting() {
            match self.send_encoded(queue, lane, encoded, options).await {
                Err(error) if buffer.takes(&error, options.key.is_some()) => {}
                answer => return answer.map(Sent::of),
            }
        }
        let (id, later) = buffer.keep(kept)?;
        Ok(Sent { id, pushed: Pushed::Buffered, later: Some(later) })
    }

    async fn send_encoded(
        &self,
        queue: &str,
        lane: Option<Lane>,
        Encoded { bytes, lock, .. }: Encoded,
        options: &Push,
    ) -> Result<(JobId, Pushed)> {
        let Inner { broker, config, pusher, .. } = &*self.inner;
        let ttl = options.key_ttl.unwrap_or(config.key_ttl);
        if let Some(unique) = options.uniqueness() {
            let is_limited = pusher.know(queue).await?;
            let job = Single { lock: &lock, envelope: &bytes };
            let mut singles =
                broker.push_unique(queue, unique.rule(), options.due, &[job], is_limited).await?;
            if let Some(lack) = singles.lack {
                return Err(lack.error(queue));
            }
            return match singles.pushed.pop().ok_or(Error::Answer("push_unique gave no id"))? {
                (id, Pushed::Kept) if unique.refuses() => Err(Error::Duplicate(id)),
                pushed => Ok(pushed),
            };
        }
        match (&options.key, options.due) {
            (None, None) => Ok((pusher.push(queue, lane, bytes).await?, Pushed::New)),
            (Some(key), due) => {
                let is_limited = pusher.know(queue).await?;
                let answer = match due {
                    None => broker.push_once(queue, key, ttl, &bytes, is_limited).await,
                    Some(due) => broker.schedule_once(queue, key, ttl, due, &bytes).await,
                };
                answer.map(|(id, is_new)| (id, if is_new { Pushed::New } else { Pushed::Kept }))
            }
            (None, Some(due)) => {
                pusher.know(queue).await?;
                let mut ids = broker.schedule(queue, &[(due, bytes)]).await?;
                Ok((ids.pop().ok_or(Error::Answer("schedule gave no id"))?, Pushed::New))
            }
        }
    }

    /// Pushes one job that every middleware has seen and its caller passes on.
    pub(crate) async fn send_passed(&self, job: Pushing) -> Result<JobId> {
        let (queue, envelope, options) = job.into_parts();
        let sent = self.send_seen(&queue, envelope, &options).await?;
        self.after_push().await?;
        Ok(sent.id)
    }

    /// Opens a batch, adds jobs to it, closes it, as is asked.
    pub(crate) async fn push_to_batch(&self, push: &BatchPush<'_>) -> Result<Vec<JobId>> {
        let kind =
            |job: &[u8]| Envelope::parse(job).map(|envelope| envelope.kind.into_owned()).unwrap_or_default();
        let pushed = self.inner.broker.push_batch(push).await;
        let ids = self.tell_limited(pushed, || push.jobs.first().map(|job| kind(job)).unwrap_or_default())?;
        if self.bus().is_heard() {
            for (id, job) in ids.iter().zip(push.jobs) {
                self.tell_pushed(id, &kind(job), push.due);
            }
        }
        self.after_push().await?;
        Ok(ids)
    }

    /// Tells those who listen of a push that its queue had no room for.
    fn tell_limited<T>(&self, outcome: Result<T>, kind: impl FnOnce() -> String) -> Result<T> {
        if let Err(Error::QueueFull { queue, rule, limit, actual }) = &outcome
            && self.bus().is_heard()
        {
            let (queue, rule, limit, actual) = (queue.clone(), (*rule).to_owned(), *limit, *actual);
            self.bus().tell_worker(&Event::Limited { queue, kind: kind(), rule, limit, actual });
        }
        outcome
    }

    /// Tells those who listen of a job that is there now.
    fn tell_pushed(&self, id: &JobId, kind: &str, due: Option<Due>) {
        let step = if due.is_some() { JobStep::Scheduled } else { JobStep::Enqueued };
        let delay_ms = match due {
            Some(Due::In(delay)) => Some(ms(delay)),
            Some(Due::At(_)) | None => None,
        };
        self.bus().tell_job(JobEvent { delay_ms, ..JobEvent::new(step, id.clone(), kind) });
    }

    /// Sends jobs once every middleware has seen them: those that it left where they were in bulk.
    pub(super) async fn push_seen(
        &self,
        chain: &PushChain,
        queue: &str,
        kind: &str,
        jobs: impl Iterator<Item = Result<Pushing>>,
        options: &Push,
        tally: &mut Tally,
    ) -> Result<()> {
        check_bulk(queue, options)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for job in jobs {
            let mut job = job?;
            chain.apply(&mut job).await?;
            let is_rerouted = job.is_rerouted();
            let due = job.due();
            let (to, envelope, changed) = job.into_parts();
            if is_rerouted {
                if tally.tells {
                    // What is told is told in order.
                    bytes = 0;
                    let batch = std::mem::take(&mut batch).into_iter();
                    self.push_encoded(queue, kind, batch, options, tally).await?;
                }
                let pushed = match self.send_seen(&to, envelope, &changed).await {
                    // Of many, those are left out that are there already.
                    Err(Error::Duplicate(id)) => PushedJob { id, pushed: Pushed::Kept },
                    sent => sent.map(|Sent { id, pushed, .. }| PushedJob { id, pushed })?,
                };
                tally.add(Batched::Singles(vec![pushed]));
                continue;
            }
            let job = self.encode(queue, envelope, options)?.spread(Some(due));
            bytes += job.bytes.len();
            batch.push(Ok(job));
            if batch.len() == AHEAD_JOBS_MAX || bytes >= AHEAD_BYTES_MAX {
                bytes = 0;
                let batch = std::mem::take(&mut batch).into_iter();
                self.push_encoded(queue, kind, batch, options, tally).await?;
            }
        }
        self.push_encoded(queue, kind, batch.into_iter(), options, tally).await
    }

    /// Sends encoded jobs in batches: the next one is gathered and sent while the last is under way. As many as
    /// [`AHEAD_JOBS_MAX`] are encoded before the first is sent, so that of a list of usual size none is pushed when one
    /// cannot be.
    pub(super) async fn push_encoded(
        &self,
        queue: &str,
        kind: &str,
        jobs: impl Iterator<Item = Result<Encoded>>,
        options: &Push,
        tally: &mut Tally,
    ) -> Result<()> {
        check_bulk(queue, options)?;
        let mut jobs = jobs;
        let ahead = ahead(&mut jobs)?;
        let is_limited = self.inner.pusher.know(queue).await?;
        let mut jobs = ahead.into_iter().map(Ok).chain(jobs).peekable();
        let (mut stopped, mut last) = (None, None);
        loop {
            let batch = match stopped {
                None => gather(&mut jobs).unwrap_or_else(|error| {
                    stopped = Some(error);
                    Vec::new()
                }),
                Some(_) => Vec::new(),
            };
            let next = if batch.is_empty() {
                None
            } else {
                Some(sent(self.push_batch(queue, kind, batch, options, is_limited)).await)
            };
            let is_done = next.is_none();
            // What is under way is waited for in any case, so that it is known how many there are.
            match std::mem::replace(&mut last, next) {
                None => {}
                Some(last) => match last.await {
                    Ok(batched) => tally.add(batched),
                    Err(Error::Partial { pushed: count, source, .. }) => {
                        tally.count += count;
                        stopped.get_or_insert(*source);
                    }
                    Err(error) => {
                        stopped.get_or_insert(error);
                    }
                },
            }
            if is_done {
                return match stopped {
                    None => self.after_push().await,
                    Some(error) => self.tell_limited(Err(error), || kind.to_owned()),
                };
            }
        }
    }

    async fn push_batch(
        &self,
        queue: &str,
        kind: &str,
        batch: Vec<Encoded>,
        options: &Push,
        is_limited: bool,
    ) -> Result<Batched> {
        if let Some(unique) = options.uniqueness() {
            let mut pushed = Vec::with_capacity(batch.len());
            for jobs in batch.chunk_by(|job, next| job.due == next.due) {
                let singles = self.push_singles(queue, kind, jobs, unique.rule(), is_limited).await;
                pushed.extend(singles.map_err(|error| error.after(there_now(&pushed)))?);
            }
            return Ok(Batched::Singles(pushed));
        }
        // Of a bulk load that is spread some jobs are ready and the others due later.
        let mut pushed = 0;
        for jobs in batch.chunk_by(|job, next| job.due.is_some() == next.due.is_some()) {
            let sent = match jobs[0].due {
                None => self.push_ready(queue, kind, jobs, options, is_limited).await,
                Some(due) => self.push_later(queue, kind, jobs, due).await,
            };
            sent.map_err(|error| error.after(pushed))?;
            pushed += jobs.len() as u64;
        }
        Ok(Batched::Many(pushed))
    }

    /// Sends jobs that are due later; `due` is when the first one is.
    async fn push_later(&self, queue: &str, kind: &str, jobs: &[Encoded], due: Due) -> Result<()> {
        let later: Vec<_> = jobs.iter().map(|job| (job.due.unwrap_or(due), job)).collect();
        self.tell_all(self.inner.broker.schedule(queue, &later).await?.iter(), kind, Some(due));
        Ok(())
    }

    /// Sends unique jobs that are due at the same time.
    async fn push_singles(
        &self,
        queue: &str,
        kind: &str,
        jobs: &[Encoded],
        rule: Rule,
        is_limited: bool,
    ) -> Result<Vec<PushedJob>> {
        let due = jobs.first().and_then(|job| job.due);
        let jobs: Vec<_> = jobs.iter().map(|job| Single { lock: &job.lock, envelope: &job.bytes }).collect();
        let singles = self.inner.broker.push_unique(queue, rule, due, &jobs, is_limited).await?;
        let pushed: Vec<_> =
            singles.pushed.into_iter().map(|(id, pushed)| PushedJob { id, pushed }).collect();
        let news = pushed.iter().filter(|job| job.pushed != Pushed::Kept).map(|job| &job.id);
        self.tell_all(news, kind, due);
        match singles.lack {
            Some(lack) => Err(lack.error(queue).after(there_now(&pushed))),
            None => Ok(pushed),
        }
    }

    /// Sends jobs that can run at once.
    async fn push_ready(
        &self,
        queue: &str,
        kind: &str,
        batch: &[Encoded],
        options: &Push,
        is_limited: bool,
    ) -> Result<()> {
        let (broker, bus) = (self.broker(), self.bus());
        let lane = (!options.lane.is_plain()).then_some(&options.lane);
        match lane {
            _ if is_limited => {
                let jobs: Vec<_> = batch.iter().map(|job| (lane, job.as_ref())).collect();
                let limited = broker.push_limited(queue, &jobs).await?;
                self.tell_all(limited.ids.iter(), kind, None);
                if let Some(lack) = limited.lack {
                    return Err(lack.error(queue).after(limited.ids.len() as u64));
                }
            }
            // Ids are only asked for where somebody hears of them.
            Some(lane) => {
                let jobs: Vec<_> = batch.iter().map(|job| (lane, job.as_ref())).collect();
                match bus.is_heard() {
                    true => self.tell_all(broker.push_lane(queue, &jobs).await?.iter(), kind, None),
                    false => broker.push_lane_bulk(queue, &jobs).await?,
                }
            }
            None if bus.is_heard() => {
                self.tell_all(broker.push(queue, batch).await?.iter(), kind, None);
            }
            None => broker.push_bulk(queue, batch).await?,
        }
        Ok(())
    }

    fn tell_all<'a>(&self, ids: impl Iterator<Item = &'a JobId>, kind: &str, due: Option<Due>) {
        if self.bus().is_heard() {
            ids.for_each(|id| self.tell_pushed(id, kind, due));
        }
    }
}

/// Checks what holds for all jobs of a push of many.
fn check_bulk(queue: &str, options: &Push) -> Result<()> {
    check_name("queue", queue)?;
    match options.key {
        Some(_) => Err(Error::Config(vec!["a key names one job, it cannot be given to many".into()])),
        None => Ok(()),
    }
}

/// How many jobs of a push of many are encoded before the first of them is sent.
pub const AHEAD_JOBS_MAX: usize = 16_384;

/// How many bytes these take at most, give or take one job.
pub const AHEAD_BYTES_MAX: usize = 4 << 20;

/// Encodes the first jobs of a push.
fn ahead(jobs: &mut impl Iterator<Item = Result<Encoded>>) -> Result<Vec<Encoded>> {
    let (mut ahead, mut bytes) = (Vec::new(), 0);
    while ahead.len() < AHEAD_JOBS_MAX && bytes < AHEAD_BYTES_MAX {
        let Some(job) = jobs.next() else { break };
        let job = job?;
        bytes += job.bytes.len();
        ahead.push(job);
    }
    Ok(ahead)
}

/// Takes the jobs of one call: within its bounds, but at least one while there are any.
fn gather(jobs: &mut std::iter::Peekable<impl Iterator<Item = Result<Encoded>>>) -> Result<Vec<Encoded>> {
    let mut batch: Vec<Encoded> = Vec::with_capacity(BATCH_JOBS_MAX);
    let mut bytes = 0;
    while batch.len() < BATCH_JOBS_MAX {
        let fits = |job: &Result<Encoded>| match job {
            Ok(job) => batch.is_empty() || bytes + job.bytes.len() <= BATCH_BYTES_MAX,
            Err(_) => true,
        };
        let Some(job) = jobs.next_if(fits) else { break };
        let job = job?;
        bytes += job.bytes.len();
        batch.push(job);
    }
    Ok(batch)
}

/// Begins a call: polled once, it is on its way, after those that were begun before it. The caller awaits
/// it later, in the same order.
async fn sent<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let mut call = Box::pin(call);
    let mut answer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(ready) = call.as_mut().poll(context) {
            answer = Some(ready);
        }
        Poll::Ready(())
    })
    .await;
    async move {
        match answer {
            Some(answer) => answer,
            None => call.await,
        }
    }
}
