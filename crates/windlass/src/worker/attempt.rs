//! Runs one job: reads it, checks that it may run, runs it, names how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::drive::{Limits, on_thread, within};
use super::executor::Done;
use super::hand::{HoldKey, Ticket};
use super::kind::{Kind, Run, Running, check_output};
use super::panic::caught;
use crate::broker::{Held, Settle, Taken};
use crate::context::{Context, Facts, Leash};
use crate::envelope::Envelope;
use crate::event::{JobEvent, JobStep};
use crate::failure::{Failure, Fate, Outcome};
use crate::flow::{self, Flow};
use crate::middleware::Attempt;
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
    /// The version of the kind's arguments.
    pub(super) version: u32,
    pub(super) history: History,
    /// How long the attempt took; none when it did not begin.
    pub(super) took: Option<Duration>,
    pub(super) max_attempts: u32,
    pub(super) retry: crate::retry::Retry,
    pub(super) result_ttl: Option<Duration>,
    pub(super) flow: Option<Box<Flow>>,
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
        Some(history) => History::read(history),
        None => History::default(),
    };
    let envelope = match Envelope::parse(&taken.envelope) {
        Ok(envelope) => envelope,
        Err(reason) => return garbage(history, reason, &taken.envelope),
    };
    let failed = |failure, retry, history, took| {
        End::Failed(Box::new(Failed {
            failure,
            kind: envelope.kind.to_string(),
            version: envelope.kv,
            history,
            took,
            max_attempts: envelope.max,
            retry,
            result_ttl: envelope.result.map(Duration::from_millis),
            flow: envelope.flow.clone(),
        }))
    };
    let flow = envelope.flow.as_deref();
    if leash.is_cancel_asked() {
        return failed(Failure::cancel(), Default::default(), history, None);
    }
    // Only a job of a batch asks the store whether it may still begin.
    if let Some(batch) = flow.and_then(|flow| flow.batch.as_deref()) {
        // Noted before, so that no request comes between.
        shared.hand().note_batch(HoldKey::of(taken), batch);
        if shared.until_answered(|| shared.broker.is_batch_cancelled(batch)).await {
            return failed(Failure::cancel(), Default::default(), history, None);
        }
    }
    let kind = match shared.kinds.fit(&envelope.kind, envelope.kv) {
        Ok(kind) => kind,
        Err(failure) => return failed(failure, Default::default(), history, None),
    };
    let limits = match limits(shared, &envelope, has_begun(&history, taken)) {
        Ok(limits) => Limits { is_blocking: matches!(kind.run, Run::Blocking(_)), ..limits },
        Err(failure) => return failed(failure, Default::default(), history, None),
    };
    let context = context(shared, taken, &history, &envelope, leash.clone());
    let keeps_result = envelope.result.is_some() || flow.is_some_and(Flow::wants_output);
    let watched = shared.events.hears_jobs().then(|| Watched::start(shared, taken, &context, leash));
    let began = Instant::now();
    let begin = || match shared.middleware.is_empty() {
        true => begin(shared, kind, envelope.args, context, keeps_result),
        false => Ok(through_middleware(shared, envelope.args.to_owned(), context, keeps_result)),
    };
    let begun = caught(begin).unwrap_or_else(Err);
    let outcome = match begun {
        Ok(running) => within(running, leash, limits).await,
        Err(failure) => Some(Err(failure)),
    };
    let max_payload = shared.client.config().max_payload;
    let outcome =
        outcome.map(|output| output.and_then(|output| check_output(&output, max_payload).map(|()| output)));
    if let Some(watched) = watched {
        watched.end(shared, taken, &outcome, began.elapsed());
    }
    match outcome {
        None => End::Returned,
        Some(Ok(value)) => match flow.filter(|flow| flow.has_next()) {
            None => End::Completed {
                result: envelope.result.map(|ttl| (value, Duration::from_millis(ttl))),
                lock: envelope.unique,
            },
            Some(flow) => match settle(shared, taken, envelope.result, flow, value) {
                Ok(settle) => End::Settled { settle: Box::new(settle), lock: envelope.unique.clone() },
                Err(failure) => failed(failure, retry_of(kind), history, Some(began.elapsed())),
            },
        },
        Some(Err(failure)) => failed(failure, retry_of(kind), history, Some(began.elapsed())),
    }
}

