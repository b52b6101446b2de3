//! Waits on the wake keys while the queues give nothing.

use std::sync::Arc;
use std::time::Duration;

use super::shared::LOOK_MARGIN;
use super::{Phase, Shared};
use crate::broker::Broker;

/// How long an idle worker waits before it looks again unasked: what a lost wake mark can cost.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Most marks of kinds that are waited for at once; of others a worker with room learns when it looks unasked.
const KIND_MARKS_MAX: usize = 1000;

/// Waits whenever a worker with room finds nothing, until it is told to be quiet; `broker` is for this alone.
pub(super) async fn wait_all(shared: Arc<Shared>, broker: Broker) {
    let queues: Vec<&str> = shared.queues.iter().map(|queue| &**queue).collect();
    let kinds = shared.kinds.versions();
    let mut phase = shared.control.phase();
    let waiting = async {
        loop {
            shared.wants_mark.notified().await;
            while shared.hand().wants_mark() {
                let asking = (0..queues.len()).filter(|queue| shared.asks_for_kinds(*queue));
                let marks = asking.flat_map(|queue| kinds.iter().map(move |kind| (queue, kind.as_str())));
                let marks: Vec<_> = marks.take(KIND_MARKS_MAX).collect();
                // After an outage it looks at once: marks may be lost, and the store is not back before it answers.
                let mut longest = Some(WAIT_MAX);
                let wait = || {
                    broker.wait_with(&queues, &marks, shared.wait_time(longest.take().unwrap_or(LOOK_MARGIN)))
                };
                let mark = shared.until_answered(wait).await;
                let plan = {
                    let mut hand = shared.hand();
                    hand.add_mark(mark);
                    hand.wants_exchange().then(|| hand.plan())
                };
                // Here rather than in an executor, which would have to be woken for it first.
                if let Some(plan) = plan {
                    shared.exchange(plan).await;
                    shared.wake_idle();
                }
            }
        }
    };
    tokio::select! {
        () = waiting => {}
        _ = phase.wait_for(|phase| *phase >= Phase::Quiet) => {}
    }
    // A mark may have been on its way here: nobody may miss it.
    // Who waits for a mark of a kind looks unasked at the latest when its wait ends.
    for queue in queues {
        if let Err(error) = shared.broker.mark(queue).await {
            // Another worker then finds the job when its own wait ends.
            shared.note_failure(&error);
        }
    }
}
