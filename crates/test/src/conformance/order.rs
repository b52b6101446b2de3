//! Which queue gives the next job: strict queues in their order, weighted ones by their shares.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use windlass::{Push, Retry, Worker};

use super::world::{Beside, Store, World, json};

/// Jobs of the strict queue, which all come first.
const STRICT: usize = 20;

/// Starts of weighted jobs that are counted. A tenth is expected of the light queue; even if all came in pairs the
/// deviation would be eleven.
const COUNTED: usize = 600;

/// Jobs of each weighted queue: neither runs dry, whatever is drawn.
const WEIGHTED: usize = 700;

/// Pushes jobs into a queue that say where they are from.
async fn fill(world: &World, queue: &str, count: usize) {
    let args = json(&format!("\"{queue}\""));
    let jobs = std::iter::repeat_n(&*args, count);
    assert_eq!(world.client.push_many_raw("k", jobs, Push::new().queue(queue)).await.unwrap(), count as u64);
}

pub(super) async fn weighted_queues_share_and_strict_ones_come_first(store: &Store) {
    let world = store.world().await;
    fill(&world, "light", WEIGHTED).await;
    fill(&world, "heavy", WEIGHTED).await;
    fill(&world, "strict", STRICT).await;
    let (sender, mut begun) = mpsc::unbounded_channel();
    let may_end = Arc::new(Semaphore::new(STRICT + COUNTED - 1));
    let gate = may_end.clone();
    let worker = Worker::new(&world.client)
        .queue_weighted("light", 1)
        .queue_weighted("heavy", 9)
        .queue("strict")
        .concurrency(1)
        .register_raw("k", Retry::Never, move |queue, _| {
            sender.send(queue.get().trim_matches('"').to_owned()).ok();
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok(queue)
            }
        });
    let worker = Beside::start(worker);
    for number in 0..STRICT {
        assert_eq!(begun.recv().await.unwrap(), "strict", "{number}");
    }
    let mut light = 0;
    for _ in 0..COUNTED {
        light += usize::from(begun.recv().await.unwrap() == "light");
    }
    assert!((12..=130).contains(&light), "{light} of {COUNTED} from a queue with a tenth of the weight");
    // The last of them runs, and another may have been taken ahead: no more comes before strict work.
    fill(&world, "strict", 1).await;
    may_end.add_permits(3);
    let mut next = Vec::new();
    while next.last().is_none_or(|queue| queue != "strict") {
        next.push(begun.recv().await.unwrap());
        assert!(next.len() <= 3, "strict work waits behind {next:?}");
    }
    worker.control().force();
    worker.ended().await;
}
