//! Control hears of jobs that are to be cancelled while they run here. Their requests travel beside the work.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{CANCEL_STANDS, CANCELS_MAX, ToStop};
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
    /// The requests for batches of the last score: they are read again.
    batches: Vec<(String, i64)>,
}

pub(crate) async fn cancel_all(duty: Rc<Duty>) {
    let mut heard = Heard::default();
    loop {
        super::pause(LOOK_EVERY).await;
        let fresh = duty.shared.until_answered(|| read(&duty, heard.since)).await;
        let now = Instant::now();
        let mut are_batches_asked = false;
        for (to_stop, at) in fresh {
            heard.since = heard.since.max(at);
            match to_stop {
                ToStop::Job(id) => {
                    heard.requests.extend(keys_of(&duty, &id).into_iter().map(|key| (key, now)))
                }
                ToStop::Batch(id) if !heard.batches.contains(&(id.clone(), at)) => {
                    are_batches_asked = true;
                    heard.batches.push((id, at));
                }
                ToStop::Batch(_) => {}
            }
        }
        let since = heard.since;
        heard.batches.retain(|(_, at)| *at == since);
        if are_batches_asked {
            cancel_batches(&duty).await;
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

/// Asks what runs of cancelled batches to stop. A batch may be nested in the one that was named, so the store is asked of
/// each. What begins later asks by itself.
async fn cancel_batches(duty: &Duty) {
    for pool in &duty.pools {
        let batches = pool.hand().batches();
        for batch in batches {
            if duty.shared.until_answered(|| duty.broker.is_batch_cancelled(&batch)).await {
                pool.hand().cancel_batch(&batch);
            }
        }
    }
}

/// Where a job may be that is named by its entry; nowhere if its queue is not this worker's. Two pools may share a queue, and
/// either may have the job.
fn keys_of(duty: &Duty, id: &JobId) -> Vec<(usize, EntryKey)> {
    let pools = duty.pools.iter().enumerate();
    pools.filter_map(|(number, pool)| Some((number, pool.entry_key(id)?))).collect()
}

/// Every request from a score on.
async fn read(duty: &Duty, since: i64) -> Result<Vec<(ToStop, i64)>> {
    let mut requests = Vec::new();
    loop {
        let (page, has_more) = duty.broker.cancels(since, requests.len()).await?;
        requests.extend(page);
        if !has_more {
            return Ok(requests);
        }
    }
}
