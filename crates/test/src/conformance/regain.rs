//! What comes back from workers that are gone begins anew under the rules that there are now.

use std::time::Duration;

use windlass::broker::Taken;
use windlass::{Order, Push, Rate, Rule, State, Target};

use super::lane::{A, B, args_of, drain, end, is_clean, push_all};
use super::limit::{fail, set};
use super::world::{Store, World, held};

/// A worker with one slot.
const DEAD: &str = "d.1.1.d.1";
/// A worker with many.
const WIDE: &str = "w.1.1.w.30";
const HOUR: Duration = Duration::from_secs(3600);

/// A worker that stops gives back what it took.
async fn release(world: &World, consumer: &str, taken: &[Taken]) {
    let held = held(taken);
    assert_eq!(world.broker.release("default", consumer, &held).await.unwrap(), held.len());
}

pub(super) async fn what_comes_back_heeds_a_cap_that_is_new(store: &Store) {
    let world = store.world().await;
    world.push_numbers(5).await;
    assert_eq!(world.take(DEAD, 5).await.len(), 5);
    assert_eq!(world.recover(&[DEAD]).await.unstarted, 4);
    set(&world, Target::kind("k"), Rule::new().cap(1)).await;
    let first = world.take(A, 9).await;
    assert_eq!((args_of(&first), first[0].is_suspect), (vec!["0".to_owned()], true));
    assert!(world.take(B, 9).await.is_empty(), "one is running");
    assert_eq!(end(&world, A, &first).await, 0);
    let next = world.take(B, 9).await;
    assert_eq!(args_of(&next), ["1"]);
    assert_eq!(end(&world, B, &next).await, 0);
    let mut left = drain(&world).await;
    left.sort();
    assert_eq!(left, ["2", "3", "4"]);
    assert!(is_clean(&world).await);
}

pub(super) async fn what_comes_back_heeds_a_cap_that_is_lower(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().cap(3)).await;
    push_all(&world, 0..3, &Push::new().group_key("g")).await;
    let taken = world.take(WIDE, 9).await;
    assert_eq!(taken.len(), 3);
    release(&world, WIDE, &taken).await;
    set(&world, Target::each_key("default"), Rule::new().cap(1)).await;
    let first = world.take(A, 9).await;
    assert_eq!(first.len(), 1, "what they held does not count for more than there may be");
    assert!(world.take(B, 9).await.is_empty());
    assert_eq!(end(&world, A, &first).await, 0);
    assert_eq!(drain(&world).await.len(), 2);
    assert!(is_clean(&world).await);
}

pub(super) async fn what_comes_back_heeds_a_rate(store: &Store) {
    let world = store.world().await;
    world.push_numbers(4).await;
    let taken = world.take(WIDE, 4).await;
    release(&world, WIDE, &taken).await;
    set(&world, Target::kind("k"), Rule::new().rate(Rate::bucket(1, HOUR))).await;
    set(&world, Target::queue("default"), Rule::new().rate(Rate::bucket(9, HOUR))).await;
    assert_eq!(args_of(&world.take(A, 9).await), ["0"]);
    assert!(world.take(B, 9).await.is_empty());
    assert!(world.client.limits().remove(&Target::kind("k")).await.unwrap());
    assert_eq!(world.take(B, 9).await.len(), 3);
}

pub(super) async fn what_comes_back_waits_for_a_breaker(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().breaker(1, HOUR, HOUR)).await;
    world.push_numbers(4).await;
    let mut taken = world.take(WIDE, 4).await;
    let failed = taken.remove(0);
    fail(&world, WIDE, &failed, State::Dead).await;
    release(&world, WIDE, &taken).await;
    assert!(world.take(A, 9).await.is_empty(), "the breaker is open");
    assert!(world.client.limits().remove(&Target::kind("k")).await.unwrap());
    assert_eq!(world.take(A, 9).await.len(), 3);
}

pub(super) async fn what_comes_back_keeps_the_order_of_its_key(store: &Store) {
    let world = store.world().await;
    let limits = world.client.limits();
    set(&world, Target::each_key("default"), Rule::new().order(Order::Wait)).await;
    world.push("m", "1", Push::new().group_key("acme")).await;
    world.push("k", "2", Push::new().group_key("acme")).await;
    let taken = world.take(WIDE, 9).await;
    assert_eq!(args_of(&taken), ["1"]);
    release(&world, WIDE, &taken).await;
    limits.pause_kind("m").await.unwrap();
    assert!(
        world.take(A, 9).await.is_empty(),
        "the first of the key is of a paused kind, and none passes it"
    );
    limits.resume_kind("m").await.unwrap();
    assert_eq!(drain(&world).await, ["1", "2"]);
    assert!(is_clean(&world).await);
}

pub(super) async fn a_place_outlives_the_order_that_gave_it(store: &Store) {
    let world = store.world().await;
    set(&world, Target::each_key("default"), Rule::new().order(Order::Wait)).await;
    push_all(&world, 0..3, &Push::new().group_key("a")).await;
    let first = world.take(A, 9).await;
    fail(&world, A, &first[0], State::Retry).await;
    set(&world, Target::each_key("default"), Rule::new().cap(1)).await;
    super::limit::promote(&world, State::Retry).await;
    assert_eq!(drain(&world).await, ["0", "1", "2"], "what it holds does not keep it itself from beginning");
    assert!(is_clean(&world).await);
}

pub(super) async fn suspects_of_a_paused_kind_hide_no_others(store: &Store) {
    let world = store.world().await;
    for _ in 0..25 {
        world.push("m", "0", Push::new()).await;
    }
    world.push("k", "1", Push::new()).await;
    assert_eq!(world.take(WIDE, 30).await.len(), 26);
    assert_eq!(world.recover(&[WIDE]).await.suspects, 26);
    world.client.limits().pause_kind("m").await.unwrap();
    let taken = world.take(A, 9).await;
    assert_eq!((args_of(&taken), taken[0].is_suspect), (vec!["1".to_owned()], true));
    assert_eq!(end(&world, A, &taken).await, 0);
    assert!(world.take(A, 9).await.is_empty());
    world.client.limits().resume_kind("m").await.unwrap();
    assert!(world.take(A, 9).await[0].is_suspect);
}
