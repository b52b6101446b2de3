//! Control hears of jobs that are to be cancelled while they run here. Their requests travel beside the work.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{CANCEL_STANDS, CANCELS_MAX};
use crate::error::Result;
use crate::id::JobId;
use crate::worker::{Duty, EntryKey};

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was read of the requests.
#[derive(Default)]
struct Heard {
    /// The score of the last one.
    since: i64,
    /// Those for queues of this worker, by the number of the pool that has the queue, with the time at which each was read: the job may be on its way here, or
    /// come when the worker that has it dies.
    requests: HashMap<(usize, EntryKey), Instant>,
}

pub(crate) async fn cancel_all(duty: Rc<Duty>) {
    let mut heard = Heard::default();
    loop {
        super::pause(LOOK_EVERY).await;
        let fresh = duty.shared.until_answered(|| read(&duty, heard.since)).await;
        let now = Instant::now();
        for (keys, at) in fresh {
            heard.since = heard.since.max(at);
            heard.requests.extend(keys.into_iter().map(|key| (key, now)));
        }
        let is_full = heard.requests.len() > CANCELS_MAX;
        heard.requests.retain(|_, read_at| match is_full {
            // One reading brings no more than stand in the store, so that what is kept is bounded, too.
            true => *read_at == now,
            false => now - *read_at < CANCEL_STANDS,
        });
        if !heard.requests.is_empty() {
            for (number, pool) in duty.pools.iter().enumerate() {
                pool.hand().cancel(|key| heard.requests.contains_key(&(number, *key)));
            }
        }
    }
}

/// Every request from a score on; without keys those for queues that are not this worker's.
async fn read(duty: &Duty, since: i64) -> Result<Vec<(Vec<(usize, EntryKey)>, i64)>> {
    let mut requests = Vec::new();
    // Two pools may share a queue, and either may have the job.
    let keys_of = |id: &JobId| -> Vec<_> {
        let pools = duty.pools.iter().enumerate();
        pools.filter_map(|(number, pool)| Some((number, pool.entry_key(id)?))).collect()
    };
    loop {
        let (page, has_more) = duty.broker.cancels(since, requests.len()).await?;
        requests.extend(page.into_iter().map(|(id, at)| (keys_of(&id), at)));
        if !has_more {
            return Ok(requests);
        }
    }
}
