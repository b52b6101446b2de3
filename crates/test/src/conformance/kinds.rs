//! Queues whose workers are asked for the kinds that they know.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::broker::{Held, Passed};
use windlass::{Context, Push, Retry, State, Worker};

use super::world::{Beside, Store, World, eventually, json};

const LEASE: Duration = Duration::from_secs(30);

type Ran = Arc<Mutex<Vec<String>>>;

/// A worker of one kind that notes what it runs.
fn of_kind(world: &World, kind: &str, ran: &Ran) -> Worker {
    let ran = ran.clone();
    let run = move |_, context: Context| {
        ran.lock().unwrap().push(format!("{} {}", context.kind(), context.attempt()));
        async { Ok(json("null")) }
    };
    world.worker().register_raw(kind, Retry::Never, run)
}

async fn counter(world: &World, name: &str) -> u64 {
    let counters = world.client.inspector().stats().await.unwrap().counters;
    counters.into_iter().find(|(counter, _)| counter == name).map_or(0, |(_, count)| count)
}

pub(super) async fn workers_of_a_queue_run_only_the_kinds_that_they_know(store: &Store) {
    let world = store.world().await;
    assert!(world.client.inspector().ask_for_kinds("default", true).await.unwrap());
    assert!(world.client.inspector().queue("default").await.unwrap().asks_for_kinds);
    let (a, b) = <(Ran, Ran)>::default();
    let workers = [("a", &a), ("b", &b)].map(|(kind, ran)| Beside::start(of_kind(&world, kind, ran)));
    for worker in &workers {
        worker.control().started().await;
    }
    for number in 0..100 {
        world.push(if number % 2 == 0 { "a" } else { "b" }, "1", Push::new()).await;
    }
    eventually(async || (counter(&world, "completed").await == 100).then_some(())).await;
    assert_eq!(counter(&world, "parked").await, 0);
    assert_eq!(*a.lock().unwrap(), vec!["a 1"; 50], "once each, as a first attempt");
    assert_eq!(*b.lock().unwrap(), vec!["b 1"; 50]);
    // What nobody knows is parked, as in any queue.
    let unknown = world.push("c", "1", Push::new()).await;
    world.until(&unknown, State::Parked).await;
    for worker in workers {
        assert_eq!(worker.stop().await.refused, 0);
    }
    world.client.inspector().remove(&unknown).await.unwrap();
    assert!(world.is_empty().await);
}

