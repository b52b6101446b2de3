//! The heartbeat renews leases and shows that the worker lives. Three times in a lease.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::broker::BATCH_JOBS_MAX;
use crate::error::Result;
use crate::event::Event;
use crate::worker::{Duty, HoldKey, Shared};

/// How many beats a lease has room for.
const BEATS_PER_LEASE: u32 = 3;

/// How long a renewal may take that begins too late because this process stood still. A store in the process stood still
/// with it and extends the leases; another one says by its answer which of them are lost.
const GRACE: Duration = Duration::from_secs(1);

/// How long the description of a worker outlives its last beat, in leases.
const DESCRIPTION_LEASES: u32 = 10;

pub(crate) async fn renew_all(duty: Rc<Duty>) {
    let mut renewed_at = Instant::now();
    loop {
        // No jitter here: a lease must not be cut short.
        tokio::time::sleep(duty.config.lease / BEATS_PER_LEASE).await;
        let began_at = Instant::now();
        let is_late = began_at - renewed_at > 2 * duty.config.lease / BEATS_PER_LEASE;
        let lapse = if is_late { began_at + GRACE } else { renewed_at + duty.config.lease };
        let mut renewing = pin!(duty.shared.until_answered(|| renew(&duty)));
        if timeout_at(lapse, &mut renewing).await.is_err() {
            give_up(&duty);
            renewing.await;
        }
        renewed_at = began_at;
    }
}

/// Cuts short what runs here: nothing was renewed for a whole lease, so that another worker may have it all.
fn give_up(duty: &Duty) {
    for pool in &duty.pools {
        let all = pool.hand().all_held();
        for (queue, held) in all {
            for held in held {
                lose(duty, pool, HoldKey { queue, held });
            }
        }
    }
}

/// Lets a job go whose lease is lost, and tells of it unless it has ended by itself.
fn lose(duty: &Duty, pool: &Shared, key: HoldKey) {
    if let Some(event) = pool.lose(&key) {
        pool.look_again();
        let id = event.id.clone();
        duty.shared.events.job(|| event);
        duty.emit(Event::LeaseLost { id });
    }
}

/// Renews every lease, then beats: a fresh beat says that all renewals before it were made.
async fn renew(duty: &Duty) -> Result<()> {
    for pool in &duty.pools {
        let all = pool.hand().all_held();
        for (queue, held) in all {
            for some in held.chunks(BATCH_JOBS_MAX) {
                let name = &*pool.queues[queue];
                let lost = duty.broker.renew(name, &pool.worker, some).await?;
                for held in lost {
                    lose(duty, pool, HoldKey { queue, held });
                }
            }
        }
        pool.shrink();
    }
    beat(duty).await
}

/// Shows that the worker lives, each of its pools by itself.
pub(crate) async fn beat(duty: &Duty) -> Result<()> {
    for pool in &duty.pools {
        beat_for(duty, pool).await?;
    }
    Ok(())
}

async fn beat_for(duty: &Duty, shared: &Shared) -> Result<()> {
    let fields = [
        ("host", duty.host_name()),
        ("pid", std::process::id().to_string()),
        ("capsule", shared.capsule.clone()),
        ("queues", shared.queues.join(" ")),
        ("concurrency", shared.concurrency.to_string()),
        ("started", duty.started_at_ms.to_string()),
        ("busy", shared.hand().in_hand().to_string()),
        ("phase", format!("{:?}", *duty.phase().borrow()).to_lowercase()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let ttl = (duty.config.lease * DESCRIPTION_LEASES).max(Duration::from_secs(1));
    duty.broker.beat(&shared.worker, ttl, &fields).await.map(drop)
}
