//! Tells the store of jobs that succeeded: whatever gathered while the last call was under way.

use std::rc::Rc;

use super::Duty;
use super::hand::{Finish, HoldKey};
use crate::broker::{Extra, Held};
use crate::event::Event;
use crate::id::JobId;
use crate::worker::executor::Begun;

/// Tells until the worker has ended.
pub(super) async fn finish_all(duty: Rc<Duty>) {
    loop {
        let next = duty.hand.borrow_mut().take_finishes();
        let Some((queue, mut batch)) = next else {
            duty.has_finished.notified().await;
            continue;
        };
        batch.sort_unstable_by_key(|finish| finish.held);
        let held: Vec<Held> = batch.iter().map(|finish| finish.held).collect();
        let (extras, begun) = split(batch);
        let (name, consumer) = (&*duty.shared.queues[queue], &*duty.shared.worker);
        let finish = async || {
            duty.broker
                .finish(consumer, crate::broker::Ended { queue: name, held: &held, extras: &extras })
                .await
        };
        let refused = duty.until_answered(finish).await;
        drop(begun);
        settle(&duty, queue, &held, &refused);
    }
}

/// What goes along with some of the jobs, and the places of all of them as one.
fn split(batch: Vec<Finish>) -> (Vec<Extra>, Option<Begun>) {
    let mut extras = Vec::new();
    let mut all: Option<Begun> = None;
    for Finish { extra, begun, .. } in batch {
        extras.extend(extra);
        match &mut all {
            Some(all) => all.merge(begun),
            None => all = Some(begun),
        }
    }
    (extras, all)
}

fn settle(duty: &Duty, queue: usize, held: &[Held], refused: &[Held]) {
    let mut ended_suspect = false;
    {
        let mut hand = duty.hand.borrow_mut();
        for job in held {
            ended_suspect |= hand.drop_held(&HoldKey { queue, held: *job });
        }
        hand.end_finishes(held.len());
    }
    {
        let mut summary = duty.summary.borrow_mut();
        summary.completed += (held.len() - refused.len()) as u64;
        summary.refused += refused.len() as u64;
    }
    for job in refused {
        duty.emit(Event::LeaseLost { id: JobId::of_entry(&duty.shared.queues[queue], job.entry) });
    }
    if ended_suspect {
        duty.kick.notify_one();
    }
    duty.settled.notify_one();
}
