//! Control hears of jobs that are to be cancelled while they run here. Their requests travel beside the work.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{CANCEL_STANDS, CANCELS_MAX};
use crate::error::Result;
use crate::worker::{Duty, EntryKey};

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was read of the requests.
#[derive(Default)]
struct Heard {
    /// The score of the last one.
    since: i64,
    /// Those for queues of this worker, with the time at which each was read: the job may be on its way here, or
    /// come when the worker that has it dies.
    requests: HashMap<EntryKey, Instant>,
}

pub(crate) async fn cancel_all(duty: Rc<Duty>) {
    let mut heard = Heard::default();
    loop {
        super::pause(LOOK_EVERY).await;
        let fresh = duty.shared.until_answered(|| read(&duty, heard.since)).await;
        let now = Instant::now();
        for (key, at) in fresh {
            heard.since = heard.since.max(at);
            heard.requests.extend(key.map(|key| (key, now)));
        }
        let is_full = heard.requests.len() > CANCELS_MAX;
        heard.requests.retain(|_, read_at| match is_full {
            // One reading brings no more than stand in the store, so that what is kept is bounded, too.
            true => *read_at == now,
            false => now - *read_at < CANCEL_STANDS,
        });
        if !heard.requests.is_empty() {
            duty.shared.hand().cancel(|key| heard.requests.contains_key(key));
        }
    }
}

/// Every request from a score on; without a key those for queues that are not this worker's.
async fn read(duty: &Duty, since: i64) -> Result<Vec<(Option<EntryKey>, i64)>> {
    let mut requests = Vec::new();
    loop {
        let (page, has_more) = duty.broker.cancels(since, requests.len()).await?;
        requests.extend(page.into_iter().map(|(id, at)| (duty.shared.entry_key(&id), at)));
        if !has_more {
            return Ok(requests);
        }
    }
}
