//! Receives what executors are done with, and sorts it by how it ended.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::Duty;
use super::fail::Failing;
use super::hand::{Finish, HoldKey};
use crate::broker::{Extra, Taken};
use crate::worker::executor::{Begun, Done, End, Failed, id_of};

/// Most jobs that are sorted at once.
const COLLECT_MAX: usize = 1024;

/// Receives until all executors have ended.
pub(super) async fn collect_all(duty: Rc<Duty>, mut done: mpsc::Receiver<Done>) {
    let failing = Failing::new();
    let mut batch = Vec::with_capacity(COLLECT_MAX);
    while done.recv_many(&mut batch, COLLECT_MAX).await > 0 {
        for done in batch.drain(..) {
            if let Some((taken, failed, begun)) = sort(&duty, done) {
                failing.start(&duty, taken, failed, begun).await;
            }
        }
        duty.has_room.notify_one();
        duty.has_finished.notify_one();
    }
}

/// Puts a success where the finisher finds it, and answers a failure.
fn sort(duty: &Duty, Done { taken, end, begun }: Done) -> Option<(Taken, Failed, Begun)> {
    let key = HoldKey::of(&taken);
    let mut hand = duty.hand.borrow_mut();
    hand.come_back();
    let Some(leash) = hand.leash(&key) else {
        // Its lease was lost meanwhile: what it answers does not count.
        duty.summary.borrow_mut().refused += 1;
        return None;
    };
    match end {
        End::Completed(result) => {
            leash.end();
            let needs_extra = result.is_some() || taken.id.is_some() || taken.is_suspect;
            let extra = needs_extra.then(|| Extra::of(&taken, id_of(&duty.shared, &taken), result));
            hand.add_finish(taken.queue, Finish { held: key.held, extra, begun });
            None
        }
        End::Failed(failed) => {
            leash.end();
            Some((taken, *failed, begun))
        }
        // The drain gives back what is still held when the worker ends.
        End::Returned => None,
    }
}
