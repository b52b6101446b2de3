//! Batches: what they wait for and when they call back.

use std::time::Duration;

use serde_json::{Value, json as value};
use windlass::{BatchStatus, Chain, Context, Error, Keep, Push};

use super::act::{Act, actors, actors_with, counts, job, mortal, names, play, status};
use super::world::{Beside, Store, eventually};

pub(super) async fn callbacks_of_a_batch_fire_once_each(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().description("three").on_complete(job("complete"));
    let batch = batch.on_success(job("success")).on_dead(job("dead")).open().await.unwrap();
    batch.push_many([job("a"), job("b")]).await.unwrap();
    let mortal_id = batch.push(mortal("c")).await.unwrap();
    let found = status(&batch).await;
    assert_eq!((found.description.as_deref(), found.is_closed), (Some("three"), false));
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["a", "b", "c", "dead"], "it is open, so that it cannot complete");
    batch.close().await.unwrap();
    batch.close().await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["complete"]);
    let told: BatchStatus = serde_json::from_value(seen[0].prev.clone().unwrap()).unwrap();
    let numbers = (told.id.as_str(), told.total, told.pending, told.succeeded, told.dead);
    assert_eq!(numbers, (batch.id(), 3, 0, 2, 1));
    assert_eq!(counts(&batch).await, [3, 0, 2, 1, 0]);
    // The dead one is tried again and succeeds: now all have.
    assert!(world.client.inspector().retry(&mortal_id).await.unwrap());
    assert_eq!(counts(&batch).await, [3, 1, 2, 0, 0]);
    assert_eq!(names(&play(&world).await), ["c", "success"]);
    assert_eq!(counts(&batch).await, [3, 0, 3, 0, 0]);
    let ended = status(&batch).await;
    assert!(ended.completed_at.is_some() && ended.succeeded_at.is_some() && ended.died_at.is_some());
    batch.close().await.unwrap();
    assert!(play(&world).await.is_empty());
    assert!(world.is_empty().await);
}

pub(super) async fn a_batch_without_jobs_completes_at_its_closing(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).on_success(job("success"));
    let batch = batch.on_dead(job("dead")).open().await.unwrap();
    assert!(play(&world).await.is_empty());
    batch.close().await.unwrap();
    assert_eq!(names(&play(&world).await), ["complete", "success"]);
    let at_once = world.client.batch().on_complete(job("complete"));
    at_once.push_all(Vec::<Act>::new()).await.unwrap();
    assert_eq!(names(&play(&world).await), ["complete"]);
}

pub(super) async fn a_batch_outlives_whoever_opened_it(store: &Store) {
    let world = store.world().await;
    let id = {
        let batch = world.client.batch().on_complete(job("complete")).open().await.unwrap();
        batch.push(job("a")).await.unwrap();
        batch.id().to_owned()
        // The process dies before it has pushed all and closed the batch.
    };
    assert_eq!(names(&play(&world).await), ["a"]);
    let other = store.connect().await;
    let other = windlass::Client::with_config(other, world.config.clone()).await.unwrap();
    let batch = other.batch_by_id(&id).unwrap();
    batch.push(job("b")).await.unwrap();
    batch.close().await.unwrap();
    assert_eq!(names(&play(&world).await), ["b", "complete"]);
}

pub(super) async fn a_batch_can_grow_while_it_runs(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_success(job("success")).push_all([job("grow 3")]).await.unwrap();
    let (worker, mut seen) = actors_with(&world, |args: Value, context: Context| async move {
        let name = args["name"].as_str().unwrap_or_default();
        let Some(left) = name.strip_prefix("grow ").and_then(|left| left.parse::<u32>().ok()) else { return };
        let batch = context.batch().expect("it is one of a batch");
        for _ in 0..if left > 0 { 2 } else { 0 } {
            batch.push(job(&format!("grow {}", left - 1))).await.expect("the batch is not over");
        }
    });
    worker.exit_when_empty().run().await.unwrap();
    let mut count = 0;
    let mut last = String::new();
    while let Some(seen) = seen.recv().await {
        (count, last) = (count + 1, seen.name);
    }
    assert_eq!((count, last.as_str()), (16, "success"), "1 + 2 + 4 + 8 jobs and the callback after them");
    assert_eq!(counts(&batch).await, [15, 0, 15, 0, 0]);
    let refused = batch.push(job("late")).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the batch {} is over or was never there", batch.id()));
    let unknown = world.client.batch_by_id("nobody").unwrap();
    assert!(matches!(unknown.push(job("a")).await, Err(Error::Batch { .. })));
    assert!(matches!(unknown.close().await, Err(Error::Batch { .. })));
    assert!(matches!(world.client.batch_by_id("a}b"), Err(Error::Name { .. })));
    assert_eq!(unknown.status().await.unwrap(), None);
    assert!(world.is_empty().await);
}

