//! The Unparker puts parked jobs back whose kind this worker knows: at its start, and now and then, since
//! an older worker may park one later.

use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::worker::Duty;

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn unpark_all(duty: Rc<Duty>) {
    let kinds = duty.kinds();
    if kinds.is_empty() {
        return;
    }
    loop {
        duty.shared.until_answered(|| unpark(&duty, &kinds)).await;
        super::pause(LOOK_EVERY).await;
    }
}

/// Looks at every parked job once, a page at a time.
pub(crate) async fn unpark(duty: &Duty, kinds: &[String]) -> Result<()> {
    let queues = duty.all_queues().await?;
    let mut rank = 0;
    loop {
        let (seen, moved) = duty.broker.unpark(rank, &queues, kinds).await?;
        if seen == 0 {
            return Ok(());
        }
        rank += seen - moved.min(seen);
    }
}
