//! Drives a job under its limits: until it ends, its time is up, or its leash is pulled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::kind::Running;
use super::panic::caught;
use crate::context::{Leash, Pull};
use crate::failure::{Failure, Fate, Outcome};

/// A limit that no attempt reaches.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How long an attempt may take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// After this its token fires, and it may clean up.
    pub(super) soft: Option<Duration>,
    /// After this it has failed.
    pub(super) hard: Option<Duration>,
    /// Whether it cannot be cut short: its thread is waited for, and what it answers too late does not count.
    pub(super) is_blocking: bool,
}

/// Drives a job; `None` when its leash was pulled.
pub(super) async fn within(mut running: Running, leash: &Leash, limits: Limits) -> Option<Outcome<Vec<u8>>> {
    let ended = {
        let driven = pin!(std::future::poll_fn(|context| {
            if leash.is_dropped() {
                return Poll::Ready(None);
            }
            match caught(|| running.as_mut().poll(context)) {
                Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
                Err(failure) => Poll::Ready(Some(Err(failure))),
                Ok(Poll::Pending) => leash.poll_dropped(context).map(|()| None),
            }
        }));
        match limits {
            Limits { soft: None, hard: None, .. } => driven.await,
            limits => limited(driven, leash, limits).await,
        }
    };
    // What the job dropped is user code too.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(running)));
    ended
}

async fn limited(
    mut driven: std::pin::Pin<&mut impl Future<Output = Option<Outcome<Vec<u8>>>>>,
    leash: &Leash,
    limits: Limits,
) -> Option<Outcome<Vec<u8>>> {
    let began = Instant::now();
    // An envelope may say anything, and a moment may be too far away to be one.
    let after = |limit| began.checked_add(limit).unwrap_or(began + FAR);
    let Limits { soft, hard, is_blocking } = limits;
    if let Some(soft) = soft.filter(|soft| hard.is_none_or(|hard| *soft < hard)) {
        if let Ok(ended) = timeout_at(after(soft), driven.as_mut()).await {
            return ended;
        }
        leash.pull(Pull::Cancel);
        let ended = match hard {
            Some(hard) => timeout_at(after(hard), driven.as_mut()).await,
            None => Ok(driven.as_mut().await),
        };
        if let Ok(ended) = ended {
            return ended.map(|outcome| outcome.map_err(|failure| stopped_in_time(failure, leash, soft)));
        }
    } else if let Some(hard) = hard
        && let Ok(ended) = timeout_at(after(hard), driven.as_mut()).await
    {
        return ended;
    }
    let hard = hard.unwrap_or_default();
    leash.pull(Pull::Cancel);
    match is_blocking {
        true => driven.await.map(|_| Err(timed_out(hard))),
        false => Some(Err(timed_out(hard))),
    }
}

/// The failure of a job that heeded its soft limit. Nobody cancelled it: that it says so means that it took too long.
fn stopped_in_time(failure: Failure, leash: &Leash, soft: Duration) -> Failure {
    match failure.fate {
        Fate::Cancel if !leash.is_cancel_asked() => timed_out(soft),
        _ => failure,
    }
}

/// Runs a blocking job on a thread of the worker's own. The thread goes on when nobody waits for it any more.
pub(super) fn on_thread(
    shared: &Shared,
    task: impl FnOnce() -> Outcome<Vec<u8>> + Send + 'static,
) -> Outcome<Running> {
    let (sender, receiver) = oneshot::channel();
    let task = Box::new(move || {
        let outcome = caught(task).unwrap_or_else(Err);
        // Nobody waits any more when the leash was pulled.
        let _ = sender.send(outcome);
    });
    shared.threads.spawn(task)?;
    Ok(Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(Failure::retry("its thread ended"))) }))
}

fn timed_out(limit: Duration) -> Failure {
    Failure::with(Fate::Retry(None), "Timeout", format!("it took longer than {limit:?}"))
}
