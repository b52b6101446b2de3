//! Single pushes of many tasks travel together: while one call is under way the next one gathers.
//!
//! No push waits for company; what has gathered is sent as soon as the last call has ended. A push that is alone makes its call
//! in its own task; only once others wait for what it sends, or it is given up, does a task of its own do so.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use crate::broker::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, Broker};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::limit::{Lane, Rule, Target};

/// How many pushes may wait to be sent; further ones wait for room.
const WAITING_MAX: usize = 4096;

/// How many queue names are remembered as known to the store.
const KNOWN_MAX: usize = 10_000;

#[derive(Clone)]
pub(super) struct Pusher {
    inner: Arc<Inner>,
}

/// How long a client goes by what it has read of a queue's rule: so long after another client has set
/// [`max_jobs`](crate::Rule::max_jobs) or [`max_bytes`](crate::Rule::max_bytes) its pushes are still let in.
pub const QUEUE_RULES_AGE_MAX: Duration = Duration::from_secs(5);

struct Inner {
    broker: Broker,
    known: Mutex<HashMap<String, Known>>,
    gathered: Mutex<Gathered>,
    room: Semaphore,
}

/// What is known of a queue.
#[derive(Clone, Copy)]
struct Known {
    /// Whether its rule lets only so many jobs in.
    is_limited: bool,
    /// When that was read.
    read_at: Instant,
}

#[derive(Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    /// Whether somebody sends what gathers.
    is_sending: bool,
    /// What sends, while no more than one push waits for it, which polls it.
    sending: Option<Sending>,
    /// The number of what sends.
    number: u64,
    /// Whether more than one push waits for it.
    has_others: bool,
}

type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Waiting {
    queue: Arc<str>,
    lane: Option<Lane>,
    is_limited: bool,
    envelope: Vec<u8>,
    answer: oneshot::Sender<Result<JobId>>,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.envelope
    }
}

impl Pusher {
    pub(super) fn new(broker: Broker) -> Self {
        let room = Semaphore::new(WAITING_MAX);
        let inner = Inner { broker, known: Mutex::default(), gathered: Mutex::default(), room };
        Self { inner: Arc::new(inner) }
    }

    /// Makes sure that the store knows the queue's name. Before the first job, so that a crash between
    /// the two leaves an empty queue and never a job that no service sees. Answers whether the queue has a limit.
    pub(super) async fn know(&self, queue: &str) -> Result<bool> {
        let found = self.inner.known().get(queue).copied();
        if let Some(found) = found.filter(|found| found.read_at.elapsed() < QUEUE_RULES_AGE_MAX) {
            return Ok(found.is_limited);
        }
        // Also with the rule, since the queue may have been forgotten meanwhile.
        self.inner.broker.add_queue(queue).await?;
        let rule = self.inner.broker.rule(&Target::queue(queue).to_string()).await?;
        let rule = rule.map(|rule| serde_json::from_str::<Rule>(&rule)).transpose()?;
        let is_limited = rule.is_some_and(|rule| rule.max_jobs.is_some() || rule.max_bytes.is_some());
        let mut known = self.inner.known();
        if known.len() < KNOWN_MAX || found.is_some() {
            known.insert(queue.to_owned(), Known { is_limited, read_at: Instant::now() });
        }
        Ok(is_limited)
    }

    /// Has the rules of queues read anew.
    pub(super) fn forget_rules(&self) {
        self.inner.known().clear();
    }

    /// Pushes one ready job, to the end of its queue or into its lane.
    pub(super) async fn push(&self, queue: &str, lane: Option<Lane>, envelope: Vec<u8>) -> Result<JobId> {
        let is_limited = self.know(queue).await?;
        let _room = self.inner.room.acquire().await.map_err(|_| Error::Stopped("the client"))?;
        let (answer, mut answered) = oneshot::channel();
        let mut driver = {
            let mut gathered = self.inner.gathered();
            gathered.waiting.push(Waiting { queue: queue.into(), lane, is_limited, envelope, answer });
            if std::mem::replace(&mut gathered.is_sending, true) {
                gathered.has_others = true;
                // Whoever polls it now may stop to do so, and this push must not hang on that.
                let sending = gathered.sending.take();
                drop(gathered);
                sending.map(tokio::spawn);
                None
            } else {
                gathered.has_others = false;
                gathered.number += 1;
                gathered.sending =
                    Some(Box::pin(send_all(Sender { inner: self.inner.clone(), has_ended: false })));
                Some(Driver { inner: &self.inner, number: gathered.number })
            }
        };
        let answer = std::future::poll_fn(|context| {
            if driver.as_ref().is_some_and(|driver| !driver.poll(context)) {
                driver = None;
            }
            Pin::new(&mut answered).poll(context)
        });
        answer.await.map_err(|_| Error::Stopped("the runtime"))?
    }
}

