//! What happens as the store's time goes by: hours pass at once. Each case has a store for itself, whose clock it
//! moves, so that nothing here waits and nobody else's leases end. Moves are made by hand where a worker would make
//! them by its own timers.
//!
//! A redis-server's clock goes on beside, so that "just before" is [`MARGIN`] before.

use std::time::{Duration, SystemTime};

use windlass::{Error, Failure, JobId, Keep, Push, Retry, State, Worker};

use super::world::{Beside, Store, World, held, json};

const ONE: &str = "t.1.1.t.1";
const OTHER: &str = "t.2.2.t.9";

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// More than a case takes, less than anything that it lets pass.
pub(super) const MARGIN: Duration = Duration::from_secs(10);

/// Lets all but the last moment of `time` pass, a moment that is shorter than [`MARGIN`]: Redis keeps a key to the end of
/// its last millisecond.
pub(super) fn almost(store: &Store, time: Duration) {
    store.advance(time - MARGIN + Duration::from_millis(2));
}

/// Makes the moves of the Pruner.
async fn prune(world: &World) -> usize {
    let mut done = 0;
    loop {
        match world.broker.prune(&world.config).await.unwrap() {
            0 => return done,
            more => done += more,
        }
    }
}

/// Makes the move of the Scheduler; answers how many jobs are in their queues now.
async fn promote(world: &World, state: State) -> usize {
    world.broker.promote(state, &["default".to_owned()]).await.unwrap().moved
}

/// A worker that does not know the kind `k`.
fn ignorant(world: &World) -> Worker {
    world.worker().register_raw("else", Retry::Never, |_, _| async { Ok(json("1")) })
}

/// Pushes a job and has a worker park it.
async fn parked(world: &World) -> JobId {
    let id = world.push("k", "[5]", Push::new().result_ttl(7 * DAY)).await;
    let worker = Beside::start(ignorant(world));
    world.until(&id, State::Parked).await;
    worker.stop().await;
    id
}

/// What is known of a job by now.
async fn known(world: &World, id: &JobId) -> Option<windlass::Details> {
    world.client.inspector().show(id).await.unwrap()
}

pub(super) async fn a_delayed_job_is_due_by_the_stores_clock(store: &Store) {
    let world = store.world().await;
    let start = SystemTime::now();
    let first = world.push("k", "1", Push::new().delay(HOUR)).await;
    let second = world.push("k", "2", Push::new().at(start + 2 * HOUR)).await;
    almost(store, HOUR);
    for id in [first, second] {
        assert_eq!(promote(&world, State::Scheduled).await, 0, "early");
        // The case took its own time from another clock, a little later.
        store.advance(MARGIN + Duration::from_secs(1));
        assert_eq!(promote(&world, State::Scheduled).await, 1);
        let taken = world.take(OTHER, 9).await;
        assert_eq!((taken[0].job_id("default"), taken[0].count), (id, 1));
        assert_eq!(world.finish(OTHER, &taken).await, 0);
        almost(store, HOUR);
    }
}

pub(super) async fn a_retry_waits_for_its_time(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let fail = |_, _| async { Err(Failure::retry("not now")) };
    let worker = Beside::start(world.worker().register_raw("k", Retry::Fixed(HOUR), fail));
    world.until(&id, State::Retry).await;
    worker.stop().await;
    almost(store, HOUR);
    assert_eq!(promote(&world, State::Retry).await, 0, "early");
    store.advance(MARGIN);
    assert_eq!(promote(&world, State::Retry).await, 1);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let run = runs.recv().await.unwrap();
    assert_eq!((run.id, run.attempt), (id, 2));
    worker.stop().await;
}

pub(super) async fn an_expired_job_is_discarded_by_the_stores_clock(store: &Store) {
    let world = store.world().await;
    let start = SystemTime::now();
    let late = world.push("k", "1", Push::new().expires_at(start + HOUR)).await;
    let fine = world.push("k", "2", Push::new().expires_at(start + 2 * HOUR)).await;
    store.advance(HOUR + MARGIN);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap().id, fine);
    let discarded = world.until(&late, State::Discarded).await;
    assert_eq!(discarded.history.reason.as_deref(), Some("it expired before it could run"));
    worker.stop().await;
}

pub(super) async fn a_job_that_has_begun_does_not_expire(store: &Store) {
    let world = store.world().await;
    let until = SystemTime::now() + HOUR;
    let push = async |args: &str| world.push("k", args, Push::new().expires_at(until)).await;
    let crashed = push("0").await;
    assert_eq!(world.take(ONE, 1).await.len(), 1);
    let (retried, snoozed) = (push("1").await, push("2").await);
    let fail = |args: Box<serde_json::value::RawValue>, _| async move {
        Err(if args.get() == "1" { Failure::retry("not now") } else { Failure::snooze(HOUR) })
    };
    let worker = Beside::start(world.worker().register_raw("k", Retry::Fixed(HOUR), fail));
    world.until(&retried, State::Retry).await;
    world.until(&snoozed, State::Scheduled).await;
    worker.stop().await;
    // This one is given back before anybody began it, as its count says.
    let unstarted = push("3").await;
    let taken = world.take(OTHER, 1).await;
    assert_eq!(world.broker.release("default", OTHER, &held(&taken)).await.unwrap(), 1);
    store.advance(HOUR + MARGIN);
    world.recover(&[ONE]).await;
    assert_eq!(promote(&world, State::Retry).await + promote(&world, State::Scheduled).await, 2);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let mut ran = Vec::new();
    for _ in 0..3 {
        ran.push(runs.recv().await.unwrap().id);
    }
    ran.sort();
    let mut wanted = vec![crashed, retried, snoozed];
    wanted.sort();
    assert_eq!(ran, wanted);
    world.until(&unstarted, State::Discarded).await;
    worker.stop().await;
}