pub(super) async fn a_large_batch_fires_its_callbacks_once_under_many_workers(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).on_success(job("success"));
    let batch = batch.push_all((0..777).map(|_| job("a"))).await.unwrap();
    let (workers, seen): (Vec<_>, Vec<_>) = (0..3).map(|_| actors(&world)).unzip();
    let workers: Vec<_> = workers.into_iter().map(|worker| Beside::start(worker.concurrency(9))).collect();
    eventually(async || {
        let done: Option<u64> = world.ask("HGET", &[&world.broker.keys().stats(), "completed"]).await;
        (done == Some(779)).then_some(())
    })
    .await;
    let mut completed = 0;
    for worker in workers {
        completed += worker.stop().await.completed;
    }
    let mut all = Vec::new();
    for mut seen in seen {
        while let Some(seen) = seen.recv().await {
            all.push(seen);
        }
    }
    assert_eq!((completed, all.len()), (779, 779));
    assert_eq!(names(&all)[777..], ["complete", "success"]);
    assert_eq!(counts(&batch).await, [777, 0, 777, 0, 0]);
    assert!(world.is_empty().await);
}

pub(super) async fn a_batch_waits_for_chains_in_it(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).open().await.unwrap();
    batch.push_chain(Chain::new().then(job("a")).then(job("b"))).await.unwrap();
    let failing = Chain::new().then(job("c")).then(mortal("d")).then(job("e")).catch(job("catch"));
    batch.push_chain(failing).await.unwrap();
    batch.close().await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["a", "b", "c", "catch", "complete", "d"]);
    assert_eq!(seen.last().unwrap().name, "complete");
    assert_eq!(counts(&batch).await, [5, 0, 4, 1, 0]);
    let keyed = Chain::new().then_with(job("a"), Push::new().key("x"));
    assert!(matches!(batch.push_chain(keyed).await, Err(Error::Config(_))));
}

pub(super) async fn a_hundred_items_are_ten_jobs_in_one_call(store: &Store) {
    let world = store.world().await;
    let act = |items: Vec<u32>| Act(value!({"name": items.len().to_string(), "answer": items}));
    assert_eq!(world.client.push_chunks(0..100, 10, act).await.unwrap(), 10);
    assert_eq!(names(&play(&world).await), ["10"; 10]);
    let batch = world.client.batch().open().await.unwrap();
    assert_eq!(batch.push_chunks(0..25, 10, act).await.unwrap(), 3);
    assert_eq!(counts(&batch).await, [3, 3, 0, 0, 0]);
    assert_eq!(names(&play(&world).await), ["10", "10", "5"]);
    let none = world.client.push_chunks(0..9, 0, act).await.unwrap_err();
    assert_eq!(none.to_string(), "the size of a chunk is 0, use 1 or more");
}