/// The push that polls what sends. Given up, it leaves that to a task: what began must end for the sake of others.
struct Driver<'a> {
    inner: &'a Inner,
    number: u64,
}

impl Driver<'_> {
    /// Answers whether it is still this push that has to poll.
    fn poll(&self, context: &mut Context<'_>) -> bool {
        let Some(mut sending) = self.take() else { return false };
        if sending.as_mut().poll(context).is_ready() {
            return false;
        }
        let mut gathered = self.inner.gathered();
        if gathered.has_others {
            drop(gathered);
            tokio::spawn(sending);
            return false;
        }
        gathered.sending = Some(sending);
        true
    }

    /// What sends, unless somebody else has it or it has ended.
    fn take(&self) -> Option<Sending> {
        let mut gathered = self.inner.gathered();
        if gathered.number == self.number { gathered.sending.take() } else { None }
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        let sending = self.take();
        if let (Some(sending), Ok(runtime)) = (sending, tokio::runtime::Handle::try_current()) {
            runtime.spawn(sending);
        }
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that sends. Dropped before its end, with the runtime that it lived on, it leaves no push waiting for it.
struct Sender {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut gathered = self.inner.gathered();
            gathered.is_sending = false;
            gathered.waiting.clear();
        }
    }
}

/// Sends what has gathered, and what gathers meanwhile.
async fn send_all(mut sender: Sender) {
    let inner = sender.inner.clone();
    loop {
        let mut gathered = {
            let mut gathered = inner.gathered();
            if gathered.waiting.is_empty() {
                // Under the lock, so that whoever comes next sends.
                gathered.is_sending = false;
                sender.has_ended = true;
                break;
            }
            std::mem::take(&mut gathered.waiting)
        };
        while !gathered.is_empty() {
            let batch = take_batch(&mut gathered);
            if batch[0].is_limited {
                answer_limited(&inner.broker, batch).await;
                tokio::task::consume_budget().await;
                continue;
            }
            let pushed = match batch[0].lane {
                None => inner.broker.push(&batch[0].queue, &batch).await,
                Some(_) => {
                    let jobs = batch.iter().filter_map(|job| Some((job.lane.as_ref()?, job.as_ref())));
                    inner.broker.push_lane(&batch[0].queue, &jobs.collect::<Vec<_>>()).await
                }
            };
            answer(batch, pushed);
            tokio::task::consume_budget().await;
        }
    }
}

/// Takes the first job and those of the same queue that follow within one call's bounds: all with a lane, or none, or
/// all to be counted against a limit.
fn take_batch(gathered: &mut Vec<Waiting>) -> Vec<Waiting> {
    let sort = |job: &Waiting| (job.is_limited, !job.is_limited && job.lane.is_some());
    let (queue, first) = (gathered[0].queue.clone(), sort(&gathered[0]));
    let mut bytes = 0;
    let follows = |job: &&Waiting| {
        bytes += job.envelope.len();
        job.queue == queue && sort(job) == first && bytes <= BATCH_BYTES_MAX
    };
    let count = gathered.iter().take(BATCH_JOBS_MAX).take_while(follows).count().max(1);
    gathered.drain(..count).collect()
}

/// Sends jobs to a queue that has a limit; those that do not fit are told so.
async fn answer_limited(broker: &Broker, batch: Vec<Waiting>) {
    let queue = batch[0].queue.clone();
    let jobs: Vec<_> = batch.iter().map(|job| (job.lane.as_ref(), job.as_ref())).collect();
    match broker.push_limited(&queue, &jobs).await {
        Ok(limited) => {
            let mut ids = limited.ids.into_iter();
            for job in batch {
                let full = || match limited.lack {
                    Some(lack) => Err(lack.error(&queue)),
                    None => Err(Error::Answer("push_limited gave another number of ids than jobs")),
                };
                let _ = job.answer.send(ids.next().map_or_else(full, Ok));
            }
        }
        Err(error) => answer(batch, Err(error)),
    }
}

fn answer(batch: Vec<Waiting>, pushed: Result<Vec<JobId>>) {
    match pushed {
        Ok(ids) => {
            for (job, id) in batch.into_iter().zip(ids) {
                // A caller that has gone away does not need its id; the job is pushed all the same.
                let _ = job.answer.send(Ok(id));
            }
        }
        Err(error) => {
            for job in batch {
                let _ = job.answer.send(Err(same(&error)));
            }
        }
    }
}

/// The error for one more caller of the failed call.
fn same(error: &Error) -> Error {
    match error {
        Error::Store(error) => Error::Store(error.clone()),
        Error::Answer(what) => Error::Answer(what),
        other => Error::Unsupported(other.to_string()),
    }
}
