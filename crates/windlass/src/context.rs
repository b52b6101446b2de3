//! What a running job knows of itself.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::broker::{Held, Note};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::event::JobEvent;
use crate::flow::{self, Batch, BatchBuilder, JobError, Nested};
use crate::id::JobId;
use crate::worker::Shared;

/// The context of one attempt. A clone is the same context.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    id: JobId,
    kind: String,
    attempt: u32,
    max_attempts: u32,
    meta: serde_json::Map<String, serde_json::Value>,
    tags: Vec<String>,
    trace: Option<String>,
    reply: Option<String>,
    deadline: Option<SystemTime>,
    prev: Option<Box<RawValue>>,
    batch: Option<String>,
    /// The worker; the client is its.
    shared: Arc<Shared>,
    held: Held,
    leash: Arc<Leash>,
    runtime: tokio::runtime::Handle,
}

/// The facts of a job that its context shows.
pub(crate) struct Facts {
    pub(crate) id: JobId,
    pub(crate) held: Held,
    pub(crate) kind: String,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) meta: serde_json::Map<String, serde_json::Value>,
    pub(crate) tags: Vec<String>,
    pub(crate) trace: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) prev: Option<Box<RawValue>>,
    pub(crate) batch: Option<String>,
}

impl Context {
    pub(crate) fn new(
        facts: Facts,
        shared: Arc<Shared>,
        leash: Arc<Leash>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let Facts { id, held, kind, attempt, max_attempts, meta, tags, trace, reply, .. } = facts;
        let Facts { deadline_ms, prev, batch, .. } = facts;
        let deadline =
            deadline_ms.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        let inner = Inner {
            id,
            held,
            kind,
            attempt,
            max_attempts,
            meta,
            tags,
            trace,
            reply,
            deadline,
            prev,
            batch,
            shared,
            leash,
            runtime,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The job's id, the same in every attempt.
    pub fn id(&self) -> &JobId {
        &self.inner.id
    }

    /// The job's kind.
    pub fn kind(&self) -> &str {
        &self.inner.kind
    }

    /// The job's queue.
    pub fn queue(&self) -> &str {
        self.inner.id.queue()
    }

    /// Which attempt this is, from 1. Attempts that a crash cut short are counted here, though not
    /// towards the limit.
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// How many attempts may fail.
    pub fn max_attempts(&self) -> u32 {
        self.inner.max_attempts
    }

    /// What was added to the job beside its arguments.
    pub fn meta(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.inner.meta
    }

    /// The words that it was [tagged](crate::Push::tag) with.
    pub fn tags(&self) -> &[String] {
        &self.inner.tags
    }

    /// The time of the calendar that this job stands for, when a cron entry pushed it: without jitter, and also when
    /// the job makes up for a missed time. `None` for any other job, and for one that was run by hand.
    #[cfg(feature = "cron")]
    pub fn cron_due(&self) -> Option<SystemTime> {
        let due = self.inner.meta.get(crate::cron::META)?.get("due")?.as_u64()?;
        std::time::UNIX_EPOCH.checked_add(Duration::from_millis(due))
    }

    /// The trace context of the push, as in a `traceparent` header.
    pub fn trace(&self) -> Option<&str> {
        self.inner.trace.as_deref()
    }

    /// Where a reply is awaited.
    pub fn reply(&self) -> Option<&str> {
        self.inner.reply.as_deref()
    }

    /// When the job must have ended.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.inner.deadline
    }

    /// What this job follows on: the output of the job before it in a chain, the
    /// [`JobError`] that an error branch is for, the [`BatchStatus`](crate::BatchStatus) of a batch's callback. `None`
    /// for a job that follows on nothing.
    ///
    /// # Errors
    /// When it is not what the type says.
    pub fn previous<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(self.inner.prev.as_deref().map(|prev| serde_json::from_str(prev.get())).transpose()?)
    }

    /// The results of a group, for the callback of one, in the order of its jobs; none for another job.
    ///
    /// # Errors
    /// When they are not what the type says.
    pub fn results<T: DeserializeOwned>(&self) -> Result<Vec<Result<T, JobError>>> {
        self.inner.prev.as_deref().map_or(Ok(Vec::new()), flow::read_list)
    }

    /// The batch that this job is one of, to add more to it or to cancel it.
    pub fn batch(&self) -> Option<Batch> {
        self.inner.batch.clone().map(|id| Batch::new(self.client().clone(), id))
    }

    /// Begins a batch that holds the one of this job open until it has completed itself; like
    /// [`Client::batch`] when this job is in none. Close it before this job ends: what is still open then is closed with the
    /// job. So nothing hangs when the process dies in between; another attempt of this job makes another batch.
    pub fn nested_batch(&self) -> BatchBuilder {
        let nested = |parent| Nested { parent, opener: self.id().clone() };
        BatchBuilder::new(self.client().clone(), self.inner.batch.clone().map(nested))
    }

    /// The client, to push further jobs.
    pub fn client(&self) -> &Client {
        &self.inner.shared.client
    }

