//! Executors run jobs, and make the exchanges with the store between them.
//!
//! There are as many as jobs may run at once, on the user's runtime, and each decides for itself what it does next:
//! a job costs no task of its own, and a worker of short jobs no change of thread. Nothing is lost when the runtime
//! is blocked by a job: leases are renewed elsewhere.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::hand::{Finish, HoldKey, Plan, Step};
use super::{Shared, attempt, fail, settle};
use crate::broker::{Asker, Ended, Extra, Held, Request, Settle, Taken};
use crate::event::Event;
use crate::id::JobId;
use crate::state::History;

/// What an executor has just been at.
pub(super) struct Done {
    pub(super) taken: Taken,
    pub(super) end: attempt::End,
}

/// Runs jobs until there will be no more.
pub(super) async fn execute(shared: Arc<Shared>) {
    let mut done = None;
    loop {
        let next = std::future::poll_fn(|context| shared.poll_step(context, &mut done)).await;
        if let Next::End = next {
            return;
        }
        done = act(&shared, next).await;
        // Jobs and stores that are always ready must not keep the runtime from its other tasks.
        tokio::task::consume_budget().await;
    }
}

/// Runs what the queues give, one job after the other in this task, until they give nothing or `max` jobs have
/// run. Answers how many did.
#[cfg(feature = "embedded")]
pub(crate) async fn drain(shared: &Arc<Shared>, max: usize) -> usize {
    let (mut done, mut ran) = (None, 0);
    shared.hand().look_again();
    loop {
        let next = {
            let mut hand = shared.hand();
            // The store knows of each end before the next job begins.
            hand.concurrency = 1;
            match done.take().and_then(|done| shared.bring_back(&mut hand, done)) {
                Some(next) => next,
                None if ran >= max => return ran,
                None => match hand.step() {
                    Step::Run(ticket) => Next::Run(ticket),
                    Step::Exchange(plan) => Next::Exchange(plan),
                    Step::Wait | Step::End => return ran,
                },
            }
        };
        ran += usize::from(matches!(next, Next::Run(_)));
        done = act(shared, next).await;
    }
}

/// Does what is next. Answers the job that was run.
async fn act(shared: &Arc<Shared>, next: Next) -> Option<Done> {
    match next {
        Next::Run(ticket) => return Some(shared.watch(attempt::run(shared, ticket)).await),
        Next::Tell(taken, failed) => shared.watch(fail::tell(shared, taken, *failed)).await,
        Next::Settle(taken, settle, lock) => shared.watch(settle::tell(shared, taken, *settle, lock)).await,
        Next::Exchange(plan) => shared.watch(shared.exchange(plan)).await,
        Next::End => {}
    }
    None
}

/// What an executor does next.
enum Next {
    Run(super::hand::Ticket),
    Tell(Taken, Box<attempt::Failed>),
    Settle(Taken, Box<Settle>, Option<String>),
    Exchange(Plan),
    End,
}

impl Shared {
    /// Brings back what was done, and answers what is next as soon as there is something.
    fn poll_step(&self, context: &mut Context<'_>, done: &mut Option<Done>) -> Poll<Next> {
        let mut hand = self.hand();
        if let Some(done) = done.take()
            && let Some(next) = self.bring_back(&mut hand, done)
        {
            return Poll::Ready(next);
        }
        let next = match hand.step() {
            Step::Run(ticket) => Next::Run(ticket),
            Step::Exchange(plan) => Next::Exchange(plan),
            Step::End => return Poll::Ready(Next::End),
            Step::Wait => {
                // A job that failed has made room without an exchange, after which it would be asked for.
                if hand.wants_mark() {
                    self.wants_mark.notify_one();
                }
                hand.rest(context.waker());
                return Poll::Pending;
            }
        };
        let idle = hand.next_idle();
        drop(hand);
        if let Some(idle) = idle {
            idle.wake();
        }
        Poll::Ready(next)
    }

