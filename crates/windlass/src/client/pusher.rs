//! Single pushes of many tasks travel together: while one call is under way the next one gathers.
//!
//! No push waits for company; what has gathered is sent as soon as the last call has ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::broker::{BATCH_BYTES_MAX, BATCH_JOBS_MAX, Broker};
use crate::error::{Error, Result};
use crate::id::JobId;

/// How many pushes may wait to be sent; further ones wait for room.
const WAITING_MAX: usize = 4096;

/// How many queue names are remembered as known to the store.
const KNOWN_MAX: usize = 10_000;

pub(super) struct Pusher {
    broker: Broker,
    known: Mutex<HashSet<String>>,
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
}

struct Waiting {
    queue: Arc<str>,
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
        Self { broker, known: Mutex::default(), sender: Mutex::default() }
    }

    /// Makes sure that the store knows the queue's name. Before the first job, so that a crash between
    /// the two leaves an empty queue and never a job that no service sees.
    pub(super) async fn know(&self, queue: &str) -> Result<()> {
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(queue) {
            return Ok(());
        }
        self.broker.add_queue(queue).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KNOWN_MAX {
            known.insert(queue.to_owned());
        }
        Ok(())
    }

    /// Pushes one ready job.
    pub(super) async fn push(&self, queue: &str, envelope: Vec<u8>) -> Result<JobId> {
        self.know(queue).await?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { queue: queue.into(), envelope, answer };
        if let Err(mpsc::error::SendError(waiting)) = self.sender().send(waiting).await {
            // The runtime that the sending task lived on has ended, so it begins anew on this one.
            self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.sender().send(waiting).await.map_err(|_| Error::Stopped("the runtime"))?;
        }
        answered.await.map_err(|_| Error::Stopped("the runtime"))?
    }

    fn sender(&self) -> mpsc::Sender<Waiting> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let (sender, waiting) = mpsc::channel(WAITING_MAX);
            tokio::spawn(send_all(self.broker.clone(), waiting));
            sender
        };
        sender.get_or_insert_with(start).clone()
    }
}

/// Sends what gathers until the client is gone.
async fn send_all(broker: Broker, mut waiting: mpsc::Receiver<Waiting>) {
    let mut gathered = Vec::with_capacity(BATCH_JOBS_MAX);
    while waiting.recv_many(&mut gathered, BATCH_JOBS_MAX).await > 0 {
        while !gathered.is_empty() {
            let batch = take_batch(&mut gathered);
            let pushed = broker.push(&batch[0].queue, &batch).await;
            answer(batch, pushed);
        }
    }
}

/// Takes the first job and those of the same queue that follow within one call's bounds.
fn take_batch(gathered: &mut Vec<Waiting>) -> Vec<Waiting> {
    let queue = gathered[0].queue.clone();
    let mut bytes = 0;
    let follows = |job: &&Waiting| {
        bytes += job.envelope.len();
        job.queue == queue && bytes <= BATCH_BYTES_MAX
    };
    let count = gathered.iter().take_while(follows).count().max(1);
    gathered.drain(..count).collect()
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