/// Begins a job by its own code.
fn begin(
    shared: &Shared,
    kind: &Kind,
    args: &serde_json::value::RawValue,
    context: Context,
    keeps_result: bool,
) -> Outcome<Running> {
    match &kind.run {
        Run::Async(run) => run(args, context, keeps_result),
        Run::Blocking(run) => {
            let (run, args) = (run.clone(), args.to_owned());
            on_thread(shared, move || run(&args, &context, keeps_result))
        }
    }
}

/// The same with the user's middleware around it.
fn through_middleware(
    shared: &Arc<Shared>,
    args: Box<serde_json::value::RawValue>,
    context: Context,
    keeps_result: bool,
) -> Running {
    let shared = shared.clone();
    Box::pin(async move {
        let job = |attempt: Attempt| -> Running {
            let Attempt { args, context } = attempt;
            let begun = match shared.kinds.get(context.kind()) {
                Some(kind) => begin(&shared, kind, &args, context.clone(), keeps_result),
                None => Err(Failure::park(context.kind())),
            };
            begun.unwrap_or_else(|failure| Box::pin(std::future::ready(Err(failure))))
        };
        let output = shared.middleware.run(Attempt { args, context }, &job).await?;
        // Nothing is a value, too: somebody waits for this one.
        Ok(if keeps_result && output.is_empty() { b"null".to_vec() } else { output })
    })
}

/// An attempt that somebody hears of.
struct Watched {
    context: Context,
}

impl Watched {
    fn start(shared: &Shared, taken: &Taken, context: &Context, leash: &Leash) -> Self {
        let watched = Self { context: context.clone() };
        leash.note(watched.event(JobStep::LeaseLost));
        if taken.count > 1 {
            shared.events.job(|| watched.event(JobStep::Recovered));
        }
        shared.events.job(|| watched.event(JobStep::Started));
        watched
    }

    /// What is told of a success waits for the store, that of a failure is told as it is moved.
    fn end(self, shared: &Shared, taken: &Taken, outcome: &Option<Outcome<Vec<u8>>>, took: Duration) {
        if let Some(Ok(_)) = outcome {
            let took_ms = u64::try_from(took.as_millis()).ok();
            let event = JobEvent { took_ms, ..self.event(JobStep::Completed) };
            shared.keep_success(HoldKey::of(taken), event);
        }
    }

    fn event(&self, step: JobStep) -> JobEvent {
        let context = &self.context;
        JobEvent::new(step, context.id().clone(), context.kind()).attempt(context.attempt())
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
        version: 1,
        history,
        took: None,
        max_attempts: 1,
        retry: crate::retry::Retry::Never,
        result_ttl: None,
        flow,
    }))
}

/// The policy of a kind; user code, so a panic in it falls back to the default.
fn retry_of(kind: &Kind) -> crate::retry::Retry {
    catch_unwind(AssertUnwindSafe(|| (kind.retry)(kind))).unwrap_or_default()
}

/// Whether an attempt of the job was begun before this one. What was given back before it began has its count back.
fn has_begun(history: &History, taken: &Taken) -> bool {
    history.attempts > 0 || history.snoozes > 0 || taken.count > 1
}

/// How long this attempt may take, or why it may not begin.
fn limits(shared: &Shared, envelope: &Envelope<'_>, has_begun: bool) -> Outcome<Limits> {
    let mut limit = envelope.timeout;
    if envelope.expires.is_some() || envelope.deadline.is_some() {
        let now = shared.store_now_ms();
        if !has_begun && envelope.expires.is_some_and(|expires| expires <= now) {
            return Err(expired("it expired before it could run"));
        }
        if let Some(deadline) = envelope.deadline {
            let left = deadline.saturating_sub(now);
            if left == 0 {
                return Err(expired("its deadline passed before it could run"));
            }
            limit = Some(limit.map_or(left, |limit| limit.min(left)));
        }
    }
    let (soft, hard) = (envelope.soft.map(Duration::from_millis), limit.map(Duration::from_millis));
    Ok(Limits { soft, hard, is_blocking: false })
}

/// The class of the failure of a job that came too late.
pub(super) const EXPIRED: &str = "Expired";

fn expired(why: &str) -> Failure {
    Failure::with(Fate::Discard, EXPIRED, why)
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
        tags: envelope.tags.clone(),
        trace: envelope.trace.clone(),
        reply: envelope.reply.clone(),
        deadline_ms: envelope.deadline,
        prev: envelope.prev.map(|prev| prev.0.to_owned()),
        batch: envelope.flow.as_ref().and_then(|flow| flow.batch.clone()),
    };
    Context::new(facts, shared.clone(), leash, tokio::runtime::Handle::current())
}
