//! Single moves, made by hand: what each leaves true for whoever moves next.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use windlass::broker::{Due, Ended, Fail, Held, Request};
use windlass::{Envelope, Filter, History, Push, State};

use super::world::{Store, World, eventually, held, json};

const A: &str = "a.1.1.a.2";
const B: &str = "b.1.1.b.2";

pub(super) async fn what_is_pushed_is_taken_once_and_ends(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(3).await;
    let taken = world.take(A, 10).await;
    let taken_ids: Vec<_> = taken.iter().map(|job| job.job_id("default")).collect();
    assert_eq!(taken_ids, ids, "jobs come in the order of their pushes, under the ids that were answered");
    assert!(world.take(B, 10).await.is_empty());
    assert_eq!(state(&world, 0, &ids).await, Some(State::Active));
    assert_eq!(world.finish(A, &taken).await, 0);
    assert_eq!(state(&world, 0, &ids).await, None);
    assert!(world.is_empty().await);
}

pub(super) async fn two_takers_never_get_the_same_job(store: &Store) {
    let world = store.world().await;
    let ids: HashSet<_> = world.push_numbers(100).await.into_iter().collect();
    let mut seen = HashSet::new();
    loop {
        let (a, b) = tokio::join!(world.take(A, 7), world.take(B, 5));
        if a.is_empty() && b.is_empty() {
            break;
        }
        for job in a.iter().chain(&b) {
            assert!(seen.insert(job.job_id("default")), "held twice");
        }
    }
    assert_eq!(seen, ids);
}

pub(super) async fn a_late_completion_is_refused(store: &Store) {
    let world = store.world().await;
    world.push_numbers(1).await;
    let late = world.take(A, 1).await;
    assert_eq!(world.recover(&[A]).await.suspects, 1);
    assert_eq!(world.finish(A, &late).await, 1, "nobody has it, the dead worker least of all");
    let again = world.take(B, 1).await;
    assert_eq!(again[0].count, 2);
    assert_eq!(world.finish(A, &late).await, 1);
    assert_eq!(world.finish(B, &again).await, 0);
    assert_eq!(world.finish(B, &again).await, 1, "an end is told once");
}

pub(super) async fn a_late_failure_is_refused(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(1).await;
    let late = world.take(A, 1).await;
    world.recover(&[A]).await;
    let again = world.take(A, 1).await;
    assert_eq!(again[0].count, 2, "the same worker, but another token");
    let fail = |held| Fail {
        held,
        id: ids[0].clone(),
        state: State::Retry,
        history: br#"{"state":"retry"}"#.to_vec(),
        delay: Duration::ZERO,
        result: None,
    };
    let tell = async |held| world.broker.fail("default", A, &fail(held), &world.config.retention).await;
    assert!(!tell(Held::of(&late[0])).await.unwrap());
    assert_eq!(state(&world, 0, &ids).await, Some(State::Active));
    assert!(tell(Held::of(&again[0])).await.unwrap());
    assert_eq!(state(&world, 0, &ids).await, Some(State::Retry));
}

pub(super) async fn a_lost_lease_is_not_renewed(store: &Store) {
    let world = store.world().await;
    world.push_numbers(2).await;
    let taken = world.take(A, 2).await;
    let renew = async |consumer| world.broker.renew("default", consumer, &held(&taken)).await.unwrap();
    assert_eq!(renew(A).await, []);
    assert_eq!(renew(B).await, held(&taken), "what is not one's own is not taken over");
    world.recover(&[A]).await;
    assert_eq!(renew(A).await, held(&taken));
}

pub(super) async fn strict_order_holds_across_queues(store: &Store) {
    let world = store.world().await;
    for (queue, args) in [("low", "1"), ("high", "2"), ("low", "3"), ("high", "4")] {
        world.push("k", args, Push::new().queue(queue)).await;
    }
    let request = Request { consumer: A, count: 3, may_suspect: true, woken: None };
    let taken = world.broker.fetch(&["high", "low"], request).await.unwrap();
    let args: Vec<_> = taken.iter().map(|job| args_of(&job.envelope)).collect();
    assert_eq!(args, ["2", "4", "1"]);
}

pub(super) async fn a_paused_queue_gives_nothing(store: &Store) {
    let world = store.world().await;
    world.push_numbers(1).await;
    let inspector = world.client.inspector();
    inspector.pause("default").await.unwrap();
    assert!(inspector.queue("default").await.unwrap().is_paused);
    assert!(world.take(A, 1).await.is_empty());
    assert!(inspector.resume("default").await.unwrap());
    assert_eq!(world.take(A, 1).await.len(), 1);
    assert!(!inspector.resume("default").await.unwrap());
    inspector.pause("later").await.unwrap();
    let queues = inspector.queues().await.unwrap();
    assert!(
        queues.iter().any(|queue| queue.name == "later" && queue.is_paused),
        "nothing was pushed there yet"
    );
}

