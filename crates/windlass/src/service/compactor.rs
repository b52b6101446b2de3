//! The Compactor gives back the memory that slow jobs keep of those that were pushed beside them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::broker::Sparse;
use crate::worker::Duty;

/// About how often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For how many looks a queue is left alone that has gained less than half of its nodes, or whose store refused: the nodes
/// are of another size there than the script takes them for, or the user has not the rights.
const REST_LOOKS: u32 = 120;

/// Whether the store leaves this to its clients: the embedded one does it by itself.
pub(crate) fn is_needed(duty: &Duty) -> bool {
    !duty.broker.connection().is_embedded()
}

pub(crate) async fn compact_all(duty: Rc<Duty>) {
    // Queues that are left alone, and for how many looks.
    let mut resting: HashMap<String, u32> = HashMap::new();
    loop {
        super::pause(LOOK_EVERY).await;
        resting.retain(|_, looks| {
            *looks -= 1;
            *looks > 0
        });
        for queue in duty.shared.until_answered(|| duty.all_queues()).await {
            if resting.contains_key(&queue) {
                continue;
            }
            match duty.broker.compact(&queue, Sparse::default()).await {
                Ok(None) => continue,
                Ok(Some(compacted)) if compacted.nodes_after <= compacted.nodes_before / 2 => continue,
                Ok(Some(_)) => {}
                // It saves memory and no more: nobody waits for it, and the worker goes on without.
                Err(error) => duty.shared.note_failure(&error),
            }
            resting.insert(queue, REST_LOOKS);
        }
    }
}