    /// Sorts a job by how it ended; answers what the store is told by itself.
    fn bring_back(&self, hand: &mut super::Hand, done: Done) -> Option<Next> {
        let Done { taken, end } = done;
        let key = HoldKey::of(&taken);
        let is_held = hand.come_back(&key);
        self.emptiness.note_end();
        if !hand.is_taking() {
            self.settled.notify_one();
        }
        match end {
            attempt::End::Completed { result, lock } if is_held => {
                let needs_extra = result.is_some() || lock.is_some() || taken.id.is_some();
                let extra = needs_extra.then(|| Extra::of(&taken, self.id_of(&taken), result).locked(lock));
                let is_ruled = taken.is_ruled;
                hand.add_finish(taken.queue, Finish { held: key.held, is_ruled, extra });
                None
            }
            attempt::End::Settled { settle, lock } if is_held => Some(Next::Settle(taken, settle, lock)),
            attempt::End::Failed(failed) if is_held => Some(Next::Tell(taken, failed)),
            end => {
                hand.leave_place();
                // That the lease was lost has been told.
                self.forget_success(&key);
                // What came back undone is given back by the drain. Of another end whose lease was lost meanwhile, the
                // answer does not count.
                if !matches!(end, attempt::End::Returned) {
                    self.summary().refused += 1;
                }
                None
            }
        }
    }

    /// Makes an exchange, and deals out what it brings.
    pub(super) async fn exchange(&self, plan: Plan) {
        let moment = self.emptiness.now();
        // One exchange at a time asks for jobs, so that it alone claims and gives back.
        let may_suspect = plan.may_suspect && plan.count > 0 && self.claim_suspect();
        let was_denied = plan.may_suspect && plan.count > 0 && !may_suspect;
        let order = self.order.draw();
        let held: Vec<Held> = plan.finishes.iter().map(|finish| finish.held).collect();
        let ends_ruled = plan.finishes.iter().any(|finish| finish.is_ruled);
        let extras: Vec<Extra> = plan.finishes.into_iter().filter_map(|finish| finish.extra).collect();
        let queue = &*self.queues[plan.queue];
        let ended = (!held.is_empty()).then_some(Ended { queue, held: &held, extras: &extras });
        let queues: Vec<&str> = match plan.count > 0 || plan.mark.is_some() {
            true => order.iter().map(|queue| &*self.queues[*queue]).collect(),
            false => Vec::new(),
        };
        let adopted = match plan.count {
            0 => Vec::new(),
            count => self.adopt(&order, count).await,
        };
        let (room, free) = (plan.count - adopted.len(), plan.free.saturating_sub(adopted.len()));
        let woken = plan.mark.and_then(|mark| order.iter().position(|queue| *queue == mark));
        let exchange = || {
            // A store that was away may answer when the worker is about to end.
            let count = if self.control.is_taking() { room } else { 0 };
            let request = Request { consumer: &self.worker, count, may_suspect, woken };
            self.broker.exchange_with(ended, &queues, request, Asker { free, ends_ruled })
        };
        let mut exchanged = self.until_answered(exchange).await;
        self.note_clock(exchanged.now_ms);
        if plan.count > 0 {
            self.note_next(exchanged.next);
        }
        for job in &mut exchanged.taken {
            job.queue = order[job.queue];
        }
        // Jobs begin in the order in which they were taken: so it is known which of them a crash can have ended.
        exchanged.taken.splice(0..0, adopted);
        self.note_resumed(&exchanged.taken);
        {
            let mut summary = self.summary();
            summary.completed += (held.len() - exchanged.refused.len()) as u64;
            summary.refused += exchanged.refused.len() as u64;
        }
        for job in &exchanged.refused {
            self.events.emit(Event::LeaseLost { id: JobId::of_entry(queue, job.entry) });
        }
        let is_refused = |extra: &Extra| exchanged.refused.iter().any(|held| held.entry == extra.entry);
        let ended = extras.iter().filter(|extra| !is_refused(extra));
        self.release_locks(ended.filter_map(|extra| Some((extra.lock.as_deref()?, &extra.id)))).await;
        for held in &held {
            let key = HoldKey { queue: plan.queue, held: *held };
            self.tell_success(&key, !exchanged.refused.contains(held));
        }
        let got = exchanged.taken.len();
        let mut is_done = false;
        let mut hand = self.hand();
        for held in &held {
            hand.drop_held(&HoldKey { queue: plan.queue, held: *held });
        }
        hand.end_exchange(held.len(), plan.count, got);
        for taken in exchanged.taken {
            hand.take(taken);
        }
        self.elastic.note(&mut hand, plan.count, got);
        if self.exits_when_empty && hand.is_empty() {
            match plan.count > 0 && got == 0 && !hand.may_have_more() {
                // What was not for this pool now may be later; it is told then.
                true => is_done = !was_denied,
                false => hand.look_again(),
            }
        }
        if hand.wants_mark() {
            self.wants_mark.notify_one();
        }
        if !hand.is_taking() {
            self.settled.notify_one();
        }
        let has_suspect = hand.suspect.is_some();
        drop(hand);
        if plan.count > 0 && !has_suspect {
            self.release_suspect();
        }
        if is_done {
            self.note_empty(moment);
        }
    }

