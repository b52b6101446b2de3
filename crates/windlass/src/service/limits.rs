//! Tells of the limits that hold jobs up: once when one begins to, and not again as long as it goes on.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::worker::Duty;

/// About how often it looks. No taking pays for it, and queues without rules are not looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A limit has gone on to hold if it did so long ago: one that is full all the time has room for moments.
const GOES_ON: Duration = Duration::from_secs(5);

pub(crate) async fn tell_all(duty: Rc<Duty>) {
    let mut queues: Vec<&str> =
        duty.pools.iter().flat_map(|pool| &pool.queues).map(|queue| &**queue).collect();
    queues.sort_unstable();
    queues.dedup();
    let mut seen: HashMap<(String, String), Instant> = HashMap::new();
    loop {
        super::pause(LOOK_EVERY).await;
        if !duty.broker.meets_rules() {
            continue;
        }
        let held = duty.shared.until_answered(|| duty.broker.held_up(&queues)).await;
        let now = Instant::now();
        seen.retain(|_, at| now - *at < GOES_ON);
        for (limit, rule, until_ms) in held {
            if seen.insert((limit.clone(), rule.clone()), now).is_none() {
                duty.emit(Event::Held { limit, rule, until_ms });
            }
        }
    }
}
