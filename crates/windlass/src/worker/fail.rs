//! Moves jobs that did not succeed to where they go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::attempt::{EXPIRED, Failed};
use super::hand::HoldKey;
use super::{Shared, local_now_ms};
use crate::broker::{Fail, Passed, Taken, ms};
use crate::event::{Event, JobEvent, JobStep};
use crate::failure::Fate;
use crate::flow::{Flow, JobError};
use crate::id::JobId;
use crate::retry::Retry;
use crate::state::{AttemptError, History, State};

/// Tells the store of a failure, until it answers.
pub(super) async fn tell(shared: &Shared, taken: Taken, failed: Failed) {
    let key = HoldKey::of(&taken);
    let id = shared.id_of(&taken);
    if hand_over(shared, &taken, &failed, key, &id).await {
        return;
    }
    let attempt = failed.history.attempts.saturating_add(taken.count);
    let mut verdict = judge(&failed, attempt, &shared.worker);
    let state = verdict.history.state;
    let flow = follow(&failed, &id, &mut verdict.history);
    let kind = failed.kind.clone();
    let message = failed.failure.message.clone();
    let is_snooze = matches!(failed.failure.fate, Fate::Snooze(_));
    let steps = shared.events.hears_jobs().then(|| steps(&failed, &verdict, &id, attempt));
    let was_held = match to_fail(key, &id, verdict, failed) {
        Ok(fail) => {
            let queue = &*shared.queues[taken.queue];
            let retention = &shared.client.config().retention;
            match &flow {
                flow if taken.is_ruled => {
                    let flow = flow.as_ref().map(|(flow, error)| (flow, error));
                    let call = || shared.broker.fail_ruled(queue, &shared.worker, &fail, retention, flow);
                    shared.until_answered(call).await
                }
                None => {
                    let call = || shared.broker.fail(queue, &shared.worker, &fail, retention);
                    shared.until_answered(call).await
                }
                Some((flow, error)) => {
                    let call =
                        || shared.broker.fail_flow(queue, &shared.worker, &fail, retention, flow, error);
                    shared.until_answered(call).await
                }
            }
        }
        Err(error) => {
            // A history is plain data and always becomes JSON; if not, the job goes back when the worker ends.
            tracing::error!(target: "windlass", "the failure of {id} cannot be written: {error}");
            return shared.hand().leave_place();
        }
    };
    if !was_held {
        shared.summary().refused += 1;
        shared.events.job(|| JobEvent::new(JobStep::LeaseLost, id.clone(), kind.clone()).attempt(attempt));
        shared.events.emit(Event::LeaseLost { id });
    } else if !is_snooze {
        shared.summary().failed += 1;
        shared.events.emit(Event::Failed { id, kind, attempt, state, message });
    }
    if was_held {
        steps.into_iter().flatten().for_each(|step| shared.events.job(|| step));
    }
    if flow.is_some() {
        shared.note_followers();
    }
    shared.drop_told(&key);
}

/// Gives a job of an unknown kind to a worker that knows it, where its queue asks for that; answers false when there is
/// none. What has to do with limits or with crashes is parked as in any other queue: its place is kept elsewhere.
async fn hand_over(shared: &Shared, taken: &Taken, failed: &Failed, key: HoldKey, id: &JobId) -> bool {
    let is_plain = !taken.is_ruled && !taken.is_suspect;
    if !matches!(failed.failure.fate, Fate::Park) || !is_plain || !shared.asks_for_kinds(taken.queue) {
        return false;
    }
    let (queue, lease) = (&*shared.queues[taken.queue], shared.client.config().lease);
    let kind = (failed.kind.as_str(), failed.version);
    let call = || shared.broker.pass(queue, &shared.worker, key.held, kind, lease);
    match shared.until_answered(call).await {
        Passed::Unknown => return false,
        Passed::HandedOver => {}
        Passed::Lost => {
            shared.summary().refused += 1;
            shared.events.emit(Event::LeaseLost { id: id.clone() });
        }
    }
    shared.drop_told(&key);
    true
}

/// What is told of it to those who hear of single jobs.
fn steps(failed: &Failed, verdict: &Verdict, id: &JobId, attempt: u32) -> Vec<JobEvent> {
    let step = match verdict.history.state {
        State::Scheduled => JobStep::Snoozed,
        State::Retry => JobStep::Retrying,
        State::Parked => JobStep::Parked,
        State::Cancelled => JobStep::Cancelled,
        State::Discarded if failed.failure.class == EXPIRED => JobStep::Expired,
        State::Discarded => JobStep::Discarded,
        _ => JobStep::Dead,
    };
    let message = Some(failed.failure.message.clone()).filter(|message| !message.is_empty());
    let of = |step| JobEvent::new(step, id.clone(), failed.kind.clone()).attempt(attempt);
    let waits = matches!(step, JobStep::Snoozed | JobStep::Retrying);
    let last = JobEvent { delay_ms: waits.then(|| ms(verdict.delay)), ..of(step) };
    match failed.failure.fate {
        Fate::Retry(_) => vec![JobEvent { message, ..of(JobStep::Failed) }, last],
        _ => vec![JobEvent { message, ..last }],
    }
}

/// What follows from an end without success, for the few jobs that have to do with others.
fn follow(failed: &Failed, id: &JobId, history: &mut History) -> Option<(Flow, JobError)> {
    let flow = failed.flow.as_ref().filter(|_| history.state.is_final())?;
    let flow = flow.of_failure(history.caught)?;
    history.caught |= flow.catch.is_some();
    let error = JobError {
        id: id.to_string(),
        kind: failed.kind.clone(),
        state: history.state,
        class: failed.failure.class.clone(),
        message: failed.failure.message.clone(),
    };
    Some((flow, error))
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
            history.snoozes = history.snoozes.saturating_add(1);
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
            match wait.or_else(|| policy(failed, history.failed)).filter(|_| has_attempts) {
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
        took_ms: failed.took.and_then(|took| u64::try_from(took.as_millis()).ok()),
        attempt,
        worker: worker.to_owned(),
    });
    Verdict { history, delay }
}

/// What the policy says; it may be user code, so a panic in it falls back to the default.
fn policy(failed: &Failed, count: u32) -> Option<Duration> {
    let said = catch_unwind(AssertUnwindSafe(|| failed.retry.delay(&failed.failure, count)));
    said.unwrap_or_else(|_| Retry::default().delay(&failed.failure, count))
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

    fn failed(failure: Failure, history: History) -> Failed {
        let (retry, kind) = (Retry::Fixed(Duration::from_secs(7)), "k".into());
        Failed {
            failure,
            kind,
            version: 1,
            history,
            took: None,
            max_attempts: 3,
            retry,
            result_ttl: None,
            flow: None,
        }
    }

    #[test]
    fn snooze_does_not_count_as_an_attempt() {
        let verdict = judge(&failed(Failure::snooze(Duration::from_secs(9)), History::default()), 1, "w");
        let history = History { state: State::Scheduled, snoozes: 1, ..History::default() };
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
