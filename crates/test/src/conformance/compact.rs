//! Streams that are rebuilt while jobs in them are held: nobody may notice.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;
use windlass::broker::{Compacted, Fail, Held, Passed, Recovered, Sparse};
use windlass::{JobId, Push, Rule, State, Target};

use super::lane::end;
use super::time::{MARGIN, almost};
use super::world::{Beside, Store, World, eventually, held};

const A: &str = "a.1.1.a.9";
const B: &str = "b.1.1.b.9";
const DEAD: &str = "d.1.1.d.3";
const OTHER: &str = "o.1.1.o.9";

/// A stream is rebuilt though it is not sparse.
const ALWAYS: Sparse = Sparse { nodes_min: 1, times: 0 };

/// One of so many jobs is slow.
const SLOW_EVERY: usize = 19;

/// When something may have happened: it is reckoned from the store's time before and after a question.
type Between = (u64, u64);

/// What is known of a queue's stream, but what is pending since when.
#[derive(Debug, PartialEq)]
struct Look {
    entries: Vec<Value>,
    stream: BTreeMap<String, Value>,
    groups: Vec<BTreeMap<String, Value>>,
    /// Entry, owner, how many times it was delivered.
    pending: Vec<(String, String, u64)>,
    gate: BTreeMap<String, String>,
    suspects: BTreeMap<String, String>,
    jobs: Vec<(State, u32, Option<String>)>,
    is_alone: bool,
}

/// Everything that there is to see, and when each pending entry was delivered.
async fn look(world: &World, ids: &[JobId]) -> (Look, Vec<Between>) {
    let keys = world.broker.keys();
    let stream = keys.stream("default");
    let mut info: BTreeMap<String, Value> = world.ask("XINFO", &["STREAM", &stream]).await;
    // How it is kept is what changes.
    info.retain(|name, _| !name.starts_with("radix-tree"));
    let mut groups: Vec<BTreeMap<String, Value>> = world.ask("XINFO", &["GROUPS", &stream]).await;
    // Consumers with nothing pending go.
    groups.iter_mut().for_each(|group| drop(group.remove("consumers")));
    let before = world.broker_now().await;
    let pending: Vec<(String, String, u64, u64)> =
        world.ask("XPENDING", &[&stream, "w", "-", "+", "10000"]).await;
    let after = world.broker_now().await;
    let mut jobs = Vec::new();
    for id in ids {
        let job = world.client.inspector().show(id).await.unwrap();
        jobs.extend(job.map(|job| (job.state, job.attempts, job.worker)));
    }
    let look = Look {
        entries: world.ask("XRANGE", &[&stream, "-", "+"]).await,
        stream: info,
        groups,
        gate: world.ask("HGETALL", &[&keys.gate("default")]).await,
        suspects: world.ask("HGETALL", &[&keys.suspect("default")]).await,
        jobs,
        is_alone: world.ask::<u64>("EXISTS", &[&keys.compact("default")]).await == 0,
        pending: pending
            .iter()
            .map(|(entry, owner, _, count)| (entry.clone(), owner.clone(), *count))
            .collect(),
    };
    (look, pending.iter().map(|(.., idle, _)| (before - idle, after - idle)).collect())
}

/// Rebuilds the stream, and asserts that nothing else has changed.
async fn compact(world: &World, ids: &[JobId]) -> Compacted {
    let (before, delivered_before) = look(world, ids).await;
    let compacted = world.broker.compact("default", ALWAYS).await.unwrap();
    let (after, delivered_after) = look(world, ids).await;
    assert_eq!(after, before);
    assert!(after.is_alone, "nothing else is left");
    for (before, after) in delivered_before.iter().zip(&delivered_after) {
        // A clock that goes on beside may turn a millisecond between two questions of one script.
        let is_same = before.0 <= after.1 + 1 && after.0 <= before.1 + 1;
        assert!(is_same, "delivered at {before:?}, and then at {after:?}");
    }
    compacted.expect("it is rebuilt")
}