pub(super) async fn a_key_is_forgotten_after_its_time(store: &Store) {
    let world = store.world().await;
    let push = async || world.push("k", "1", Push::new().key("once")).await;
    let first = push().await;
    almost(store, world.config.key_ttl);
    assert_eq!(push().await, first);
    store.advance(MARGIN);
    assert_ne!(push().await, first);
}

pub(super) async fn a_result_is_forgotten_after_its_time(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().result_ttl(HOUR)).await;
    let handle = world.client.handle::<()>(id);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    handle.result().await.unwrap();
    worker.stop().await;
    almost(store, HOUR);
    handle.result().await.unwrap();
    store.advance(2 * MARGIN);
    assert!(matches!(handle.result().await, Err(Error::Forgotten(_))));
}

pub(super) async fn the_dead_are_kept_for_their_time(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let (worker, _runs) = world.recorder(|_| async { Err(Failure::kill("no")) });
    let worker = Beside::start(worker);
    world.until(&id, State::Dead).await;
    worker.stop().await;
    almost(store, Keep::default().age);
    prune(&world).await;
    assert_eq!(known(&world, &id).await.unwrap().state, State::Dead);
    store.advance(2 * MARGIN);
    assert_eq!(prune(&world).await, 1);
    assert!(known(&world, &id).await.is_none());
    assert!(world.is_empty().await);
}

pub(super) async fn a_silent_worker_leaves_the_list(store: &Store) {
    let world = store.world().await;
    let beat = async |worker| {
        world.broker.beat(worker, world.config.lease, &[("host", "h".into())]).await.unwrap();
    };
    let listed = async || world.broker.workers(9).await.unwrap();
    beat(ONE).await;
    almost(store, 10 * world.config.lease);
    beat(OTHER).await;
    assert_eq!(prune(&world).await, 0);
    assert_eq!(listed().await, [OTHER, ONE]);
    store.advance(2 * MARGIN);
    assert_eq!(prune(&world).await, 1);
    assert_eq!(listed().await, [OTHER]);
    // Its description went by itself, so that it is not shown before it is pruned.
    assert_eq!(world.ask::<u64>("EXISTS", &[&world.broker.keys().worker(ONE)]).await, 0);
}

pub(super) async fn a_worker_that_took_something_within_a_lease_lives(store: &Store) {
    let world = store.world().await;
    world.push_numbers(2).await;
    let lease = world.config.lease;
    assert_eq!(world.take(ONE, 1).await.len(), 1);
    almost(store, lease);
    assert_eq!(world.take(ONE, 1).await.len(), 1);
    store.advance(2 * MARGIN);
    // It has no beat, as if the clock had been set forward since, and its first job was never renewed.
    let recovered = world.recover(&[]).await;
    assert_eq!((recovered.suspects, recovered.unstarted), (0, 0), "one lapsed entry takes not all");
    store.advance(lease);
    let recovered = world.recover(&[]).await;
    assert_eq!(recovered.suspects + recovered.unstarted, 2);
}

pub(super) async fn a_parked_job_dies_after_its_day(store: &Store) {
    let world = store.world().await;
    assert_eq!(world.config.parked_age, DAY, "as documented");
    let id = parked(&world).await;
    almost(store, DAY);
    assert_eq!(prune(&world).await, 0);
    assert_eq!(known(&world, &id).await.unwrap().state, State::Parked);
    store.advance(2 * MARGIN);
    assert_eq!(prune(&world).await, 1);
    let dead = known(&world, &id).await.unwrap();
    assert_eq!((dead.state, dead.kind.as_str()), (State::Dead, "k"));
    assert_eq!(dead.history.reason.as_deref(), Some("no worker came that knows its kind"));
    // A worker that comes too late leaves it dead; a person can still have it run, with what it was given.
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert!(world.client.inspector().retry(&id).await.unwrap());
    let run = runs.recv().await.unwrap();
    assert_eq!((run.id, run.args.as_str()), (id, "[5]"));
    worker.stop().await;
    assert!(world.is_empty().await);
}

pub(super) async fn whoever_waits_for_a_job_that_dies_parked_is_told(store: &Store) {
    let world = store.world().await;
    let id = parked(&world).await;
    let handle = world.client.handle::<()>(id);
    let day = async {
        tokio::task::yield_now().await;
        store.advance(DAY + MARGIN);
        prune(&world).await
    };
    let (result, pruned) = tokio::join!(handle.result(), day);
    assert_eq!(pruned, 1);
    match result {
        Err(Error::Ended { state, message, .. }) => {
            assert_eq!((state, message.as_str()), (State::Dead, "no worker came that knows its kind"));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_parked_job_is_woken_before_its_day_has_passed(store: &Store) {
    let world = store.world().await;
    let id = parked(&world).await;
    almost(store, DAY);
    prune(&world).await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let run = runs.recv().await.unwrap();
    assert_eq!((run.id, run.attempt, run.args.as_str()), (id, 1, "[5]"));
    assert_eq!(worker.stop().await.completed, 1);
    store.advance(DAY);
    prune(&world).await;
    assert!(world.is_empty().await, "it does not die after it has run");
}
