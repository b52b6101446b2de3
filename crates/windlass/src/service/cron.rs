//! Fires cron entries that are due. No worker leads: each looks, and the move is made by whoever comes first.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::broker::DueCron;
use crate::error::Result;
use crate::event::Event;
use crate::worker::Duty;

/// The longest wait between two looks: how late an entry can be that was put just after one.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The shortest wait between two looks.
const LOOK_MIN: Duration = Duration::from_millis(2);

/// How many unusable entries are remembered, so that each is told of once.
const TOLD_MAX: usize = 1000;

pub(crate) async fn fire_all(duty: Rc<Duty>) {
    let told = Told::default();
    loop {
        let next = duty.shared.until_answered(|| fire(&duty, &told)).await;
        match next {
            Some(next) if next < LOOK_MAX => tokio::time::sleep(next.max(LOOK_MIN)).await,
            _ => super::pause(LOOK_MAX).await,
        }
    }
}

/// What was told of entries that cannot be used.
pub(crate) type Told = Mutex<HashSet<String>>;

/// Fires everything that is due and answers how long until the next is.
pub(crate) async fn fire(duty: &Duty, told: &Told) -> Result<Option<Duration>> {
    // Entries that cannot be used here stay due, for a worker that can.
    let mut passed = 0;
    let mut stale = HashSet::new();
    loop {
        let found = duty.broker.due_crons(passed).await?;
        if found.due.is_empty() {
            return Ok(found.next);
        }
        for due in &found.due {
            if let Some(message) = due.problem() {
                passed += 1;
                tell(duty, told, due, message);
                continue;
            }
            let fired = duty.broker.fire_seen(due, found.now_ms, duty.shared.client.watchers()).await?;
            let name = || due.name().to_owned();
            // Others fire as well. What stays due all the same is passed over, so that this ends.
            if fired.is_stale && !stale.insert(name()) {
                passed += 1;
            }
            if let Some(message) = fired.refused {
                duty.emit(Event::CronRefused { name: name(), message });
            }
            if fired.overlaps {
                duty.emit(Event::CronOverlapped { name: name() });
            } else if fired.has_missed && !fired.is_stale {
                duty.emit(Event::CronMissed { name: name() });
            }
        }
    }
}

/// Tells of an unusable entry, once.
fn tell(duty: &Duty, told: &Told, due: &DueCron, message: String) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < TOLD_MAX && told.insert(format!("{} {message}", due.name())) {
        duty.emit(Event::CronUnusable { name: due.name().to_owned(), message });
    }
}
