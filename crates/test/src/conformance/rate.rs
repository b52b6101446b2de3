//! Rates and breakers as the store's time goes by.

use std::time::Duration;

use windlass::broker::{Exchanged, Request};
use windlass::{Push, Rate, Rule, State, Target};

use super::lane::{A, args_of, end, push_all};
use super::limit::{fail, promote, set};
use super::world::{Store, World};

const MINUTE: Duration = Duration::from_secs(60);

/// Takes and ends what may be taken; answers how many, and how long until there may be more.
async fn go(world: &World) -> (usize, Option<Duration>) {
    let request = Request { consumer: A, count: 50, may_suspect: true, woken: None };
    let Exchanged { taken, next, .. } = world.broker.exchange(None, &["default"], request).await.unwrap();
    assert_eq!(end(world, A, &taken).await, 0);
    (taken.len(), next)
}

/// Moves the time to the start of a window, so that a case on a clock that goes on beside does not cross one.
async fn align(world: &World, store: &Store, per: Duration) {
    let time: (u64, u64) = world.ask("TIME", &[]).await;
    let passed = Duration::from_micros(time.0 * 1_000_000 + time.1).as_nanos() % per.as_nanos();
    store.advance(per - Duration::from_nanos(passed as u64));
}

pub(super) async fn a_window_lets_in_so_many(store: &Store) {
    let world = store.world().await;
    set(&world, Target::queue("default"), Rule::new().rate(Rate::window(3, MINUTE))).await;
    world.push_numbers(8).await;
    align(&world, store, MINUTE).await;
    assert_eq!(go(&world).await.0, 3);
    let (more, next) = go(&world).await;
    assert!(more == 0 && next.is_some_and(|next| next <= MINUTE), "{next:?}");
    store.advance(MINUTE);
    assert_eq!(go(&world).await.0, 3);
    assert_eq!(go(&world).await.0, 0);
    store.advance(MINUTE);
    assert_eq!(go(&world).await.0, 2);
}

pub(super) async fn a_sliding_window_remembers_the_last_one(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().rate(Rate::sliding(10, MINUTE))).await;
    world.push_numbers(40).await;
    align(&world, store, MINUTE).await;
    assert_eq!(go(&world).await.0, 10);
    store.advance(MINUTE);
    let (early, _) = go(&world).await;
    assert!(early <= 1, "all of the last window still count: {early}");
    store.advance(MINUTE / 2);
    let (half, next) = go(&world).await;
    assert!((4..=6).contains(&(half + early)), "half of them count: {half}");
    assert!(next.is_some_and(|next| next <= MINUTE), "{next:?}");
    store.advance(10 * MINUTE);
    assert_eq!(go(&world).await.0, 10);
}

pub(super) async fn a_bucket_fills_evenly(store: &Store) {
    let world = store.world().await;
    let rate = Rate::bucket(6, MINUTE).burst(2);
    set(&world, Target::each_key("default"), Rule::new().rate(rate)).await;
    for group in ["a", "b"] {
        push_all(&world, 0..9, &Push::new().group_key(group)).await;
    }
    assert_eq!(go(&world).await.0, 4, "what it holds at once, for each");
    let (more, next) = go(&world).await;
    assert!(more == 0 && next.is_some_and(|next| next <= MINUTE / 6), "{next:?}");
    store.advance(MINUTE / 6);
    assert_eq!(go(&world).await.0, 2, "one more for each");
    assert_eq!(go(&world).await.0, 0);
    store.advance(10 * MINUTE);
    assert_eq!(go(&world).await.0, 4, "no more than it holds, however long it filled");
}

pub(super) async fn a_changed_rate_holds_at_once(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().rate(Rate::bucket(1, 60 * MINUTE))).await;
    push_all(&world, 0..5, &Push::new().group_key("a")).await;
    assert_eq!(go(&world).await.0, 1);
    assert_eq!(go(&world).await.0, 0);
    set(&world, Target::each_key("default"), Rule::new().rate(Rate::window(3, 60 * MINUTE))).await;
    assert_eq!(go(&world).await.0, 3);
    assert!(world.client.limits().remove(&Target::each_key("default")).await.unwrap());
    assert_eq!(go(&world).await.0, 1);
}

pub(super) async fn a_breaker_stops_a_failing_kind(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().breaker(2, MINUTE, 5 * MINUTE)).await;
    world.push_numbers(6).await;
    let taken = world.take(A, 3).await;
    assert_eq!(args_of(&taken), ["0", "1", "2"]);
    world.push("else", "9", Push::new()).await;
    for job in &taken[..2] {
        fail(&world, A, job, State::Retry).await;
    }
    assert_eq!(end(&world, A, &taken[2..]).await, 0);
    promote(&world, State::Retry).await;
    let others = world.take(A, 9).await;
    assert_eq!(args_of(&others), ["9"], "only another kind");
    assert_eq!(end(&world, A, &others).await, 0);
    store.advance(5 * MINUTE);
    let probe = world.take(A, 9).await;
    assert_eq!(probe.len(), 1, "one tries");
    assert!(world.take(A, 9).await.is_empty());
    fail(&world, A, &probe[0], State::Retry).await;
    promote(&world, State::Retry).await;
    assert!(world.take(A, 9).await.is_empty(), "its failure stops the kind again");
    store.advance(5 * MINUTE);
    let probe = world.take(A, 9).await;
    assert_eq!(probe.len(), 1);
    assert_eq!(end(&world, A, &probe).await, 0);
    assert!(world.take(A, 9).await.len() > 2, "its success lets the kind go on");
}

pub(super) async fn a_breaker_whose_try_is_taken_away_tries_another(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().breaker(1, MINUTE, MINUTE)).await;
    world.push_numbers(3).await;
    let taken = world.take(A, 1).await;
    fail(&world, A, &taken[0], State::Dead).await;
    assert!(world.take(A, 9).await.is_empty());
    store.advance(MINUTE);
    let probe = world.take(A, 9).await;
    assert_eq!(probe.len(), 1);
    fail(&world, A, &probe[0], State::Scheduled).await;
    let probe = world.take(A, 9).await;
    assert_eq!(probe.len(), 1, "a snooze says nothing, so another one tries");
    assert_eq!(end(&world, A, &probe).await, 0);
    promote(&world, State::Scheduled).await;
    assert_eq!(world.take(A, 9).await.len(), 1);
}

pub(super) async fn a_breaker_counts_jobs_that_end_their_processes(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().breaker(2, MINUTE, MINUTE)).await;
    world.push_numbers(4).await;
    for _ in 0..2 {
        assert_eq!(world.take("d.1.1.d.1", 1).await.len(), 1);
        world.recover(&["d.1.1.d.1"]).await;
    }
    assert!(world.take_with(A, 9, false).await.is_empty(), "two of them within a minute stop the kind");
    store.advance(MINUTE);
    assert_eq!(world.take_with(A, 9, false).await.len(), 1, "one tries");
}