    /// Takes what was handed over to workers that know its kind, in front of what the queues give: it has waited longer.
    async fn adopt(&self, order: &[usize], count: usize) -> Vec<Taken> {
        let asking: Vec<usize> = order.iter().copied().filter(|queue| self.asks_for_kinds(*queue)).collect();
        if asking.is_empty() || !self.control.is_taking() {
            return Vec::new();
        }
        let queues: Vec<&str> = asking.iter().map(|queue| &*self.queues[*queue]).collect();
        let kinds = self.kinds.versions();
        let call = || self.broker.adopt(&queues, &self.worker, count, &kinds);
        let mut taken = self.until_answered(call).await;
        for job in &mut taken {
            job.queue = asking[job.queue];
        }
        taken
    }

    /// Forgets locks of jobs that have ended. One that cannot be forgotten hurts nobody.
    pub(super) async fn release_locks<'a>(&self, locks: impl Iterator<Item = (&'a str, &'a JobId)>) {
        let locks: Vec<_> = locks.collect();
        if !locks.is_empty()
            && let Err(error) = self.broker.release_unique(&locks).await
        {
            self.note_failure(&error);
        }
    }

    /// Has somebody look whether the queues give more.
    pub(crate) fn look_again(&self) {
        self.hand().look_again();
        self.wake_idle();
    }

    /// Wakes another executor when there is enough to do.
    pub(super) fn wake_idle(&self) {
        let idle = self.hand().next_idle();
        if let Some(idle) = idle {
            idle.wake();
        }
    }

    /// Runs a part of an executor's work, during which others may take its place on the processor while it waits.
    async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut has_waited = false;
        let output = std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if polled.is_pending() && !has_waited {
                has_waited = true;
                self.hand().doze();
                self.wake_idle();
            }
            polled
        })
        .await;
        if has_waited {
            self.hand().wake();
        }
        output
    }

    /// Tells of jobs that an ended worker had begun.
    fn note_resumed(&self, taken: &[Taken]) {
        let resumed = taken.iter().filter(|job| job.count > 1);
        let attempts = resumed.map(|job| {
            let history =
                job.history.as_deref().and_then(|json| serde_json::from_slice::<History>(json).ok());
            history.unwrap_or_default().attempts.saturating_add(job.count)
        });
        let (jobs, attempt) = attempts.fold((0, 0), |(jobs, last), attempt| (jobs + 1, last.max(attempt)));
        if jobs > 0 {
            self.summary().resumed += jobs as u64;
            self.events.emit(Event::Resumed { jobs, attempt });
        }
    }
}