    /// What the worker was given with [`Worker::state`](crate::Worker::state): a pool of connections, a client of another
    /// service.
    ///
    /// ```
    /// # struct Mailer;
    /// # impl Mailer { async fn send(&self) {} }
    /// # async fn example(context: windlass::Context) -> windlass::Outcome<()> {
    /// context.state::<Mailer>()?.send().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoState`] with the name of the type when the worker was given none of it.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.inner.shared.states.get().ok_or_else(|| Error::NoState(std::any::type_name::<T>()))
    }

    pub(crate) fn set_meta(&mut self, name: String, value: serde_json::Value) {
        Arc::make_mut(&mut self.inner).meta.insert(name, value);
    }

    /// Tells how far the job is: percent, and a message of up to [`PROGRESS_MESSAGE_MAX`](crate::PROGRESS_MESSAGE_MAX)
    /// bytes. [`Handle::progress`](crate::Handle::progress) reads it, and
    /// [`progress_changes`](crate::Handle::progress_changes) waits for it. Each call is one to the store, so tell every few
    /// percent rather than every row. Answers false when the lease is lost: then nothing is noted, and it is time to stop.
    ///
    /// ```
    /// # async fn example(context: windlass::Context, rows: Vec<u32>) -> windlass::Outcome<()> {
    /// for (done, rows) in rows.chunks(1000).enumerate() {
    ///     context.progress((done * 10).min(100) as u8, format!("{} rows", done * 1000)).await?;
    ///     # let _ = rows;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub async fn progress(&self, percent: u8, message: impl AsRef<str>) -> Result<bool> {
        self.note(Note::Progress(percent, message.as_ref())).await
    }

    /// Adds a line of up to [`LOG_LINE_MAX`](crate::LOG_LINE_MAX) bytes to the job's log, of which the last
    /// [`PROGRESS_NOTES_MAX`](crate::PROGRESS_NOTES_MAX) are kept. Answers false when the lease is lost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log(&self, line: impl AsRef<str>) -> Result<bool> {
        self.note(Note::Line(line.as_ref())).await
    }

    async fn note(&self, note: Note<'_>) -> Result<bool> {
        let Inner { id, held, shared, .. } = &*self.inner;
        shared.client.broker().note(id, &shared.worker, *held, note).await
    }

    /// Waits for a future on this thread: how a [`BlockingJob`](crate::BlockingJob) pushes a job or asks the store.
    ///
    /// # Panics
    /// In an async job, whose runtime it would block; await the future there.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.runtime.block_on(future)
    }

    /// Whether to stop: the job was cancelled, the lease is lost, the time is up, or the worker ends.
    pub fn is_cancelled(&self) -> bool {
        self.inner.leash.is_cancelled()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled).
    pub async fn cancelled(&self) {
        let leash = &self.inner.leash;
        loop {
            let notified = leash.cancelled.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            if leash.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// What holds a taken job: shared by the worker's thread, which may pull it, and the executor.
#[derive(Default)]
pub(crate) struct Leash {
    pull: AtomicU8,
    is_started: AtomicBool,
    has_ended: AtomicBool,
    is_cancel_asked: AtomicBool,
    cancelled: Notify,
    executor: Mutex<Option<Waker>>,
    /// Which job it holds, once that runs and somebody hears of single jobs.
    job: OnceLock<Box<JobEvent>>,
}

/// How hard a leash is pulled; 0 is not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Pull {
    /// The job is asked to stop.
    Cancel = 1,
    /// The job's future is to be dropped.
    Drop,
}

impl Leash {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.pull.load(Ordering::Acquire) >= Pull::Cancel as u8
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.pull.load(Ordering::Acquire) >= Pull::Drop as u8
    }

    pub(crate) fn pull(&self, pull: Pull) {
        self.pull.fetch_max(pull as u8, Ordering::AcqRel);
        self.cancelled.notify_waiters();
        if pull == Pull::Drop
            && let Some(waker) = self.executor.lock().unwrap_or_else(|poison| poison.into_inner()).take()
        {
            waker.wake();
        }
    }

    /// Asks the job to stop because somebody cancelled it.
    pub(crate) fn cancel(&self) {
        self.is_cancel_asked.store(true, Ordering::Release);
        self.pull(Pull::Cancel);
    }

    /// Whether somebody cancelled the job.
    pub(crate) fn is_cancel_asked(&self) -> bool {
        self.is_cancel_asked.load(Ordering::Acquire)
    }

    /// Keeps what is to be told if the lease is lost.
    pub(crate) fn note(&self, lost: JobEvent) {
        // An attempt begins once.
        let _ = self.job.set(Box::new(lost));
    }

    /// What is to be told if the lease is lost.
    pub(crate) fn noted(&self) -> Option<&JobEvent> {
        self.job.get().map(|event| &**event)
    }

    pub(crate) fn start(&self) {
        self.is_started.store(true, Ordering::Release);
    }

    pub(crate) fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ready once the job's future is to be dropped. Polled only after the job itself was not ready, so
    /// that a job which never waits pays nothing for it.
    pub(crate) fn poll_dropped(&self, context: &mut std::task::Context<'_>) -> Poll<()> {
        *self.executor.lock().unwrap_or_else(|poison| poison.into_inner()) = Some(context.waker().clone());
        if self.is_dropped() { Poll::Ready(()) } else { Poll::Pending }
    }
}
