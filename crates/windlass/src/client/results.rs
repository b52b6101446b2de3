//! Waiting for results: one blocking read for all who wait on this client.
//!
//! The read lists the results' streams and a stream of this client's own, the nudge. Whoever begins to
//! wait adds an entry to the nudge, so that the read returns and is made again with one stream more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::broker::{Broker, array, bytes, text};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::random::random;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Waiters = HashMap<String, Vec<oneshot::Sender<Fields>>>;

/// How long one read blocks; then waiters that went away are forgotten.
const READ_MAX: Duration = Duration::from_secs(5);

/// How long the nudge outlives its last use.
const NUDGE_TTL: Duration = Duration::from_secs(60);

/// The wait before a failed read is tried again, doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(super) struct Results {
    broker: Broker,
    nudge: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    waiters: Waiters,
    reader: Option<tokio::task::AbortHandle>,
}

impl Results {
    pub(super) fn new(broker: Broker) -> Self {
        let nudge = broker.keys().nudge(&format!("{:016x}", random()));
        Self { broker, nudge, shared: Arc::default() }
    }

    /// Waits for the fields of a job's result.
    pub(super) async fn wait(&self, id: &JobId) -> Result<Fields> {
        let key = self.broker.keys().result(id);
        let (sender, receiver) = oneshot::channel();
        let is_reading = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.waiters.entry(key).or_default().push(sender);
            let is_reading = shared.reader.as_ref().is_some_and(|reader| !reader.is_finished());
            if !is_reading {
                let (broker, nudge) = (self.broker.clone(), self.nudge.clone());
                let reader = crate::task::spawn(read_all(broker, nudge, self.shared.clone()));
                shared.reader = Some(reader.abort_handle());
            }
            is_reading
        };
        if is_reading {
            let mut nudge = redis::cmd("XADD");
            nudge.arg(&self.nudge).arg("MAXLEN").arg(1).arg("*").arg("n").arg(1);
            self.broker.send(&nudge).await?;
        }
        receiver.await.map_err(|_| Error::Stopped("the runtime"))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = shared.reader.take() {
            reader.abort();
        }
    }
}

/// Reads until nobody waits.
async fn read_all(broker: Broker, nudge: String, shared: Arc<Mutex<Shared>>) {
    let mut session = None;
    let mut last_nudge = "0".to_owned();
    let mut backoff = BACKOFF.0;
    loop {
        let keys: Vec<String> = {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.waiters.retain(|_, waiters| {
                waiters.retain(|waiter| !waiter.is_closed());
                !waiters.is_empty()
            });
            if shared.waiters.is_empty() {
                shared.reader = None;
                return;
            }
            shared.waiters.keys().cloned().collect()
        };
        let read = async {
            let session = match &session {
                Some(session) => session,
                None => session.insert(broker.session().await?),
            };
            read(session, &nudge, &mut last_nudge, &keys).await
        };
        match read.await {
            Ok(results) => {
                backoff = BACKOFF.0;
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                for (key, fields) in results {
                    for waiter in shared.waiters.remove(&key).unwrap_or_default() {
                        let _ = waiter.send(fields.clone());
                    }
                }
            }
            Err(error) => {
                tracing::debug!(target: "windlass", "waiting for results failed, trying again: {error}");
                session = None;
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }
}

/// One blocking read; answers the results that are there.
async fn read(
    session: &Broker,
    nudge: &str,
    last_nudge: &mut String,
    keys: &[String],
) -> Result<Vec<(String, Fields)>> {
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(1).arg("BLOCK").arg(READ_MAX.as_millis() as u64).arg("STREAMS");
    command.arg(nudge).arg(keys).arg(last_nudge.as_str()).arg(vec!["0"; keys.len()]);
    let mut results = Vec::new();
    let mut is_nudged = false;
    let answer = session.send(&command).await?;
    // RESP2 lists pairs of stream and entries; RESP3 has a map of the same, which `array` makes flat.
    let is_flat = matches!(answer, redis::Value::Map(_));
    let mut streams = array(answer)?.into_iter();
    while let Some(first) = streams.next() {
        let (key, entries) = if is_flat {
            (first, streams.next().unwrap_or(redis::Value::Nil))
        } else {
            let mut pair = array(first)?.into_iter();
            (pair.next().unwrap_or(redis::Value::Nil), pair.next().unwrap_or(redis::Value::Nil))
        };
        let key = text(key)?;
        let Some(entry) = array(entries)?.into_iter().next() else { continue };
        let mut entry = array(entry)?.into_iter();
        let id = entry.next().ok_or(Error::Answer("an entry without an id"))?;
        if key == nudge {
            *last_nudge = String::from_utf8_lossy(&bytes(id)?).into_owned();
            is_nudged = true;
        } else {
            results.push((key, crate::broker::pairs(entry.next().unwrap_or(redis::Value::Nil))?));
        }
    }
    if is_nudged {
        session.send(redis::cmd("PEXPIRE").arg(nudge).arg(NUDGE_TTL.as_millis() as u64)).await?;
    }
    Ok(results)
}
