//! Tells of jobs that succeeded and have to do with others.

use super::Shared;
use super::hand::HoldKey;
use crate::broker::{Settle, Taken};
use crate::event::Event;

/// Tells the store of a success from which something follows, until it answers.
pub(super) async fn tell(shared: &Shared, taken: Taken, settle: Settle, lock: Option<String>) {
    let key = HoldKey::of(&taken);
    let queue = &*shared.queues[taken.queue];
    let was_held = match taken.is_ruled {
        true => shared.until_answered(|| shared.broker.settle_ruled(queue, &shared.worker, &settle)).await,
        false => shared.until_answered(|| shared.broker.settle(queue, &shared.worker, &settle)).await,
    };
    shared.tell_success(&key, was_held);
    if was_held {
        shared.release_locks(lock.iter().map(|lock| (lock.as_str(), &settle.id))).await;
        shared.summary().completed += 1;
    } else {
        shared.summary().refused += 1;
        shared.events.emit(Event::LeaseLost { id: settle.id });
    }
    shared.note_followers();
    shared.drop_told(&key);
}
