//! The Pruner drops what is too old: ended jobs, silent workers. Parked jobs that nobody came for die.

use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::worker::Duty;

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) async fn prune_all(duty: Rc<Duty>) {
    loop {
        super::pause(LOOK_EVERY).await;
        while duty.shared.until_answered(|| prune(&duty)).await > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Drops some of what is too old. Answers how much that was.
pub(crate) async fn prune(duty: &Duty) -> Result<usize> {
    let (done, died) = duty.broker.prune_and_name(&duty.config).await?;
    duty.tell_dead(&died).await;
    Ok(done)
}
