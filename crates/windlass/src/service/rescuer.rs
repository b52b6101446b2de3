//! The Rescuer takes back what ended workers held.

use std::rc::Rc;
use std::time::Duration;

use crate::broker::Recovered;
use crate::error::Result;
use crate::event::Event;
use crate::worker::Duty;

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many listed workers it asks the machine about.
const WORKERS_MAX: usize = 1000;

pub(crate) async fn rescue_all(duty: Rc<Duty>) {
    loop {
        // A lease that is shorter than the pace, as in tests, is looked after more often.
        super::pause(LOOK_EVERY.min(duty.config.lease / 2)).await;
        duty.shared.until_answered(|| rescue(&duty)).await;
    }
}

/// Looks at every queue once.
pub(crate) async fn rescue(duty: &Duty) -> Result<()> {
    let mut dead = duty.broker.workers(WORKERS_MAX).await?;
    dead.retain(|worker| duty.has_ended(worker));
    let mut total = Recovered::default();
    for queue in duty.all_queues().await? {
        let (recovered, died) = duty.broker.recover_and_name(&queue, &duty.config, &dead).await?;
        let Recovered { suspects, unstarted, killed } = recovered;
        total.suspects += suspects;
        total.unstarted += unstarted;
        total.killed += killed;
        duty.tell_dead(&died).await;
    }
    if total != Recovered::default() {
        let Recovered { suspects, unstarted, killed } = total;
        duty.emit(Event::Recovered { suspects, unstarted, killed });
    }
    Ok(())
}
