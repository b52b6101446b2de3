//! The Recorder writes events of this process into the namespace's stream, many in one call.

use std::rc::Rc;
use std::time::Duration;

use crate::broker::BATCH_JOBS_MAX;
use crate::worker::Duty;

/// How many events may wait to be written; of more, the oldest are dropped, and the stream says how many.
pub(crate) const WAITING_MAX: usize = 20_000;

/// How long events gather before they are written.
const GATHER: Duration = Duration::from_millis(200);

pub(crate) async fn record_all(duty: Rc<Duty>) {
    loop {
        tokio::time::sleep(GATHER).await;
        while record(&duty, true).await {}
    }
}

/// Writes what waits, up to one call's worth. Answers whether there was any. A store that does not answer is asked
/// again, unless the worker is about to end.
pub(crate) async fn record(duty: &Duty, insists: bool) -> bool {
    let Some(record) = &duty.record else { return false };
    let _writing = record.writing.lock().await;
    let events: Vec<String> = {
        let mut events = record.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        events.written(BATCH_JOBS_MAX)
    };
    if events.is_empty() {
        return false;
    }
    let call = || duty.broker.add_events(Some(record.max), &duty.shared.worker, &events);
    match insists {
        true => drop(duty.shared.until_answered(call).await),
        false => {
            if let Err(error) = call().await {
                duty.shared.note_failure(&error);
                return false;
            }
        }
    }
    true
}