pub(super) async fn an_ended_batch_is_forgotten_after_its_time(store: &Store) {
    let world = store.world().await;
    let short = world.client.batch().keep(Duration::from_secs(60)).push_all([job("a")]).await.unwrap();
    let group = world.client.group().keep(Duration::from_secs(60)).push([job("b")]).await.unwrap();
    let failed = world.client.batch().keep(Duration::from_secs(60)).push_all([mortal("c")]).await.unwrap();
    let open = world.client.batch().keep(Duration::from_secs(60)).open().await.unwrap();
    let waiting = world.client.batch().keep(Duration::from_secs(60));
    let later = Push::new().delay(Duration::from_secs(365 * 24 * 3600));
    let waiting = waiting.push_all_with([job("d")], later).await.unwrap();
    assert_eq!(names(&play(&world).await), ["a", "b", "c"]);
    store.advance(Duration::from_secs(59));
    assert!(short.status().await.unwrap().is_some() && group.results().await.unwrap().is_some());
    store.advance(Duration::from_secs(2));
    assert_eq!(short.status().await.unwrap(), None);
    assert_eq!(group.results().await.unwrap(), None);
    let items = world.broker.keys().batch_items(group.id());
    assert_eq!(world.ask::<u64>("EXISTS", &[&items]).await, 0);
    assert!(failed.status().await.unwrap().is_some(), "its dead may be tried again");
    store.advance(Keep::default().age);
    assert_eq!(failed.status().await.unwrap(), None);
    assert_eq!(open.status().await.unwrap(), None, "nobody closed it, and nothing is in it");
    assert!(waiting.status().await.unwrap().is_some(), "a job of it has not ended");
}

/// What was opened is cancelled and closed then, so that its callbacks come, and the error names it.
pub(super) async fn a_batch_whose_push_stops_does_not_stay_open(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 600_000).await;
    let sized = |size: usize| Act(value!({"name": "x".repeat(size)}));
    let jobs = |count: usize| (0..count).map(move |_| sized(500_000)).chain([sized(600_000)]);
    let refused = world.client.batch().push_all(jobs(3)).await;
    assert!(matches!(refused, Err(Error::Payload { .. })), "{refused:?}");
    assert!(world.is_empty().await);
    let refused = world.client.batch().on_complete(job("complete")).push_all(jobs(10)).await.unwrap_err();
    let Error::Partial { pushed: 8, batch: Some(id), source } = refused else { panic!("{refused:?}") };
    assert!(matches!(*source, Error::Payload { .. }));
    let batch = world.client.batch_by_id(&id).unwrap();
    assert!(status(&batch).await.is_closed && status(&batch).await.is_cancelled);
    assert_eq!(names(&play(&world).await), ["complete"]);
    assert_eq!(counts(&batch).await, [8, 0, 0, 0, 8]);
}

pub(super) async fn a_batch_with_a_key_is_made_once(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 600_000).await;
    let letter = || world.client.batch().key("letter").on_success(job("success"));
    let sized = |size: usize| Act(value!({"name": "a", "pad": "x".repeat(size)}));
    let all = || (0..12).map(|_| sized(500_000));
    assert_eq!(letter().open().await.unwrap().id(), "letter");
    // Whoever made it first did not come to its end.
    let stopped = letter().push_all(all().take(10).chain([sized(600_000)])).await.unwrap_err();
    assert!(matches!(stopped, Error::Partial { pushed: 8, .. }), "{stopped}");
    let batch = world.client.batch_by_id("letter").unwrap();
    assert_eq!((counts(&batch).await[0], status(&batch).await.is_closed), (8, false));
    for _ in 0..2 {
        assert_eq!(counts(&letter().push_all(all()).await.unwrap()).await, [12, 12, 0, 0, 0]);
        assert!(status(&batch).await.is_closed);
    }
    let seen = play(&world).await;
    assert_eq!((seen.len(), seen.last().unwrap().name.as_str()), (13, "success"));
    let again = letter().push_all(all()).await.unwrap();
    assert_eq!(counts(&again).await, [12, 0, 12, 0, 0]);
    assert!(world.is_empty().await);
    let group = || world.client.group().key("squares").then(job("then"));
    for _ in 0..2 {
        assert_eq!(counts(group().push([job("a"), job("b")]).await.unwrap().batch()).await[0], 2);
    }
    assert_eq!(names(&play(&world).await), ["a", "b", "then"]);
    assert_eq!(group().push([job("a"), job("b")]).await.unwrap().results().await.unwrap().unwrap().len(), 2);
    assert!(matches!(world.client.batch().key("a b").open().await, Err(Error::Name { .. })));
}