pub(super) async fn a_version_of_a_kind_goes_to_who_knows_it(store: &Store) {
    let world = store.world().await;
    world.client.inspector().ask_for_kinds("default", true).await.unwrap();
    let ran = Ran::default();
    let old = Beside::start(world.worker().register_blocking::<super::working::Sum>());
    let any = Beside::start(of_kind(&world, "sum", &ran));
    for worker in [&old, &any] {
        worker.control().started().await;
    }
    let jobs = vec![r#"{"v":1,"kind":"sum","kv":2,"args":[1]}"#; 20];
    world.broker.push("default", &jobs).await.unwrap();
    eventually(async || (counter(&world, "completed").await == 20).then_some(())).await;
    let parked = counter(&world, "parked").await;
    assert_eq!((ran.lock().unwrap().len(), parked), (20, 0));
    old.stop().await;
    any.stop().await;
}

pub(super) async fn what_is_handed_over_is_for_its_kind_alone(store: &Store) {
    let world = store.world().await;
    let (me, other, kind) = ("t.1.1.t.1", "t.2.2.t.9", ["k:2".to_owned()]);
    let ids = world.push_numbers(3).await;
    let taken = world.take(me, 3).await;
    let pass = async |at: usize, version| {
        world.broker.pass("default", me, Held::of(&taken[at]), ("k", version), LEASE).await.unwrap()
    };
    assert_eq!(pass(0, 1).await, Passed::Unknown, "the queue does not ask");
    world.broker.ask_for_kinds("default", true).await.unwrap();
    assert_eq!(pass(0, 1).await, Passed::Unknown, "nobody knows it");
    assert_eq!(world.broker.know(&["default"], &kind, LEASE).await.unwrap(), [0]);
    assert_eq!(pass(0, 3).await, Passed::Unknown, "nobody knows this version");
    assert_eq!((pass(0, 1).await, pass(1, 2).await), (Passed::HandedOver, Passed::HandedOver));
    assert_eq!(pass(0, 1).await, Passed::Lost);
    let shown = world.client.inspector().show(&ids[0]).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.attempts, shown.worker), (State::Enqueued, 0, None));
    assert_eq!(world.take(other, 9).await.len(), 0, "nobody is offered it");
    let adopt = async |count, kinds: &[&str]| {
        let kinds: Vec<_> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        world.broker.adopt(&["default"], other, count, &kinds).await.unwrap()
    };
    assert_eq!(adopt(9, &["k:0", "else:9"]).await.len(), 0);
    world.client.inspector().pause("default").await.unwrap();
    assert_eq!(adopt(9, &["k:2"]).await.len(), 0, "the queue is paused");
    world.client.inspector().resume("default").await.unwrap();
    let first = adopt(1, &["k:2"]).await;
    assert_eq!((first.len(), first[0].count), (1, 1), "as if taken for the first time");
    let marks: u64 = world.ask("ZCARD", &[&world.broker.keys().wake_of_kind("default", "k:2")]).await;
    assert_eq!(marks, 1, "there is more");
    let second = adopt(9, &["k:2"]).await;
    assert_eq!(
        (second.len(), world.finish(other, &first).await, world.finish(other, &second).await),
        (1, 0, 0)
    );
    // A queue that asks no more gives to anybody what waits.
    assert_eq!(pass(2, 1).await, Passed::HandedOver);
    world.broker.ask_for_kinds("default", false).await.unwrap();
    assert!(world.broker.know(&["default"], &kind, LEASE).await.unwrap().is_empty());
    let third = world.take(other, 9).await;
    assert_eq!((third.len(), third[0].count), (1, 1));
    assert_eq!(world.finish(other, &third).await, 0);
    // A queue with rules does not ask.
    world.broker.ask_for_kinds("default", true).await.unwrap();
    world.broker.know(&["default"], &kind, LEASE).await.unwrap();
    let (queue, cap) = (windlass::Target::queue("default"), windlass::Rule::new().cap(100));
    world.client.limits().set(&queue, cap).await.unwrap();
    world.push_numbers(1).await;
    let fourth = world.take(me, 1).await;
    let passed = world.broker.pass("default", me, Held::of(&fourth[0]), ("k", 1), LEASE).await.unwrap();
    assert_eq!(passed, Passed::Unknown);
    assert!(world.broker.know(&["default"], &kind, LEASE).await.unwrap().is_empty());
    assert_eq!(world.finish(me, &fourth).await, 0);
    assert!(world.is_empty().await);
}

pub(super) async fn what_was_handed_over_comes_back_when_nobody_knows_it_any_more(store: &Store) {
    let world = store.world().await;
    let (me, kind) = ("t.1.1.t.1", ["k:1".to_owned()]);
    let others = ["else:1".to_owned()];
    world.broker.ask_for_kinds("default", true).await.unwrap();
    world.push_numbers(1).await;
    world.broker.know(&["default"], &kind, LEASE).await.unwrap();
    let taken = world.take(me, 1).await;
    let passed = world.broker.pass("default", me, Held::of(&taken[0]), ("k", 1), LEASE).await.unwrap();
    assert_eq!(passed, Passed::HandedOver);
    super::time::almost(store, LEASE);
    world.broker.know(&["default"], &others, LEASE).await.unwrap();
    assert_eq!(world.take(me, 1).await.len(), 0, "who knows it may be there yet");
    store.advance(super::time::MARGIN * 2);
    world.broker.know(&["default"], &others, LEASE).await.unwrap();
    let again = world.take(me, 1).await;
    assert_eq!((again.len(), again[0].count), (1, 1), "to be parked, as a first attempt");
    let passed = world.broker.pass("default", me, Held::of(&again[0]), ("k", 1), LEASE).await.unwrap();
    assert_eq!(passed, Passed::Unknown);
}
