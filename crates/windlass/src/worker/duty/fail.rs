//! Moves jobs that did not succeed to where they go.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Duty;
use super::hand::HoldKey;
use crate::broker::{Fail, Taken};
use crate::event::Event;
use crate::failure::Fate;
use crate::id::JobId;
use crate::state::{AttemptError, History, State};
use crate::worker::executor::{Begun, Failed, id_of};
use crate::worker::local_now_ms;

/// How many failures are told to the store at once.
const CALLS_MAX: usize = 32;

/// Failures under way.
pub(super) struct Failing {
    calls: Arc<Semaphore>,
}

impl Failing {
    pub(super) fn new() -> Self {
        Self { calls: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// Begins to tell the store of a failure. Waits when many are under way already.
    pub(super) async fn start(&self, duty: &Rc<Duty>, taken: Taken, failed: Failed, begun: Begun) {
        let Ok(call) = self.calls.clone().acquire_owned().await else { return };
        let duty = duty.clone();
        tokio::task::spawn_local(async move {
            tell(&duty, taken, failed).await;
            drop((call, begun));
        });
    }
}

async fn tell(duty: &Duty, taken: Taken, failed: Failed) {
    let key = HoldKey::of(&taken);
    let id = id_of(&duty.shared, &taken);
    let attempt = failed.history.attempts.saturating_add(taken.count);
    let verdict = judge(&failed, attempt, &duty.shared.worker);
    let state = verdict.history.state;
    let kind = failed.kind.clone();
    let message = failed.failure.message.clone();
    let is_snooze = matches!(failed.failure.fate, Fate::Snooze(_));
    let fail = match to_fail(key, &id, verdict, failed) {
        Ok(fail) => fail,
        Err(error) => {
            // A history is plain data and always becomes JSON; if not, the lease gives the job back.
            tracing::error!(target: "windlass", "the failure of {id} cannot be written: {error}");
            return;
        }
    };
    let (queue, worker, config) = (&*duty.shared.queues[taken.queue], &*duty.shared.worker, &duty.config);
    let call = async || duty.broker.fail(queue, worker, &fail, config.ended_max, config.ended_age).await;
    let was_held = duty.until_answered(call).await;
    if duty.hand.borrow_mut().drop_held(&key) {
        duty.kick.notify_one();
    }
    if !was_held {
        duty.summary.borrow_mut().refused += 1;
        duty.emit(Event::LeaseLost { id });
    } else if !is_snooze {
        duty.summary.borrow_mut().failed += 1;
        duty.emit(Event::Failed { id, kind, attempt, state, message });
    }
    duty.settled.notify_one();
}

/// What becomes of a job.
struct Verdict {
    history: History,
    delay: Duration,
}

fn judge(failed: &Failed, attempt: u32, worker: &str) -> Verdict {
    let Failed { failure, history, .. } = failed;
    let mut history = history.clone();
    history.reason = None;
    history.kind = None;
    let mut delay = Duration::ZERO;
    match failure.fate {
        Fate::Snooze(wait) => {
            (history.state, delay) = (State::Scheduled, wait);
            history.attempts = attempt - 1;
            return Verdict { history, delay };
        }
        Fate::Park => {
            history.state = State::Parked;
            history.attempts = attempt - 1;
            history.kind = Some(failed.kind.clone());
            history.reason = Some(failure.message.clone());
            return Verdict { history, delay };
        }
        Fate::Discard => history.state = State::Discarded,
        Fate::Cancel => history.state = State::Cancelled,
        Fate::Kill => history.state = State::Dead,
        Fate::Retry(wait) => {
            history.failed = history.failed.saturating_add(1);
            let has_attempts = history.failed < failed.max_attempts;
            match wait.or_else(|| failed.retry.delay(history.failed)).filter(|_| has_attempts) {
                Some(wait) => (history.state, delay) = (State::Retry, wait),
                None => history.state = State::Dead,
            }
        }
    }
    history.attempts = attempt;
    if history.state.is_final() {
        history.reason = Some(failure.message.clone());
    }
    history.remember(AttemptError {
        class: failure.class.clone(),
        message: failure.message.clone(),
        backtrace: failure.backtrace.clone(),
        at: local_now_ms(),
        attempt,
        worker: worker.to_owned(),
    });
    Verdict { history, delay }
}

fn to_fail(key: HoldKey, id: &JobId, verdict: Verdict, failed: Failed) -> serde_json::Result<Fail> {
    let state = verdict.history.state;
    let result = match failed.result_ttl.filter(|_| state.is_final()) {
        None => None,
        Some(ttl) => {
            let error = serde_json::json!({
                "class": failed.failure.class, "message": failed.failure.message,
            });
            Some((serde_json::to_vec(&error)?, ttl))
        }
    };
    let history = serde_json::to_vec(&verdict.history)?;
    Ok(Fail { held: key.held, id: id.clone(), state, history, delay: verdict.delay, result })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::retry::Retry;

    fn failed(failure: Failure, history: History) -> Failed {
        let retry = Retry::Fixed(Duration::from_secs(7));
        Failed { failure, kind: "k".into(), history, max_attempts: 3, retry, result_ttl: None }
    }

    #[test]
    fn snooze_does_not_count_as_an_attempt() {
        let verdict = judge(&failed(Failure::snooze(Duration::from_secs(9)), History::default()), 1, "w");
        let history = History { state: State::Scheduled, ..History::default() };
        assert_eq!((verdict.history, verdict.delay), (history, Duration::from_secs(9)));
    }

    #[test]
    fn the_last_failed_attempt_is_death() {
        let history = History { failed: 1, attempts: 1, ..History::default() };
        let verdict = judge(&failed(Failure::retry("no"), history.clone()), 2, "w");
        assert_eq!((verdict.history.state, verdict.delay.as_secs()), (State::Retry, 7));
        let history = History { failed: 2, attempts: 2, ..history };
        let verdict = judge(&failed(Failure::retry("no"), history), 3, "w");
        assert_eq!(verdict.history.state, State::Dead);
        assert_eq!(verdict.history.reason.as_deref(), Some("no"));
        assert_eq!(verdict.history.attempts, 3);
    }

    #[test]
    fn attempts_cut_short_by_a_crash_do_not_use_up_the_limit() {
        let verdict = judge(&failed(Failure::retry("no"), History::default()), 9, "w");
        assert_eq!(
            (verdict.history.state, verdict.history.failed, verdict.history.attempts),
            (State::Retry, 1, 9)
        );
    }
}
