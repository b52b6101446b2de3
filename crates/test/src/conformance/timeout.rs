//! How long an attempt may take: asked to stop first, cut short later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windlass::{BlockingJob, Context, Error, Failure, Outcome, Push, Retry, State};

use super::world::{Store, World, json};

const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(50);

async fn ended(world: &World, id: windlass::JobId) -> (State, String) {
    match world.client.handle::<serde_json::Value>(id).result().await {
        Ok(answer) => (State::Completed, answer.to_string()),
        Err(Error::Ended { state, message, .. }) => (state, message),
        Err(other) => panic!("{other:?}"),
    }
}

/// Waits for its token on a thread.
struct Patient(String);

impl serde::Serialize for Patient {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Patient {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Patient)
    }
}

impl BlockingJob for Patient {
    const KIND: &'static str = "patient";
    type Output = String;

    fn run(self, context: &Context) -> Outcome<String> {
        context.block_on(context.cancelled());
        Ok(self.0)
    }
}

pub(super) async fn a_soft_timeout_lets_a_job_clean_up(store: &Store) {
    let world = store.world().await;
    let push = || Push::new().soft_timeout(SOON).timeout(LATE).max_attempts(1).result_ttl(LATE);
    let cleaned = world.push("k", r#""answer""#, push()).await;
    let gave_up = world.push("k", r#""cancel""#, push()).await;
    let failed = world.push("k", r#""fail""#, push()).await;
    let quick = world.push("k", r#""quick""#, push()).await;
    let far = Push::new().soft_timeout(Duration::MAX).timeout(Duration::MAX).result_ttl(LATE);
    let unbounded = world.push("k", r#""quick""#, far).await;
    let blocking = world.push("patient", r#""in time""#, push()).await;
    let worker = world.worker().register_blocking::<Patient>().register_raw(
        "k",
        Retry::Never,
        |args, context| async move {
            if args.get() == r#""quick""# {
                return Ok(json("0"));
            }
            context.cancelled().await;
            match args.get() {
                r#""answer""# => Ok(json("1")),
                r#""cancel""# => Err(Failure::cancel()),
                _ => Err(Failure::discard("cleaned up")),
            }
        },
    );
    worker.exit_when_empty().run().await.unwrap();
    assert_eq!(ended(&world, cleaned).await, (State::Completed, "1".into()), "what it answers counts");
    let too_long = (State::Dead, "it took longer than 20ms".into());
    assert_eq!(ended(&world, gave_up).await, too_long, "nobody cancelled it");
    assert_eq!(ended(&world, failed).await, (State::Discarded, "cleaned up".into()));
    assert_eq!(ended(&world, quick).await, (State::Completed, "0".into()));
    assert_eq!(ended(&world, unbounded).await, (State::Completed, "0".into()));
    assert_eq!(ended(&world, blocking).await, (State::Completed, r#""in time""#.into()));
}

pub(super) async fn a_job_that_heeds_no_soft_timeout_is_cut_short_by_the_hard_one(store: &Store) {
    let world = store.world().await;
    let (was_asked, was_dropped) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
    /// Says that the job's future is gone.
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (asked, dropped) = (was_asked.clone(), was_dropped.clone());
    let worker = world.worker().register_raw("k", Retry::Never, move |_, context| {
        let (asked, gone) = (asked.clone(), Gone(dropped.clone()));
        async move {
            context.cancelled().await;
            asked.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
            drop(gone);
            Ok(json("1"))
        }
    });
    let push = Push::new().soft_timeout(SOON).timeout(2 * SOON).max_attempts(1).result_ttl(LATE);
    let id = world.push("k", "1", push).await;
    worker.exit_when_empty().run().await.unwrap();
    assert_eq!(ended(&world, id).await, (State::Dead, "it took longer than 40ms".into()));
    assert!(was_asked.load(Ordering::SeqCst) && was_dropped.load(Ordering::SeqCst));
}
