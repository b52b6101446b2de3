//! Pushes wait in this process while the store is away, if the client was asked for that.
//!
//! Only a push that surely did not happen is kept: nothing was written to the store, or the store said that it takes
//! nothing now. Of one whose answer was lost nobody knows, and a second push could make a second job; with an enqueue
//! key it cannot, so such a push is kept as well. Each job that is kept without a key is given one of its own, so that an
//! answer lost while the buffer is sent does no harm either.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::pusher::Pusher;
use crate::broker::{Broker, Due};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::random::random;

/// The wait before a job is sent again, doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a store says that takes nothing at present and will again.
const AWAY_CODES: [&str; 5] = ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];

/// What a store says that will not take a push at any time. All else passes, a full store and a failed disk too, and what
/// was promised to be sent waits for that.
const FINAL_CODES: [&str; 3] = ["ERR", "WRONGTYPE", "NOPERM"];

/// The id of a buffered job, once the store has given it one.
pub(super) type Later = Arc<OnceLock<JobId>>;

/// What a client's buffer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffered {
    /// Jobs that wait for the store.
    pub jobs: usize,
    /// The size of their envelopes, in bytes.
    pub bytes: usize,
    /// For how long the first of them has waited.
    pub waited: Option<Duration>,
    /// Why it has not been sent; what the store said last.
    pub error: Option<String>,
    /// Jobs that the store refused for good once it was back, since the client began: they are lost, and were told of in
    /// the log.
    pub refused: u64,
}

/// A push on its way to the buffer.
pub(super) struct Kept {
    pub(super) queue: String,
    pub(super) envelope: Vec<u8>,
    pub(super) due: Option<Due>,
    pub(super) key: Option<String>,
    pub(super) key_ttl: Duration,
}

struct Waiting {
    kept: Kept,
    key: String,
    since: Instant,
    later: Later,
}

/// The buffer of a client.
pub(super) struct Buffer {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Broker,
    pusher: Pusher,
    jobs_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
    emptied: Notify,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Arc<Waiting>>,
    bytes: usize,
    error: Option<String>,
    refused: u64,
    /// Whether a task sends what is there.
    is_sending: bool,
}

/// Whether a push that failed so may be made again later: it did not happen, and the store may take it then. `is_once`
/// says that a second push of the job makes no second job.
fn may_wait(error: &Error, is_once: bool) -> bool {
    let Error::Store(error) = error else { return false };
    match windlass_conn::Error::of(error) {
        Some(windlass_conn::Error::Connect { .. } | windlass_conn::Error::OwnerSilent { .. }) => true,
        Some(_) => is_once && windlass_conn::may_have_happened(error),
        None => error.code().is_some_and(|code| AWAY_CODES.contains(&code)),
    }
}

/// Whether a push will never be taken.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Store(error) if windlass_conn::Error::of(error).is_none() => {
            error.code().is_some_and(|code| FINAL_CODES.contains(&code))
        }
        error => !may_wait(error, true),
    }
}

impl Buffer {
    /// The buffer that the settings ask for, if they do.
    pub(super) fn of(config: &Config, broker: &Broker, pusher: &Pusher) -> Option<Self> {
        let (jobs_max, bytes_max) = (config.buffer_jobs, config.buffer_bytes);
        (jobs_max > 0).then(|| {
            let (broker, pusher) = (broker.clone(), pusher.clone());
            let (state, emptied) = (Mutex::default(), Notify::new());
            Self { inner: Arc::new(Inner { broker, pusher, jobs_max, bytes_max, state, emptied }) }
        })
    }