pub(super) async fn a_scheduled_job_is_never_early(store: &Store) {
    let world = store.world().await;
    let due_ms = now_ms(&world).await + 120;
    let envelope = Envelope::new("k", 1).to_bytes().unwrap();
    let ids = world.broker.schedule("default", &[(Due::At(due_ms), &envelope)]).await.unwrap();
    world.broker.schedule("default", &[(Due::In(Duration::from_secs(3600)), &envelope)]).await.unwrap();
    let queues = ["default".to_owned()];
    let promoted = eventually(async || {
        let promoted = world.broker.promote(State::Scheduled, &queues).await.unwrap();
        let now_ms = now_ms(&world).await;
        assert!(promoted.moved == 0 || now_ms >= due_ms, "early");
        (promoted.moved > 0).then_some(promoted)
    });
    let promoted = promoted.await;
    assert_eq!(promoted.moved, 1);
    assert!(promoted.next.is_some_and(|next| next > Duration::from_secs(3590)));
    assert_eq!(state(&world, 0, &ids).await, Some(State::Enqueued));
    let taken = world.take(A, 9).await;
    assert_eq!((taken.len(), taken[0].job_id("default")), (1, ids[0].clone()));
}

pub(super) async fn a_failed_job_keeps_its_bytes_and_its_id(store: &Store) {
    let world = store.world().await;
    // Numbers that a JSON library of doubles would change, and an order that it would not keep.
    let args = r#"{"z":12345678901234567890,"a":1.10,"list":[],"text":"\u00e9\n"}"#;
    let id = world.push("k", args, Push::new()).await;
    let before = world.take(A, 1).await.remove(0);
    let fail = Fail {
        held: Held::of(&before),
        id: id.clone(),
        state: State::Retry,
        history: br#"{"state":"retry","attempts":1,"failed":1}"#.to_vec(),
        delay: Duration::ZERO,
        result: None,
    };
    assert!(world.broker.fail("default", A, &fail, &world.config.retention).await.unwrap());
    eventually(async || {
        let promoted = world.broker.promote(State::Retry, &["default".to_owned()]).await.unwrap();
        (promoted.moved == 1).then_some(())
    })
    .await;
    assert_eq!(world.client.handle::<()>(id.clone()).state().await.unwrap(), Some(State::Enqueued));
    let after = world.take(A, 1).await.remove(0);
    assert_eq!((after.job_id("default"), &after.envelope), (id, &before.envelope));
    let history: History = serde_json::from_slice(&after.history.clone().unwrap()).unwrap();
    assert_eq!((history.attempts, history.failed), (1, 1));
}

pub(super) async fn an_enqueue_key_makes_a_push_idempotent(store: &Store) {
    let world = store.world().await;
    let push = async |key: &str| world.push("k", "1", Push::new().key(key)).await;
    let first = push("one").await;
    assert_eq!(push("one").await, first);
    assert_ne!(push("two").await, first);
    let later = async || world.push("k", "1", Push::new().key("three").delay(Duration::from_secs(60))).await;
    assert_eq!(later().await, later().await);
    assert_eq!(world.take(A, 10).await.len(), 2);
    let scheduled = world.broker.keys().set(State::Scheduled).unwrap();
    assert_eq!(world.ask::<u64>("ZCARD", &[&scheduled]).await, 1);
}

pub(super) async fn a_job_that_a_worker_has_cannot_be_removed(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(2).await;
    let inspector = world.client.inspector();
    world.take(A, 1).await;
    assert_eq!(inspector.remove(&ids[0]).await.unwrap(), None);
    assert_eq!(inspector.remove(&ids[1]).await.unwrap(), Some(true));
    assert_eq!(inspector.remove(&ids[1]).await.unwrap(), Some(false));
    let later = world.push("k", "1", Push::new().delay(Duration::from_secs(60))).await;
    assert_eq!(inspector.remove(&later).await.unwrap(), Some(true));
    assert!(world.take(B, 10).await.is_empty());
}

pub(super) async fn what_waits_for_its_time_is_put_back_by_filter(store: &Store) {
    let world = store.world().await;
    let later = || Push::new().delay(Duration::from_secs(3600));
    for number in 0..150 {
        world.push("k", &number.to_string(), later()).await;
    }
    let other = world.push("other", "0", later()).await;
    let filter = Filter { state: State::Scheduled, kind: Some("k".into()), ..Filter::default() };
    let inspector = world.client.inspector();
    assert_eq!(inspector.retry_all(&filter).await.unwrap().moved, 150);
    assert_eq!(inspector.retry_all(&filter).await.unwrap().moved, 0);
    assert_eq!(world.take(A, 200).await.len(), 150);
    assert_eq!(state(&world, 0, &[other]).await, Some(State::Scheduled));
}

