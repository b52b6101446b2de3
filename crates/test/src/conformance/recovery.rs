//! Workers that die: a case takes jobs by hand and simply makes no further call.

use std::time::Duration;

use windlass::broker::{Recovered, Request};
use windlass::{Error, Push, State};

use super::world::{Store, held};

// The last part of a worker's name is its concurrency.
const ONE: &str = "a.1.1.a.1";
const THREE: &str = "b.1.1.b.3";
const OTHER: &str = "c.1.1.c.3";

pub(super) async fn a_job_that_had_not_begun_gets_its_count_back(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(3).await;
    world.take(ONE, 3).await;
    assert_eq!(world.recover(&[ONE]).await, Recovered { suspects: 1, unstarted: 2, killed: 0 });
    let taken = world.take(OTHER, 9).await;
    let counts: Vec<_> = taken.iter().map(|job| (job.job_id("default"), job.count, job.is_suspect)).collect();
    let [first, second, third] = ids.try_into().unwrap();
    assert_eq!(counts, [(first, 2, true), (second, 1, false), (third, 1, false)]);
}

pub(super) async fn suspects_run_one_at_a_time(store: &Store) {
    let world = store.world().await;
    world.push_numbers(3).await;
    world.take(THREE, 3).await;
    world.recover(&[THREE]).await;
    let first = world.take(OTHER, 9).await;
    assert_eq!((first.len(), first[0].is_suspect), (1, true));
    assert!(world.take_with(OTHER, 9, false).await.is_empty());
    world.push_numbers(1).await;
    assert_eq!(world.take_with(OTHER, 9, false).await.len(), 1, "ordinary work goes on beside it");
    assert_eq!(world.finish(OTHER, &first).await, 0);
    assert_eq!(world.take(OTHER, 9).await.len(), 1);
}

pub(super) async fn one_fetch_takes_one_suspect_over_all_queues(store: &Store) {
    let world = store.world().await;
    let queues = ["first", "second"];
    let fetch = async |consumer| {
        let request = Request { consumer, count: 9, may_suspect: true, woken: None };
        world.broker.fetch(&queues, request).await.unwrap()
    };
    for queue in queues {
        world.push("k", "1", Push::new().queue(queue)).await;
    }
    assert_eq!(fetch(THREE).await.len(), 2);
    for queue in queues {
        let recovered = world.broker.recover(queue, &world.config, &[THREE.to_owned()]).await.unwrap();
        assert_eq!(recovered.suspects, 1);
    }
    let taken = fetch(OTHER).await;
    assert_eq!(taken.iter().map(|job| (job.queue, job.is_suspect)).collect::<Vec<_>>(), [(0, true)]);
}

pub(super) async fn only_the_running_suspect_is_blamed_and_dies_in_the_end(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(2).await;
    world.take(THREE, 2).await;
    world.recover(&[THREE]).await;
    let marks = async || {
        let hash: Vec<(String, String)> =
            world.ask("HGETALL", &[&world.broker.keys().suspect("default")]).await;
        let mut marks: Vec<_> = hash.into_iter().map(|(_, mark)| mark).collect();
        marks.sort();
        marks
    };
    assert_eq!(marks().await, ["0", "0"], "either may have done it");
    for crash in 1..=3 {
        // Each crash is another worker's: it had the suspect and an ordinary job.
        let worker = format!("w.{crash}.1.w.3");
        let taken = world.take(&worker, 9).await;
        assert_eq!((taken.len(), taken[0].job_id("default")), (1, ids[0].clone()));
        let recovered = world.recover(&[&worker]).await;
        if crash < 3 {
            assert_eq!(marks().await, ["0".to_owned(), crash.to_string()]);
        } else {
            assert_eq!(recovered, Recovered { suspects: 0, unstarted: 0, killed: 1 });
        }
    }
    let dead = world.client.inspector().show(&ids[0]).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.kind.as_str()), (State::Dead, "k"));
    assert_eq!(dead.history.reason.as_deref(), Some("its process ended 3 times while it ran"));
    let errors: Vec<_> = dead.history.errors.iter().map(|e| (&*e.class, e.attempt, &*e.worker)).collect();
    assert_eq!(errors, [("Crash", 2, "w.1.1.w.3"), ("Crash", 3, "w.2.1.w.3"), ("Crash", 4, "w.3.1.w.3")]);
    assert!(dead.history.errors.iter().all(|error| error.at > 0 && !error.message.is_empty()));
    assert_eq!(world.ask::<u64>("EXISTS", &[&world.broker.keys().crashes("default")]).await, 0);
    let innocent = world.take(OTHER, 9).await;
    assert_eq!(innocent[0].job_id("default"), ids[1]);
    assert_eq!(world.finish(OTHER, &innocent).await, 0);
}