    /// Whether a push has to queue up behind others that wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.inner.state().jobs.is_empty()
    }

    /// Whether a push that failed so is kept.
    pub(super) fn takes(&self, error: &Error, has_key: bool) -> bool {
        may_wait(error, has_key)
    }

    /// Keeps a push, and has it sent when the store is back.
    pub(super) fn keep(&self, kept: Kept) -> Result<(JobId, Later)> {
        let later = Later::default();
        let id = JobId::waiting(&kept.queue, random());
        let mut state = self.inner.state();
        let size = kept.envelope.len();
        if state.jobs.len() >= self.inner.jobs_max || state.bytes + size > self.inner.bytes_max {
            return Err(Error::BufferFull { jobs: state.jobs.len(), bytes: state.bytes });
        }
        let key = kept.key.clone().unwrap_or_else(|| format!("buffered-{:016x}{:016x}", random(), random()));
        state.jobs.push_back(Arc::new(Waiting { kept, key, since: Instant::now(), later: later.clone() }));
        state.bytes += size;
        if !std::mem::replace(&mut state.is_sending, true) {
            crate::task::spawn(send_all(Sender { inner: self.inner.clone(), has_ended: false }));
        }
        Ok((id, later))
    }

    pub(super) fn look(&self) -> Buffered {
        let state = self.inner.state();
        let waited = state.jobs.front().map(|first| first.since.elapsed());
        let error = state.error.clone().filter(|_| waited.is_some());
        Buffered { jobs: state.jobs.len(), bytes: state.bytes, waited, error, refused: state.refused }
    }

    /// Waits until nothing is left, for `time` at most.
    pub(super) async fn flush(&self, time: Duration) {
        let emptied = async {
            loop {
                let mut emptied = std::pin::pin!(self.inner.emptied.notified());
                emptied.as_mut().enable();
                if !self.is_waiting() {
                    return;
                }
                emptied.await;
            }
        };
        // Whoever asked is told by what is left.
        let _ = timeout(time, emptied).await;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, job: &Waiting) -> Result<JobId> {
        let Waiting { kept, key, since, .. } = job;
        self.pusher.know(&kept.queue).await?;
        let pushed = match kept.due {
            // Its caller was told that it is taken, so a full queue takes it, too.
            None => self.broker.push_once(&kept.queue, key, kept.key_ttl, &kept.envelope, false).await,
            Some(due) => {
                let due = match due {
                    Due::In(delay) => Due::In(delay.saturating_sub(since.elapsed())),
                    at => at,
                };
                self.broker.schedule_once(&kept.queue, key, kept.key_ttl, due, &kept.envelope).await
            }
        };
        Ok(pushed?.0)
    }

    /// The first one has been sent, or never will be.
    fn leave(&self) {
        let mut state = self.state();
        if let Some(job) = state.jobs.pop_front() {
            state.bytes -= job.kept.envelope.len();
        }
        if state.jobs.is_empty() {
            self.emptied.notify_waiters();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let left = self.state().jobs.len();
        if left > 0 {
            tracing::error!(target: "windlass", "{left} buffered jobs were not sent and are lost");
        }
    }
}

/// The task that sends. Dropped with its runtime it leaves the buffer to the next push.
struct Sender {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.state().is_sending = false;
        }
    }
}

/// Sends what waits, in order, until nothing does.
async fn send_all(mut sender: Sender) {
    let inner = sender.inner.clone();
    let mut backoff = BACKOFF.0;
    loop {
        let first = {
            let mut state = inner.state();
            let first = state.jobs.front().cloned();
            // Under the lock, so that the next push begins another task.
            state.is_sending = first.is_some();
            first
        };
        let Some(job) = first else {
            sender.has_ended = true;
            return;
        };
        match inner.send(&job).await {
            Ok(id) => {
                // It is set here alone.
                let _ = job.later.set(id);
                inner.leave();
                backoff = BACKOFF.0;
            }
            Err(error) if !is_final(&error) => {
                inner.state().error = Some(error.to_string());
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
            Err(error) => {
                tracing::error!(target: "windlass", "a buffered job of {} is lost: {error}", job.kept.queue);
                inner.state().refused += 1;
                inner.leave();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_given_up_only_for_what_does_not_pass() {
        let said = |text: &str| {
            let error = redis::parse_redis_value(format!("-{text}\r\n").as_bytes());
            Error::Store(error.and_then(redis::Value::extract_error).expect_err("an error"))
        };
        for text in
            ["OOM no memory", "MISCONF no disk", "LOADING the data", "BUSY with a script", "NOREPLICAS left"]
        {
            assert!(!is_final(&said(text)), "{text}");
        }
        for text in ["ERR no such command", "WRONGTYPE of a key", "NOPERM for you"] {
            assert!(is_final(&said(text)), "{text}");
        }
        assert!(may_wait(&said("LOADING the data"), false) && !may_wait(&said("OOM no memory"), true));
    }
}
