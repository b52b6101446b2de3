//! Bulk loads that are spread over a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use windlass::{Chain, Error, Push, PushMiddleware, Pushing, State, Unique};

use super::working::Sum;
use super::world::{Store, World, json};

const PERIOD: Duration = Duration::from_secs(100);

/// More than two calls take, and not a divisor of the period.
const COUNT: usize = 1201;

fn numbers(count: usize) -> Vec<Box<RawValue>> {
    (0..count).map(|number| json(&number.to_string())).collect()
}

async fn push(world: &World, args: &[Box<RawValue>], options: Push) -> windlass::Result<u64> {
    world.client.push_many_raw("k", args.iter().map(|args| &**args), options).await
}

/// When the scheduled jobs are due, by the store's clock, with their arguments.
async fn due(world: &World) -> Vec<(u64, usize)> {
    let (inspector, mut due, mut from) = (world.client.inspector(), Vec::new(), None);
    loop {
        let page = inspector.list(State::Scheduled, None, from.as_deref(), 500).await.unwrap();
        for job in page.jobs {
            let envelope: serde_json::Value = serde_json::from_slice(&job.envelope).unwrap();
            due.push((job.at_ms.unwrap(), envelope["args"].as_u64().unwrap() as usize));
        }
        from = page.next;
        if from.is_none() {
            return due;
        }
    }
}

async fn enqueued(world: &World) -> u64 {
    world.client.inspector().queue("default").await.unwrap().enqueued
}

fn is_even(due: &[(u64, usize)], start: u64, count: usize) -> bool {
    due.iter().all(|(at, number)| *at == start + PERIOD.as_millis() as u64 * *number as u64 / count as u64)
}

pub(super) async fn a_bulk_load_is_spread_evenly(store: &Store) {
    let world = store.world().await;
    let before = world.broker_now().await;
    assert_eq!(push(&world, &numbers(COUNT), Push::new().spread(PERIOD)).await.unwrap(), COUNT as u64);
    assert_eq!(enqueued(&world).await, 1, "the first one at once");
    let spread = due(&world).await;
    assert_eq!(spread.len(), COUNT - 1);
    let start = spread[0].0 - 83;
    assert!(start >= before && start <= world.broker_now().await);
    assert!(is_even(&spread, start, COUNT));
    // Behind a delay nothing is due at once.
    let world = store.world().await;
    let options = Push::new().spread(PERIOD).delay(Duration::from_secs(3600));
    push(&world, &numbers(10), options).await.unwrap();
    let spread = due(&world).await;
    assert_eq!((enqueued(&world).await, spread.len()), (0, 10));
    assert!(is_even(&spread, spread[0].0, 10) && spread[0].0 >= before + 3_600_000);
}

/// Counts what it sees.
struct Counting(Arc<AtomicU64>);

impl PushMiddleware for Counting {
    async fn push(&self, job: &mut Pushing) -> windlass::Result<()> {
        assert_eq!(job.is_delayed(), job.args().get() != "0");
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) async fn unique_and_watched_jobs_are_spread_as_well(store: &Store) {
    let world = store.world().await;
    let options = || Push::new().spread(PERIOD).unique(Unique::until_done());
    assert_eq!(push(&world, &numbers(20), options()).await.unwrap(), 20);
    assert_eq!(push(&world, &numbers(30), options()).await.unwrap(), 10, "those that are there stay");
    let seen = Arc::new(AtomicU64::new(0));
    let watched = store.world().await;
    let client = watched.client.clone().middleware(Counting(seen.clone()));
    let args = numbers(COUNT);
    let args = args.iter().map(|args| &**args);
    assert_eq!(client.push_many_raw("k", args, Push::new().spread(PERIOD)).await.unwrap(), COUNT as u64);
    assert_eq!((seen.load(Ordering::Relaxed), enqueued(&watched).await), (COUNT as u64, 1));
    let spread = due(&watched).await;
    assert!(is_even(&spread, spread[0].0 - 83, COUNT));
}

pub(super) async fn a_spread_that_cannot_be_meant_is_refused(store: &Store) {
    let world = store.world().await;
    let refused = |refused: windlass::Result<()>| match refused.unwrap_err() {
        Error::Push { option: "spread", problem } => problem,
        other => panic!("{other}"),
    };
    let spread = || Push::new().spread(PERIOD);
    let args = numbers(3);
    let unknown = args.iter().map(|args| &**args).filter(|_| true);
    let problem = refused(world.client.push_many_raw("k", unknown, spread()).await.map(drop));
    assert!(problem.contains("how many jobs"), "{problem}");
    refused(world.client.push_raw("k", &args[0], spread()).await.map(drop));
    refused(world.client.push_chain(Chain::new().then_with(Sum(vec![]), spread())).await.map(drop));
    refused(world.client.batch().push_all_with([Sum(vec![])], spread()).await.map(drop));
    assert_eq!((enqueued(&world).await, due(&world).await.len()), (0, 0), "nothing was pushed");
    // Over no time it is a push of many as any other.
    push(&world, &args, Push::new().spread(Duration::ZERO)).await.unwrap();
    assert_eq!(enqueued(&world).await, 3);
}

/// A list with one job that cannot be pushed is refused before anything is pushed; of a longer one it is told how many were.
pub(super) async fn a_bulk_load_is_refused_whole_or_says_how_far_it_came(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 600_000).await;
    let (small, large) = (json("1"), json(&format!("\"{}\"", "x".repeat(500_000))));
    let too_large = json(&format!("\"{}\"", "x".repeat(600_000)));
    let push = async |jobs: Vec<&RawValue>| world.client.push_many_raw("k", jobs, Push::new()).await;
    let mut jobs: Vec<&RawValue> = vec![&small; 1_500];
    jobs[1_200] = &too_large;
    assert!(matches!(push(jobs.clone()).await, Err(Error::Payload { .. })));
    let unique = Push::new().unique(Unique::until_done());
    assert!(matches!(world.client.push_many_raw("k", jobs, unique).await, Err(Error::Payload { .. })));
    assert!(world.is_empty().await);
    let mut jobs: Vec<&RawValue> = vec![&large; 12];
    jobs[10] = &too_large;
    let refused = push(jobs).await.unwrap_err();
    assert!(
        refused.to_string().starts_with("the push stopped after 8 jobs: the job `k` takes 600"),
        "{refused}"
    );
    let Error::Partial { pushed: 8, batch: None, source } = refused else { panic!("{refused:?}") };
    assert!(matches!(*source, Error::Payload { .. }));
    assert_eq!(world.client.inspector().queue("default").await.unwrap().enqueued, 8);
}