pub(super) async fn whoever_waits_for_a_quarantined_job_is_told(store: &Store) {
    let world = store.world_with(|config| config.crash_limit = 1).await;
    let id = world.push("k", "1", Push::new().result_ttl(Duration::from_secs(60))).await;
    let handle = world.client.handle::<()>(id);
    world.take(ONE, 1).await;
    let crash = async {
        tokio::task::yield_now().await;
        world.recover(&[ONE]).await
    };
    let (result, recovered) = tokio::join!(handle.result(), crash);
    assert_eq!(recovered, Recovered { suspects: 0, unstarted: 0, killed: 1 });
    match result {
        Err(Error::Ended { state, message, .. }) => {
            assert_eq!((state, message.as_str()), (State::Dead, "its process ended 1 times while it ran"));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn released_jobs_are_taken_first_and_uncounted(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(3).await;
    let taken = world.take(THREE, 2).await;
    assert_eq!(world.broker.release("default", THREE, &held(&taken)).await.unwrap(), 2);
    assert_eq!(world.broker.release("default", THREE, &held(&taken)).await.unwrap(), 0);
    let wake = world.broker.wait(&["default"], Duration::from_millis(20)).await.unwrap();
    assert_eq!(wake, Some(0));
    let again = world.take(OTHER, 9).await;
    let seen: Vec<_> = again.iter().map(|job| (job.job_id("default"), job.count)).collect();
    let [first, second, third] = ids.try_into().unwrap();
    assert_eq!(seen, [(first, 1), (second, 1), (third, 1)]);
    assert_eq!(world.finish(THREE, &taken).await, 2, "the count is the same, the holder is not");
}

pub(super) async fn a_worker_that_leaves_gives_back_what_it_never_knew(store: &Store) {
    let world = store.world().await;
    world.push_numbers(600).await;
    // The replies to these fetches are lost, as it were: the worker leaves without a word about the jobs.
    assert_eq!(world.take(THREE, 600).await.len(), 600);
    assert_eq!(world.broker.leave(THREE, &["default"]).await.unwrap(), 1, "one call has a bound");
    assert_eq!(world.broker.leave(THREE, &["default"]).await.unwrap(), 0);
    let stream = world.broker.keys().stream("default");
    let consumers: Vec<Vec<redis::Value>> = world.ask("XINFO", &["CONSUMERS", &stream, "w"]).await;
    let is_it = |name: &redis::Value| *name == redis::Value::BulkString(THREE.into());
    assert!(!consumers.iter().flatten().any(is_it));
    let again = world.take(OTHER, 1000).await;
    assert_eq!(again.iter().filter(|job| job.count == 1).count(), 600);
    assert_eq!(world.finish(OTHER, &again[..400]).await, 0);
}

/// However much a worker had taken ahead.
pub(super) async fn of_very_many_jobs_only_those_that_had_begun_are_suspects(store: &Store) {
    let world = store.world().await;
    const COUNT: usize = 10_020;
    let args = super::world::json("1");
    let jobs = std::iter::repeat_n(&*args, COUNT);
    world.client.push_many_raw("k", jobs, Push::new()).await.unwrap();
    let mut taken = 0;
    while taken < COUNT {
        taken += world.take(ONE, 500).await.len();
    }
    assert_eq!(world.recover(&[ONE]).await, Recovered { suspects: 1, unstarted: COUNT - 1, killed: 0 });
    assert_eq!(world.recover(&[ONE]).await, Recovered { suspects: 0, unstarted: 0, killed: 0 });
}
