//! How much is kept of jobs that have ended: for each queue and state by itself, and counted wherever one comes or goes.

use std::time::Duration;

use windlass::broker::{Fail, Held, Recovered, Request};
use windlass::{Ending, Filter, JobId, Keep, Push, Rescheduled, Retention, State};

use super::act::{A, job};
use super::lane;
use super::time::{MARGIN, almost};
use super::world::{Store, World, json};
use crate::invariants::Snapshot;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn count(count: u64) -> Keep {
    Keep { count, ..Keep::default() }
}

fn age(age: Duration) -> Keep {
    Keep { age, ..Keep::default() }
}

async fn world_of(store: &Store, retention: Retention) -> World {
    store.world_with(|config| config.retention = retention).await
}

/// Has a worker end a fresh job of a queue.
async fn end(world: &World, queue: &str, state: State, args: &str) -> JobId {
    let id = world.push("k", args, Push::new().queue(queue)).await;
    let request = Request { consumer: A, count: 1, may_suspect: true, woken: None };
    let taken = world.broker.fetch(&[queue], request).await.unwrap().remove(0);
    let fail = Fail {
        held: Held::of(&taken),
        id: id.clone(),
        state,
        history: format!(r#"{{"state":"{state}"}}"#).into_bytes(),
        delay: Duration::ZERO,
        result: None,
    };
    assert!(world.broker.fail(queue, A, &fail, &world.config.retention).await.unwrap());
    id
}

async fn end_many(world: &World, queue: &str, state: State, many: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for number in 0..many {
        ids.push(end(world, queue, state, &number.to_string()).await);
    }
    ids
}

/// Has a batch with so many jobs of a queue cancelled.
async fn cancel_many(world: &World, queue: &str, many: usize) {
    let batch = world.client.batch().open().await.unwrap();
    let later = Push::new().queue(queue).delay(HOUR);
    batch.push_many_with((0..many).map(|_| job("later")), later).await.unwrap();
    assert!(batch.cancel().await.unwrap());
}

/// What is there of a queue, from the oldest on. All that is counted is there, and nothing else.
async fn there(world: &World, queue: &str, state: State) -> Vec<String> {
    let snapshot = Snapshot::read(&world.broker).await;
    assert_eq!(snapshot.problems(), [""; 0]);
    let mut ids: Vec<String> =
        world.ask("ZRANGE", &[&world.broker.keys().set(state).unwrap(), "0", "-1"]).await;
    ids.retain(|id| id.split_once('/').is_some_and(|(its, _)| its == queue));
    ids
}

/// Count and bytes, as the store has them.
async fn counted(world: &World, queue: &str, state: State) -> Option<(u64, u64)> {
    let counted: Option<String> =
        world.ask("HGET", &[&world.broker.keys().kept(), &format!("{state}/{queue}")]).await;
    let (jobs, bytes) = counted.as_deref()?.split_once(' ').unwrap();
    Some((jobs.parse().unwrap(), bytes.parse().unwrap()))
}

async fn prune(world: &World) -> usize {
    let mut done = 0;
    loop {
        match world.broker.prune(&world.config).await.unwrap() {
            0 => return done,
            more => done += more,
        }
    }
}

pub(super) async fn a_queue_keeps_its_own_number(store: &Store) {
    let world = world_of(store, Retention::new().of(State::Dead, count(3))).await;
    let quiet = end_many(&world, "quiet", State::Dead, 3).await;
    let noisy = end_many(&world, "noisy", State::Dead, 7).await;
    let other = end_many(&world, "noisy", State::Discarded, 4).await;
    assert_eq!(
        there(&world, "quiet", State::Dead).await,
        quiet.iter().map(JobId::as_str).collect::<Vec<_>>()
    );
    let last: Vec<_> = noisy[4..].iter().map(JobId::as_str).collect();
    assert_eq!(there(&world, "noisy", State::Dead).await, last, "the oldest went first");
    assert_eq!(there(&world, "noisy", State::Discarded).await.len(), other.len());
    assert_eq!(prune(&world).await, 0);
    assert!(world.client.inspector().show(&noisy[0]).await.unwrap().is_none());
}

pub(super) async fn what_jobs_of_others_hide_is_dropped_later(store: &Store) {
    let retention = Retention::new().of_queue("noisy", State::Cancelled, count(5));
    let world = world_of(store, retention).await;
    // More than a page of them is in front.
    cancel_many(&world, "quiet", 250).await;
    cancel_many(&world, "noisy", 230).await;
    end_many(&world, "noisy", State::Cancelled, 2).await;
    end(&world, "late", State::Cancelled, "1").await;
    assert_eq!(there(&world, "noisy", State::Cancelled).await.len(), 232);
    let before = there(&world, "noisy", State::Cancelled).await;
    assert_eq!(prune(&world).await, 227);
    assert_eq!(there(&world, "noisy", State::Cancelled).await, before[227..]);
    assert_eq!(there(&world, "quiet", State::Cancelled).await.len(), 250);
}

pub(super) async fn a_queue_is_held_to_bytes(store: &Store) {
    let keep = Keep { bytes: 5000, ..Keep::default() };
    let world = world_of(store, Retention::new().of(State::Dead, keep)).await;
    let sized = |size: usize| format!("\"{}\"", "x".repeat(size));
    for _ in 0..9 {
        end(&world, "default", State::Dead, &sized(1000)).await;
    }
    let (jobs, bytes) = counted(&world, "default", State::Dead).await.unwrap();
    assert!(jobs == 4 && (4000..=5000).contains(&bytes), "{jobs} {bytes}");
    assert_eq!(there(&world, "default", State::Dead).await.len(), 4);
    let large = end(&world, "default", State::Dead, &sized(9000)).await;
    assert_eq!(there(&world, "default", State::Dead).await, [large.as_str()], "the last one stays");
    for size in [1000, 2000, 3000] {
        let id = world.push("k", &sized(size), Push::new()).await;
        assert_eq!(world.client.inspector().kill(&id).await.unwrap(), Ending::Ended);
    }
    assert_eq!(there(&world, "default", State::Dead).await.len(), 4);
    assert_eq!(prune(&world).await, 3);
    let (jobs, bytes) = counted(&world, "default", State::Dead).await.unwrap();
    assert!(jobs == 1 && bytes > 3000, "{jobs} {bytes}");
}

pub(super) async fn a_queue_may_keep_more_than_others(store: &Store) {
    let retention = Retention::new().of(State::Dead, count(2)).of_queue("audit", State::Dead, count(6));
    let world = world_of(store, retention).await;
    end_many(&world, "audit", State::Dead, 8).await;
    end_many(&world, "mail", State::Dead, 8).await;
    assert_eq!(there(&world, "audit", State::Dead).await.len(), 6);
    assert_eq!(there(&world, "mail", State::Dead).await.len(), 2);
    assert_eq!(prune(&world).await, 0);
}

pub(super) async fn every_way_out_of_an_end_is_counted(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for state in [State::Dead, State::Discarded, State::Cancelled] {
        let ids = end_many(&world, "default", state, 9).await;
        let (_, bytes) = counted(&world, "default", state).await.unwrap();
        inspector.edit(&ids[0], &json("\"a longer one\"")).await.unwrap();
        let (_, more) = counted(&world, "default", state).await.unwrap();
        assert_eq!(more - bytes, "\"a longer one\"".len() as u64 - 1);
        inspector.edit_and_retry(&ids[1], &json("12")).await.unwrap();
        assert_eq!(inspector.remove(&ids[2]).await.unwrap(), Some(true));
        assert!(inspector.retry(&ids[3]).await.unwrap());
        assert_eq!(inspector.reschedule_in(&ids[4], HOUR).await.unwrap(), Rescheduled::Scheduled);
        assert_eq!(there(&world, "default", state).await.len(), 5);
        // What somebody took the record of is counted no more, either.
        let _: u64 = world.ask("HDEL", &[&world.broker.keys().jobs(), ids[5].as_str()]).await;
        let filter = Filter { state, ..Filter::default() };
        assert_eq!(inspector.retry_all(&filter).await.unwrap().moved, 5);
        assert_eq!(there(&world, "default", state).await.len(), 0);
        let taken = world.take(A, 99).await;
        assert_eq!((taken.len(), lane::end(&world, A, &taken).await), (6, 0));
        assert_eq!(inspector.remove(&ids[4]).await.unwrap(), Some(true));
    }
    assert_eq!(world.ask::<u64>("EXISTS", &[&world.broker.keys().kept()]).await, 0);
}

pub(super) async fn what_dies_of_its_crashes_is_bounded(store: &Store) {
    for (keep, left) in [(count(2), 2), (Keep { bytes: 1, ..Keep::default() }, 1)] {
        let retention = Retention::new().of_queue("default", State::Dead, keep);
        let change = |config: &mut windlass::Config| (config.retention, config.crash_limit) = (retention, 1);
        let world = store.world_with(change).await;
        for number in 0..4 {
            world.push("k", &number.to_string(), Push::new()).await;
            world.take(A, 1).await;
            assert_eq!(world.recover(&[A]).await, Recovered { suspects: 0, unstarted: 0, killed: 1 });
        }
        assert_eq!(there(&world, "default", State::Dead).await.len(), left);
    }
}

/// Whoever ends a job by hand, as the command does, may have other settings than the workers.
pub(super) async fn what_is_ended_by_hand_drops_nothing(store: &Store) {
    let retention = Retention::new().of(State::Cancelled, count(2)).of(State::Dead, count(2));
    let world = world_of(store, retention).await;
    let (inspector, keys) = (world.client.inspector(), world.broker.keys());
    let ids = world.push_numbers(8).await;
    for (number, id) in ids.iter().enumerate() {
        let ended = if number < 4 { inspector.cancel(id).await } else { inspector.kill(id).await };
        assert_eq!(ended.unwrap(), Ending::Ended);
    }
    cancel_many(&world, "default", 3).await;
    assert_eq!(there(&world, "default", State::Cancelled).await.len(), 7);
    assert_eq!(there(&world, "default", State::Dead).await.len(), 4);
    assert_eq!(prune(&world).await, 7);
    assert_eq!(there(&world, "default", State::Cancelled).await.len(), 2);
    assert_eq!(there(&world, "default", State::Dead).await.len(), 2);
    assert_eq!(world.ask::<u64>("HLEN", &[&keys.jobs()]).await, 4);
    assert!(inspector.show(&ids[0]).await.unwrap().is_none(), "the oldest went first");
}

pub(super) async fn each_queue_and_state_has_its_own_age(store: &Store) {
    let retention = Retention::new()
        .of(State::Dead, age(10 * DAY))
        .of_queue("audit", State::Dead, age(30 * DAY))
        .of_queue("mail", State::Dead, age(DAY))
        .of(State::Discarded, age(3 * DAY));
    let world = world_of(store, retention).await;
    let all =
        [("audit", State::Dead), ("mail", State::Dead), ("other", State::Dead), ("mail", State::Discarded)];
    for (queue, state) in all {
        end(&world, queue, state, "1").await;
    }
    let kept = async || {
        let mut kept = Vec::new();
        for (queue, state) in all {
            kept.push(there(&world, queue, state).await.len());
        }
        kept
    };
    let mut before = Duration::ZERO;
    // The oldest of all stays longest, and hides none of the others.
    for (days, left) in [(1, [1, 0, 1, 1]), (3, [1, 0, 1, 0]), (10, [1, 0, 0, 0]), (30, [0; 4])] {
        almost(store, days * DAY - before);
        assert_eq!(prune(&world).await, 0, "before {days} days");
        store.advance(2 * MARGIN);
        assert_eq!(prune(&world).await, 1, "after {days} days");
        assert_eq!(kept().await, left);
        before = days * DAY + MARGIN;
    }
    assert!(world.is_empty().await);
}
