//! Waits on the wake keys while the queues give nothing.

use std::sync::Arc;
use std::time::Duration;

use super::{Phase, Shared};
use crate::broker::Broker;

/// How long an idle worker waits before it looks again unasked: what a lost wake mark can cost.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Waits whenever a worker with room finds nothing, until it is told to be quiet; `broker` is for this alone.
pub(super) async fn wait_all(shared: Arc<Shared>, broker: Broker) {
    let queues: Vec<&str> = shared.queues.iter().map(|queue| &**queue).collect();
    let mut phase = shared.control.phase();
    let waiting = async {
        loop {
            shared.wants_mark.notified().await;
            while shared.hand().wants_mark() {
                let mark = shared.until_answered(|| broker.wait(&queues, shared.wait_time(WAIT_MAX))).await;
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
    for queue in queues {
        if let Err(error) = shared.broker.mark(queue).await {
            // Another worker then finds the job when its own wait ends.
            shared.note_failure(&error);
        }
    }
}