/// Pushes jobs of some hundred bytes.
async fn push_large(world: &World, count: usize) -> Vec<JobId> {
    let job = format!(r#"{{"v":1,"kind":"k","args":"{}"}}"#, "x".repeat(300));
    world.broker.push("default", &vec![job; count]).await.unwrap()
}

pub(super) async fn a_compaction_leaves_every_hold_as_it_is(store: &Store) {
    let world = store.world().await;
    let ids = push_large(&world, 60).await;
    let a = world.take(A, 30).await;
    let b = world.take(B, 10).await;
    assert_eq!(world.take(DEAD, 8).await.len(), 8);
    let (slow, quick) = a.split_at(6);
    assert_eq!(world.finish(A, quick).await, 0);
    assert_eq!(world.recover(&[DEAD]).await, Recovered { suspects: 3, unstarted: 5, killed: 0 });
    let (given_back, kept) = b.split_at(4);
    assert_eq!(world.broker.release("default", B, &held(given_back)).await.unwrap(), 4);
    let other = world.take(OTHER, 3).await;
    assert_eq!(other.iter().filter(|job| job.is_suspect).count(), 1);
    world.client.inspector().pause("default").await.unwrap();
    compact(&world, &ids).await;
    compact(&world, &ids).await;
    world.client.inspector().resume("default").await.unwrap();
    // The tokens of before are good, and those of others are not.
    assert!(world.broker.renew("default", A, &held(slow)).await.unwrap().is_empty());
    assert_eq!(world.broker.renew("default", B, &held(slow)).await.unwrap(), held(slow));
    assert_eq!(world.finish(B, given_back).await, 4, "they were given back");
    let fail = Fail {
        held: Held::of(&slow[0]),
        id: ids[0].clone(),
        state: State::Retry,
        history: br#"{"state":"retry","attempts":1,"failed":1}"#.to_vec(),
        delay: Duration::ZERO,
        result: None,
    };
    assert!(world.broker.fail("default", A, &fail, &world.config.retention).await.unwrap());
    assert!(!world.broker.fail("default", A, &fail, &world.config.retention).await.unwrap());
    assert_eq!(end(&world, A, &slow[1..]).await, 0);
    assert_eq!(end(&world, B, kept).await, 0);
    assert_eq!(end(&world, OTHER, &other).await, 0);
    world.broker.promote(State::Retry, &["default".to_owned()]).await.unwrap();
    // 24 + 5 + 6 + 3 have ended; the rest comes once each, two suspects one after the other.
    let mut left = 0;
    loop {
        let taken = world.take(B, 9).await;
        if taken.is_empty() {
            break;
        }
        left += taken.len();
        assert_eq!(end(&world, B, &taken).await, 0);
    }
    assert_eq!(left, 22);
    assert!(world.is_empty().await);
}

pub(super) async fn a_compaction_leaves_lanes_and_limits_as_they_are(store: &Store) {
    let world = store.world().await;
    let queue = Target::queue("default");
    world.client.limits().set(&queue, Rule::new().cap(5)).await.unwrap();
    let mut ids = push_large(&world, 3).await;
    for number in 0..4 {
        ids.push(world.push("k", &number.to_string(), Push::new().priority(200)).await);
        ids.push(world.push("k", &number.to_string(), Push::new().group_key("g")).await);
    }
    let a = world.take(A, 3).await;
    compact(&world, &ids).await;
    let b = world.take(B, 9).await;
    assert_eq!((a.len(), b.len()), (3, 2), "the cap holds");
    compact(&world, &ids).await;
    assert_eq!((end(&world, A, &a).await, end(&world, B, &b).await), (0, 0));
    let mut ended = 5;
    while ended < ids.len() {
        let taken = world.take(OTHER, 9).await;
        assert!((1..=5).contains(&taken.len()));
        compact(&world, &ids).await;
        assert_eq!(end(&world, OTHER, &taken).await, 0);
        ended += taken.len();
    }
    assert!(super::lane::is_clean(&world).await);
}

pub(super) async fn a_compaction_leaves_what_was_handed_over_to_its_kind(store: &Store) {
    let world = store.world().await;
    let kind = ["k:1".to_owned()];
    world.broker.ask_for_kinds("default", true).await.unwrap();
    world.broker.know(&["default"], &kind, world.config.lease).await.unwrap();
    let ids = push_large(&world, 2).await;
    let taken = world.take(A, 2).await;
    let passed =
        world.broker.pass("default", A, Held::of(&taken[0]), ("k", 1), world.config.lease).await.unwrap();
    assert_eq!(passed, Passed::HandedOver);
    compact(&world, &ids).await;
    assert_eq!(world.take(OTHER, 9).await.len(), 0, "nobody else is offered it");
    let adopted = world.broker.adopt(&["default"], B, 9, &kind).await.unwrap();
    assert_eq!((adopted.len(), adopted[0].count), (1, 1));
    assert_eq!((world.finish(B, &adopted).await, world.finish(A, &taken[1..]).await), (0, 0));
    assert!(world.is_empty().await);
}

pub(super) async fn what_is_pending_without_a_job_goes_with_a_compaction(store: &Store) {
    let world = store.world().await;
    push_large(&world, 3).await;
    let taken = world.take(A, 3).await;
    let stream = world.broker.keys().stream("default");
    let gone = held(&taken[1..2]);
    let entry = taken[1].job_id("default");
    let entry = entry.as_str().rsplit('/').next().unwrap();
    assert_eq!(world.ask::<u64>("XDEL", &[&stream, entry]).await, 1);
    world.broker.compact("default", ALWAYS).await.unwrap().expect("it is rebuilt");
    assert_eq!(world.broker.renew("default", A, &held(&taken)).await.unwrap(), gone);
    assert_eq!(world.finish(A, &taken).await, 1);
    assert!(world.is_empty().await);
}

pub(super) async fn a_stream_that_is_not_ours_alone_is_left_as_it_is(store: &Store) {
    let world = store.world().await;
    assert_eq!(world.broker.compact("default", ALWAYS).await.unwrap(), None, "there is none");
    push_large(&world, 3).await;
    assert_eq!(world.broker.compact("default", ALWAYS).await.unwrap(), None, "nobody has taken anything");
    assert_eq!(world.take(A, 1).await.len(), 1);
    assert_eq!(world.broker.compact("default", Sparse::default()).await.unwrap(), None, "it is small");
    let stream = world.broker.keys().stream("default");
    world.ask::<()>("XGROUP", &["CREATE", &stream, "theirs", "0"]).await;
    assert_eq!(world.broker.compact("default", ALWAYS).await.unwrap(), None, "somebody else reads it");
    world.ask::<u64>("XGROUP", &["DESTROY", &stream, "theirs"]).await;
    world.ask::<u64>("PEXPIRE", &[&stream, "600000"]).await;
    assert_eq!(world.broker.compact("default", ALWAYS).await.unwrap(), None, "it expires");
}

pub(super) async fn slow_jobs_do_not_keep_the_memory_of_their_neighbours(store: &Store) {
    const JOBS: usize = 1_000;
    /// Nodes in which the slow ones find room: seven of Redis's would do.
    const NODES_MAX: u64 = 12;
    let world = store.world().await;
    for _ in 0..2 {
        push_large(&world, JOBS / 2).await;
    }
    let mut taken = world.take(A, JOBS / 2).await;
    taken.extend(world.take(A, JOBS / 2).await);
    assert_eq!(taken.len(), JOBS);
    let mut number = 0;
    let is_slow = |_: &windlass::broker::Taken| {
        number += 1;
        number % SLOW_EVERY == 0
    };
    let (slow, quick): (Vec<_>, Vec<_>) = taken.into_iter().partition(is_slow);
    for part in quick.chunks(500) {
        assert_eq!(world.finish(A, part).await, 0);
    }
    // Any worker sees to it, one that has nothing to do with these jobs as well.
    let (worker, _) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let stream = world.broker.keys().stream("default");
    eventually(async || {
        let info: BTreeMap<String, Value> = world.ask("XINFO", &["STREAM", &stream]).await;
        matches!(info["radix-tree-keys"], Value::Int(nodes) if nodes.unsigned_abs() <= NODES_MAX)
            .then_some(())
    })
    .await;
    worker.stop().await;
    assert_eq!(world.broker.compact("default", Sparse::default()).await.unwrap(), None, "it is dense");
    assert_eq!(world.finish(A, &slow).await, 0);
    assert!(world.is_empty().await);
}

pub(super) async fn a_compaction_neither_ends_a_lease_nor_renews_it(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(2).await;
    let taken = world.take(A, 1).await;
    almost(store, world.config.lease);
    compact(&world, &ids).await;
    assert_eq!(world.recover(&[]).await, Recovered::default(), "its lease still runs");
    store.advance(MARGIN);
    compact(&world, &ids).await;
    assert_eq!(world.recover(&[]).await, Recovered { suspects: 1, unstarted: 0, killed: 0 });
    assert_eq!(world.finish(A, &taken).await, 1, "it is not the holder any more");
}
