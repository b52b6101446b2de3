//! The Scheduler moves due jobs into their queues.

use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::state::State;
use crate::worker::Duty;

/// The longest wait between two looks: how late a job can be that was scheduled just after one.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The shortest wait between two looks.
const LOOK_MIN: Duration = Duration::from_millis(2);

pub(crate) async fn promote_all(duty: Rc<Duty>) {
    loop {
        let next = duty.shared.until_answered(|| promote(&duty)).await;
        match next.unwrap_or(LOOK_MAX) {
            next if next.is_zero() => tokio::task::yield_now().await,
            next if next < LOOK_MAX => tokio::time::sleep(next.max(LOOK_MIN)).await,
            _ => super::pause(LOOK_MAX).await,
        }
    }
}

/// Moves what is due and answers when the next is.
pub(crate) async fn promote(duty: &Duty) -> Result<Option<Duration>> {
    let mut soonest: Option<Duration> = None;
    for state in [State::Scheduled, State::Retry] {
        let queues = duty.all_queues().await?;
        let promoted = duty.broker.promote(state, &queues).await?;
        if !promoted.unknown.is_empty() {
            duty.learn_queues(&promoted.unknown).await?;
        }
        soonest = [soonest, promoted.next].into_iter().flatten().min();
    }
    Ok(soonest)
}
