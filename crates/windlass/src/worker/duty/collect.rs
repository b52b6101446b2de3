//! Receives what executors are done with, and sorts it by how it ended.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::Duty;
use super::fail::Failing;
use super::hand::{Finish, HoldKey};
use crate::broker::Extra;
use crate::worker::executor::{Done, End, id_of};

/// Most jobs that are sorted at once.
const COLLECT_MAX: usize = 1024;

/// Receives until all executors have ended.
pub(super) async fn collect_all(duty: Rc<Duty>, mut done: mpsc::Receiver<Done>) {
    let failing = Failing::new();
    let mut batch = Vec::with_capacity(COLLECT_MAX);
    while done.recv_many(&mut batch, COLLECT_MAX).await > 0 {
        let mut has_finished = false;
        for Done { taken, end } in batch.drain(..) {
            let key = HoldKey::of(&taken);
            let mut hand = duty.hand.borrow_mut();
            hand.come_back();
            if !hand.is_held(&key) {
                // Its lease was lost meanwhile: what it answers does not count.
                duty.summary.borrow_mut().refused += 1;
                continue;
            }
            match end {
                End::Completed(result) => {
                    let needs_extra = result.is_some() || taken.id.is_some() || taken.is_suspect;
                    let extra = needs_extra.then(|| Extra::of(&taken, id_of(&duty.shared, &taken), result));
                    hand.add_finish(taken.queue, Finish { held: key.held, extra });
                    has_finished = true;
                }
                End::Failed(failed) => {
                    drop(hand);
                    failing.start(&duty, taken, *failed).await;
                }
                // The drain gives back what is still held when the worker ends.
                End::Returned => {}
            }
        }
        duty.has_room.notify_one();
        if has_finished {
            duty.has_finished.notify_one();
        }
    }
}
