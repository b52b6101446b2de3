//! Runs one job: reads it, checks that it may run, runs it, names how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Shared;
use super::executor::Done;
use super::hand::Ticket;
use super::kind::{Kind, Run, Running};
use crate::broker::{Held, Settle, Taken};
use crate::context::{Context, Facts, Leash, Pull};
use crate::envelope::Envelope;
use crate::failure::{Failure, Fate, Outcome};
use crate::flow::{self, Flow};
use crate::state::History;

/// How an executor's work on a job ended.
pub(super) enum End {
    /// It succeeded; the result is there when it is kept.
    Completed {
        result: Option<(Vec<u8>, Duration)>,
        /// The lock that is not needed any more.
        lock: Option<String>,
    },
    /// It succeeded, and something follows from that.
    Settled {
        settle: Box<Settle>,
        /// The lock that is not needed any more.
        lock: Option<String>,
    },
    /// It did not succeed.
    Failed(Box<Failed>),
    /// It was not run, or cut short: it is to be given back.
    Returned,
}

/// A failure with what is needed to decide what becomes of the job.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) kind: String,
    pub(super) history: History,
    pub(super) max_attempts: u32,
    pub(super) retry: crate::retry::Retry,
    pub(super) result_ttl: Option<Duration>,
    pub(super) flow: Option<Box<Flow>>,
    /// The lock that is not needed any more once the job has ended.
    pub(super) lock: Option<String>,
}

/// Runs a job, unless its lease was lost before it could begin.
pub(super) async fn run(shared: &Arc<Shared>, Ticket { taken, leash }: Ticket) -> Done {
    let end = if leash.is_dropped() {
        End::Returned
    } else {
        leash.start();
        match attempt(shared, &taken, &leash).await {
            End::Failed(failed) if leash.is_cancel_asked() => {
                End::Failed(Box::new(Failed { failure: failed.failure.into_cancelled(), ..*failed }))
            }
            end => end,
        }
    };
    Done { taken, end }
}

async fn attempt(shared: &Arc<Shared>, taken: &Taken, leash: &Arc<Leash>) -> End {
    let history = match &taken.history {
        Some(history) => serde_json::from_slice(history).unwrap_or_default(),
        None => History::default(),
    };
    let envelope = match Envelope::parse(&taken.envelope) {
        Ok(envelope) => envelope,
        Err(reason) => return garbage(history, reason, &taken.envelope),
    };
    let failed = |failure, retry, history| {
        End::Failed(Box::new(Failed {
            failure,
            kind: envelope.kind.to_string(),
            history,
            max_attempts: envelope.max,
            retry,
            result_ttl: envelope.result.map(Duration::from_millis),
            lock: envelope.unique.clone(),
            flow: envelope.flow.clone(),
        }))
    };
    let flow = envelope.flow.as_deref();
    if leash.is_cancel_asked() {
        return failed(Failure::cancel(), Default::default(), history);
    }
    // Only a job of a batch asks the store whether it may still begin.
    if let Some(batch) = flow.and_then(|flow| flow.batch.as_deref())
        && shared.until_answered(|| shared.broker.is_batch_cancelled(batch)).await
    {
        return failed(Failure::cancel(), Default::default(), history);
    }
    let Some(kind) = shared.kinds.get(&envelope.kind) else {
        return failed(Failure::park(&envelope.kind), Default::default(), history);
    };
    let limit = match time_limit(shared, &envelope) {
        Ok(limit) => limit,
        Err(failure) => return failed(failure, Default::default(), history),
    };
    let context = context(shared, taken, &history, &envelope, leash.clone());
    let keeps_result = envelope.result.is_some() || flow.is_some_and(Flow::wants_output);
    let outcome = match &kind.run {
        Run::Async(run) => {
            let begun = catch_unwind(AssertUnwindSafe(|| run(envelope.args, context, keeps_result)));
            match begun.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                Ok(running) => within(running, leash, limit).await,
                Err(failure) => Some(Err(failure)),
            }
        }
        Run::Blocking(run) => {
            let (run, args) = (run.clone(), envelope.args.to_owned());
            let task = move || run(&args, &context, keeps_result);
            on_thread(shared, task, leash, limit).await
        }
    };
    match outcome {
        None => End::Returned,
        Some(Ok(value)) => match flow.filter(|flow| flow.has_next()) {
            None => End::Completed {
                result: envelope.result.map(|ttl| (value, Duration::from_millis(ttl))),
                lock: envelope.unique,
            },
            Some(flow) => match settle(shared, taken, envelope.result, flow, value) {
                Ok(settle) => End::Settled { settle: Box::new(settle), lock: envelope.unique.clone() },
                Err(failure) => failed(failure, retry_of(kind), history),
            },
        },
        Some(Err(failure)) => failed(failure, retry_of(kind), history),
    }
}

/// What is told of a success from which something follows.
fn settle(
    shared: &Shared,
    taken: &Taken,
    result_ttl: Option<u64>,
    flow: &Flow,
    output: Vec<u8>,
) -> Outcome<Settle> {
    Ok(Settle {
        held: Held::of(taken),
        id: shared.id_of(taken),
        is_moved: taken.id.is_some(),
        batch: flow.batch.clone(),
        item: flow.n.map(|n| (n, flow::item_of(&output))),
        next: flow.advance(&output, shared.client.config().max_payload)?,
        result: result_ttl.map(|ttl| (output, Duration::from_millis(ttl))),
    })
}

