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
use crate::broker::{Ended, Extra, Held, Request, Settle, Taken};
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
        let step = std::future::poll_fn(|context| shared.poll_step(context, &mut done)).await;
        match step {
            Next::Run(ticket) => done = Some(shared.watch(attempt::run(&shared, ticket)).await),
            Next::Tell(taken, failed) => shared.watch(fail::tell(&shared, taken, *failed)).await,
            Next::Settle(taken, settle, lock) => {
                shared.watch(settle::tell(&shared, taken, *settle, lock)).await
            }
            Next::Exchange(plan) => shared.watch(shared.exchange(plan)).await,
            Next::End => return,
        }
        // Jobs and stores that are always ready must not keep the runtime from its other tasks.
        tokio::task::consume_budget().await;
    }
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
        if !hand.is_taking() {
            self.settled.notify_one();
        }
        match end {
            attempt::End::Completed { result, lock } if is_held => {
                let needs_extra =
                    result.is_some() || lock.is_some() || taken.id.is_some() || taken.is_suspect;
                let extra = needs_extra.then(|| Extra::of(&taken, self.id_of(&taken), result).locked(lock));
                hand.add_finish(taken.queue, Finish { held: key.held, extra });
                None
            }
            attempt::End::Settled { settle, lock } if is_held => Some(Next::Settle(taken, settle, lock)),
            attempt::End::Failed(failed) if is_held => Some(Next::Tell(taken, failed)),
            end => {
                hand.leave_place();
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
        let order = self.order.draw();
        let held: Vec<Held> = plan.finishes.iter().map(|finish| finish.held).collect();
        let extras: Vec<Extra> = plan.finishes.into_iter().filter_map(|finish| finish.extra).collect();
        let queue = &*self.queues[plan.queue];
        let ended = (!held.is_empty()).then_some(Ended { queue, held: &held, extras: &extras });
        let queues: Vec<&str> = match plan.count > 0 || plan.mark.is_some() {
            true => order.iter().map(|queue| &*self.queues[*queue]).collect(),
            false => Vec::new(),
        };
        let woken = plan.mark.and_then(|mark| order.iter().position(|queue| *queue == mark));
        let exchange = || {
            // A store that was away may answer when the worker is about to end.
            let count = if self.control.is_taking() { plan.count } else { 0 };
            let request = Request { consumer: &self.worker, count, may_suspect: plan.may_suspect, woken };
            self.broker.exchange_with(ended, &queues, request, plan.free)
        };
        let mut exchanged = self.until_answered(exchange).await;
        self.note_clock(exchanged.now_ms);
        if plan.count > 0 {
            self.note_next(exchanged.next);
        }
        for job in &mut exchanged.taken {
            job.queue = order[job.queue];
        }
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
        let got = exchanged.taken.len();
        let mut hand = self.hand();
        for held in &held {
            hand.drop_held(&HoldKey { queue: plan.queue, held: *held });
        }
        hand.end_exchange(held.len(), plan.count, got);
        for taken in exchanged.taken {
            hand.take(taken);
        }
        if self.exits_when_empty && hand.is_empty() {
            match plan.count > 0 && got == 0 && !hand.may_have_more() {
                true => self.control.stop(),
                false => hand.look_again(),
            }
        }
        if hand.wants_mark() {
            self.wants_mark.notify_one();
        }
        if !hand.is_taking() {
            self.settled.notify_one();
        }
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