pub(super) async fn a_large_batch_is_fenced_job_by_job(store: &Store) {
    let world = store.world().await;
    let numbers: Vec<_> = (0..2000).map(|number| json(&number.to_string())).collect();
    world.client.push_many_raw("k", numbers.iter().map(|number| &**number), Push::new()).await.unwrap();
    let mut mine = world.take(A, 2000).await;
    assert_eq!(mine.len(), 2000);
    // Every fourth is told of, so that the range holds many more than the batch.
    mine = mine.into_iter().step_by(4).collect();
    let wrong = mine[7].clone();
    mine[7].count = 9;
    let refused =
        world.broker.finish(A, Ended { queue: "default", held: &held(&mine), extras: &[] }).await.unwrap();
    assert_eq!(refused, [Held::of(&mine[7])], "all but the one with another token");
    assert_eq!(world.finish(A, &[wrong]).await, 0);
    assert_eq!(world.ask::<u64>("XLEN", &[&world.broker.keys().stream("default")]).await, 1500);
}

pub(super) async fn large_jobs_are_taken_under_a_budget_of_bytes(store: &Store) {
    let world = store.world().await;
    let large = json(&format!("\"{}\"", "x".repeat(100_000)));
    let jobs = std::iter::repeat_n(&*large, 100);
    world.client.push_many_raw("k", jobs, Push::new()).await.unwrap();
    let wait = async || world.broker.wait(&["default"], Duration::from_millis(20)).await.unwrap();
    assert_eq!(wait().await, Some(0));
    // Two pieces of 32 jobs exceed 4 MiB.
    let taken = world.take(A, 100).await;
    assert_eq!(taken.len(), 64);
    assert_eq!(wait().await, Some(0), "the rest waits for somebody");
    world.broker.leave(A, &["default"]).await.unwrap();
    assert_eq!(world.take(B, 100).await.len(), 64, "what was given back comes so, too");
    assert_eq!(world.take(B, 100).await.len(), 36);
}

pub(super) async fn leftover_work_wakes_the_next_taker(store: &Store) {
    let world = store.world().await;
    world.push_numbers(3).await;
    let wait = async || world.broker.wait(&["default"], Duration::from_millis(20)).await.unwrap();
    assert_eq!(wait().await, Some(0));
    assert_eq!(wait().await, None, "the mark is capped at one, however many were pushed");
    assert_eq!(world.take(A, 2).await.len(), 2);
    assert_eq!(wait().await, Some(0), "there may be more");
    assert_eq!(world.take(B, 2).await.len(), 1);
    assert_eq!(wait().await, None);
}

pub(super) async fn a_fetch_without_room_leaves_the_mark_that_brought_it(store: &Store) {
    let world = store.world().await;
    for queue in ["high", "high", "low"] {
        world.push("k", "1", Push::new().queue(queue)).await;
    }
    let wait = async |queue| world.broker.wait(&[queue], Duration::from_millis(20)).await.unwrap();
    assert_eq!(wait("low").await, Some(0));
    let request = Request { consumer: A, count: 1, may_suspect: true, woken: Some(1) };
    let taken = world.broker.fetch(&["high", "low"], request).await.unwrap();
    assert_eq!((taken.len(), taken[0].queue), (1, 0));
    assert_eq!(wait("low").await, Some(0), "the asker never looked at the queue whose mark it had taken");
}

pub(super) async fn a_store_that_forgot_the_scripts_is_told_them(store: &Store) {
    let world = store.world().await;
    for _ in 0..3 {
        let _: String = world.ask("SCRIPT", &["FLUSH"]).await;
        let ids = world.push_numbers(1).await;
        let taken = world.take(A, 1).await;
        assert_eq!(
            taken[0].job_id("default"),
            ids[0],
            "a call that was refused did nothing and is made once"
        );
        assert_eq!(world.finish(A, &taken).await, 0);
    }
    assert!(world.is_empty().await);
}

/// A push that is begun and not polled any more, or given up, is made all the same, and none hangs on it.
pub(super) async fn a_push_hangs_on_no_other(store: &Store) {
    let world = store.world().await;
    world.push("k", "0", Push::new()).await;
    let args: Vec<_> = (1..5).map(|number: u32| json(&number.to_string())).collect();
    let begin = async |args| {
        let mut push = Box::pin(world.client.push_raw("k", args, Push::new()));
        let begun = poll_fn(|context| Poll::Ready(push.as_mut().poll(context))).await;
        (push, begun.is_ready())
    };
    let (first, has_ended) = begin(&*args[0]).await;
    world.push("k", args[1].get(), Push::new()).await;
    if !has_ended {
        first.await.unwrap();
    }
    drop(begin(&*args[2]).await);
    world.push("k", args[3].get(), Push::new()).await;
    let mut taken = Vec::new();
    while taken.len() < 5 {
        taken.extend(world.take(A, 9).await.iter().map(|job| args_of(&job.envelope)));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    taken.sort();
    assert_eq!(taken, ["0", "1", "2", "3", "4"]);
}

async fn state(world: &World, number: usize, ids: &[windlass::JobId]) -> Option<State> {
    world.client.handle::<()>(ids[number].clone()).state().await.unwrap()
}

/// The store's time in milliseconds.
async fn now_ms(world: &World) -> u64 {
    let (seconds, micros): (u64, u64) = world.ask("TIME", &[]).await;
    seconds * 1000 + micros / 1000
}

fn args_of(envelope: &[u8]) -> String {
    Envelope::parse(envelope).unwrap().args.get().to_owned()
}