/// What is read of an envelope that cannot be read.
#[derive(serde::Deserialize)]
struct Entangled {
    flow: Option<Box<Flow>>,
}

/// An entry that is not a job: among the dead, where somebody can look at it.
fn garbage(history: History, reason: String, envelope: &[u8]) -> End {
    // A batch waits for this one, too, as long as that much of it can be read.
    let flow = serde_json::from_slice(envelope).ok().and_then(|Entangled { flow }| flow);
    End::Failed(Box::new(Failed {
        failure: Failure::with(Fate::Kill, "Envelope", reason),
        kind: String::new(),
        history,
        max_attempts: 1,
        retry: crate::retry::Retry::Never,
        result_ttl: None,
        flow,
        lock: None,
    }))
}

/// The policy of a kind; user code, so a panic in it falls back to the default.
fn retry_of(kind: &Kind) -> crate::retry::Retry {
    catch_unwind(AssertUnwindSafe(|| (kind.retry)(kind))).unwrap_or_default()
}

/// How long this attempt may take, or why it may not begin.
fn time_limit(shared: &Shared, envelope: &Envelope<'_>) -> Outcome<Option<Duration>> {
    let mut limit = envelope.timeout;
    if envelope.expires.is_some() || envelope.deadline.is_some() {
        let now = shared.store_now_ms();
        if envelope.expires.is_some_and(|expires| expires <= now) {
            return Err(Failure::discard("it expired before it could run"));
        }
        if let Some(deadline) = envelope.deadline {
            let left = deadline.saturating_sub(now);
            if left == 0 {
                return Err(Failure::discard("its deadline passed before it could run"));
            }
            limit = Some(limit.map_or(left, |limit| limit.min(left)));
        }
    }
    Ok(limit.map(Duration::from_millis))
}

fn context(
    shared: &Arc<Shared>,
    taken: &Taken,
    history: &History,
    envelope: &Envelope<'_>,
    leash: Arc<Leash>,
) -> Context {
    let facts = Facts {
        id: shared.id_of(taken),
        held: Held::of(taken),
        kind: envelope.kind.to_string(),
        attempt: history.attempts.saturating_add(taken.count),
        max_attempts: envelope.max,
        meta: envelope.meta.clone().unwrap_or_default(),
        trace: envelope.trace.clone(),
        reply: envelope.reply.clone(),
        deadline_ms: envelope.deadline,
        prev: envelope.prev.map(|prev| prev.0.to_owned()),
        batch: envelope.flow.as_ref().and_then(|flow| flow.batch.clone()),
    };
    Context::new(facts, shared.clone(), leash, tokio::runtime::Handle::current())
}

/// Drives a job until it ends, its time is up, or its leash is pulled; `None` when it was pulled.
async fn within(mut running: Running, leash: &Leash, limit: Option<Duration>) -> Option<Outcome<Vec<u8>>> {
    let driven = std::future::poll_fn(|context| {
        if leash.is_dropped() {
            return Poll::Ready(None);
        }
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
            Err(panic) => Poll::Ready(Some(Err(panicked(&*panic)))),
            Ok(Poll::Pending) => leash.poll_dropped(context).map(|()| None),
        }
    });
    let ended = match limit {
        None => driven.await,
        Some(limit) => match tokio::time::timeout(limit, driven).await {
            Ok(ended) => ended,
            Err(_) => {
                leash.pull(Pull::Cancel);
                Some(Err(timed_out(limit)))
            }
        },
    };
    // What the job dropped is user code too.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(running)));
    ended
}

/// Runs a blocking job; its thread cannot be stopped, so a pulled leash only ends the waiting for it.
async fn on_thread(
    shared: &Shared,
    task: impl FnOnce() -> Outcome<Vec<u8>> + Send + 'static,
    leash: &Leash,
    limit: Option<Duration>,
) -> Option<Outcome<Vec<u8>>> {
    let (sender, receiver) = oneshot::channel();
    let task = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|panic| Err(panicked(&*panic)));
        // Nobody waits any more when the leash was pulled.
        let _ = sender.send(outcome);
    });
    if let Err(error) = shared.threads.spawn(task) {
        return Some(Err(error.into()));
    }
    let mut receiver = pin!(receiver);
    let mut driven = pin!(std::future::poll_fn(|context| match receiver.as_mut().poll(context) {
        Poll::Ready(outcome) => {
            Poll::Ready(Some(outcome.unwrap_or_else(|_| Err(Failure::retry("its thread ended")))))
        }
        Poll::Pending => leash.poll_dropped(context).map(|()| None),
    }));
    let Some(limit) = limit else { return driven.await };
    match tokio::time::timeout(limit, driven.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            leash.pull(Pull::Cancel);
            driven.await.map(|_| Err(timed_out(limit)))
        }
    }
}

fn timed_out(limit: Duration) -> Failure {
    Failure::with(Fate::Retry(None), "Timeout", format!("it took longer than {limit:?}"))
}

/// The failure that a panic is.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = message.unwrap_or_else(|| "it panicked".to_owned());
    Failure::with(Fate::Retry(None), "Panic", message)
}
