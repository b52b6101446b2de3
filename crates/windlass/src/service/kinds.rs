//! Says which kinds this worker knows, where a queue asks for them, and learns which queues do.

use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::worker::Duty;

/// The longest time between two looks: so long after a queue has begun to ask its workers may not know it.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How often in a lease it is said.
const LOOKS_PER_LEASE: u32 = 4;

pub(crate) async fn tell_all(duty: Rc<Duty>) {
    loop {
        super::pause(LOOK_MAX.min(duty.config.lease / LOOKS_PER_LEASE)).await;
        duty.shared.until_answered(|| tell(&duty)).await;
    }
}

/// Says it once for each pool.
pub(crate) async fn tell(duty: &Duty) -> Result<()> {
    let kinds = duty.shared.kinds.versions();
    for pool in &duty.pools {
        let queues: Vec<&str> = pool.queues.iter().map(|queue| &**queue).collect();
        let asking = duty.broker.know(&queues, &kinds, duty.config.lease).await?;
        if pool.note_asking(&asking) {
            // What it waits for is another now.
            pool.look_again();
        }
    }
    Ok(())
}
