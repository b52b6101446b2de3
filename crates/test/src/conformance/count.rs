//! Every end of a job of a batch counts once, whoever tells of it and whoever dies when.

use std::time::Duration;

use serde_json::Value;
use windlass::broker::{Settle, Taken};
use windlass::{Batch, Chain, Edited, Ending, Filter, JobId, Push, Rescheduled, Retry, State};
use windlass_db::faults::Random;

use super::act::{A, AGE, B, counts, job, kill, name_of, names, play, settle, step, success};
use super::world::{Store, held, json};

pub(super) async fn a_job_of_a_batch_counts_once_whoever_dies(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).on_success(job("success"));
    let batch = batch.on_dead(job("dead")).push_all([job("a"), job("b")]).await.unwrap();
    let callbacks = async |consumer: &str| -> Vec<Taken> { world.take(consumer, 9).await };
    let [a, b] = world.take(A, 2).await.try_into().unwrap();
    // The worker dies between taking and telling.
    world.recover(&[A]).await;
    assert_eq!(counts(&batch).await, [2, 2, 0, 0, 0]);
    assert!(!settle(&world, A, &a).await);
    assert!(!kill(&world, A, &b).await);
    assert_eq!(counts(&batch).await, [2, 2, 0, 0, 0]);
    let a = world.take(B, 1).await.remove(0);
    // It dies after telling: the answer is lost and it tells again.
    assert!(settle(&world, B, &a).await);
    assert!(!settle(&world, B, &a).await);
    assert_eq!(counts(&batch).await, [2, 1, 1, 0, 0]);
    assert!(callbacks(A).await.iter().all(|taken| name_of(taken) == "b"));
    world.recover(&[A]).await;
    let b = world.take(B, 9).await.remove(0);
    assert_eq!(name_of(&b), "b");
    assert!(kill(&world, B, &b).await);
    assert!(!kill(&world, B, &b).await);
    assert!(!settle(&world, B, &b).await);
    assert_eq!(counts(&batch).await, [2, 0, 1, 1, 0]);
    let fired: Vec<_> = callbacks(A).await.iter().map(name_of).collect();
    assert_eq!(fired, ["dead", "complete"]);
    // The callback itself is a job like others: one whose worker dies runs again, none is lost.
    world.recover(&[A]).await;
    assert_eq!(names(&play(&world).await), ["complete", "dead"]);
}

pub(super) async fn every_way_to_end_counts_in_a_batch(store: &Store) {
    let world = store.world_with(|config| config.crash_limit = 1).await;
    let batch = world.client.batch().on_complete(job("complete")).open().await.unwrap();
    let inspector = world.client.inspector();
    let crashed = batch.push(job("crashed")).await.unwrap();
    assert_eq!(world.take("o.1.1.o.1", 1).await.len(), 1);
    assert_eq!(world.recover(&["o.1.1.o.1"]).await.killed, 1);
    assert_eq!(counts(&batch).await, [1, 0, 0, 1, 0]);
    let removed = batch.push(job("removed")).await.unwrap();
    assert_eq!(inspector.remove(&removed).await.unwrap(), Some(true));
    assert_eq!(inspector.remove(&removed).await.unwrap(), Some(false));
    let later = batch.push_with(job("later"), Push::new().delay(AGE)).await.unwrap();
    assert_eq!(counts(&batch).await, [3, 1, 0, 1, 1]);
    assert_eq!(inspector.remove(&later).await.unwrap(), Some(true));
    assert_eq!(counts(&batch).await, [3, 0, 0, 1, 2]);
    // Scheduled ones that are begun by hand had not ended, so that they count as before.
    let begun = batch.push_with(job("begun"), Push::new().delay(AGE)).await.unwrap();
    assert!(inspector.retry(&begun).await.unwrap());
    assert_eq!(counts(&batch).await, [4, 1, 0, 1, 2]);
    batch.close().await.unwrap();
    assert_eq!(names(&play(&world).await), ["begun", "complete"]);
    // A dead one that is removed has been counted.
    assert_eq!(inspector.remove(&crashed).await.unwrap(), Some(true));
    assert_eq!(counts(&batch).await, [4, 0, 1, 1, 2]);
}

pub(super) async fn ends_and_returns_by_hand_count_in_a_batch(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).on_dead(job("dead"));
    let batch = batch.on_success(job("success")).open().await.unwrap();
    let inspector = world.client.inspector();
    let later = || Push::new().delay(AGE);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(batch.push_with(job("a"), later()).await.unwrap());
    }
    let enqueued = batch.push(job("a")).await.unwrap();
    for id in [&ids[0], &enqueued] {
        assert_eq!(inspector.cancel(id).await.unwrap(), Ending::Ended);
        assert_eq!(inspector.cancel(id).await.unwrap(), Ending::Over);
    }
    assert_eq!(counts(&batch).await, [5, 3, 0, 0, 2]);
    for id in &ids[1..] {
        assert_eq!(inspector.kill(id).await.unwrap(), Ending::Ended);
    }
    assert_eq!(counts(&batch).await, [5, 0, 0, 3, 2]);
    batch.close().await.unwrap();
    assert_eq!(names(&play(&world).await), ["complete", "dead"]);
    // Each goes back in another way, and all of them succeed.
    let args = json(r#"{"name":"edited"}"#);
    assert_eq!(inspector.edit(&ids[0], &args).await.unwrap(), Edited::Edited);
    assert_eq!(counts(&batch).await, [5, 0, 0, 3, 2]);
    assert_eq!(inspector.edit_and_retry(&ids[0], &args).await.unwrap(), Edited::Enqueued);
    assert_eq!(counts(&batch).await, [5, 1, 0, 3, 1]);
    assert_eq!(inspector.edit_and_retry(&ids[0], &args).await.unwrap(), Edited::Repushed);
    assert_eq!(inspector.reschedule_in(&enqueued, AGE).await.unwrap(), Rescheduled::Scheduled);
    assert_eq!(inspector.reschedule_in(&enqueued, Duration::ZERO).await.unwrap(), Rescheduled::Scheduled);
    assert_eq!(counts(&batch).await, [5, 2, 0, 3, 0]);
    assert!(inspector.retry(&ids[1]).await.unwrap());
    assert_eq!(inspector.retry_all(&Filter::default()).await.unwrap().moved, 2);
    assert_eq!(counts(&batch).await, [5, 5, 0, 0, 0]);
    world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
    assert_eq!(names(&play(&world).await), ["a", "a", "a", "a", "edited", "success"]);
    assert_eq!(counts(&batch).await, [5, 0, 5, 0, 0]);
    // The error branch of a chain comes with an end by hand, too, once.
    let chain = Chain::new().then_with(job("a"), later()).then(job("b")).catch(job("catch"));
    let id = world.client.push_chain(chain).await.unwrap();
    assert_eq!(inspector.cancel(&id).await.unwrap(), Ending::Ended);
    assert_eq!(names(&play(&world).await), ["catch"]);
    assert!(inspector.retry(&id).await.unwrap());
    assert_eq!(inspector.kill(&id).await.unwrap(), Ending::Ended);
    assert!(play(&world).await.is_empty());
}

pub(super) async fn an_envelope_that_cannot_be_read_counts_in_its_batch(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).push_all([job("a")]).await.unwrap();
    let taken = world.take(A, 1).await.remove(0);
    // The job is pushed on as one of a version that nobody here knows.
    let mut envelope: Value = serde_json::from_slice(&taken.envelope).unwrap();
    envelope["v"] = 9.into();
    let next = Some(step("default", &envelope));
    let told = Settle { next, ..success(&taken, "1") };
    assert!(world.broker.settle("default", A, &told).await.unwrap());
    assert_eq!(counts(&batch).await, [2, 1, 1, 0, 0]);
    assert_eq!(names(&play(&world).await), ["complete"]);
    assert_eq!(counts(&batch).await, [2, 0, 1, 1, 0]);
}

async fn failed(batch: &Batch) -> u64 {
    let [_, _, _, dead, cancelled] = counts(batch).await;
    dead + cancelled
}

pub(super) async fn whatever_happens_to_its_jobs_a_batch_counts_them_and_calls_back_once(store: &Store) {
    for seed in 0..6 {
        println!("seed {seed}");
        any_walk_ends_right(store, seed).await;
    }
}

/// Makes moves at random, those of workers that do not hold their jobs any more included; then lets all jobs end well.
async fn any_walk_ends_right(store: &Store, seed: u64) {
    let world = store.world_with(|config| config.crash_limit = 2).await;
    let batch = world.client.batch().on_complete(job("complete")).on_success(job("success"));
    let batch = batch.on_dead(job("dead")).open().await.unwrap();
    let (mut ids, mut taken): (Vec<JobId>, Vec<(&str, Taken)>) = (Vec::new(), Vec::new());
    let (mut random, mut has_died, mut removed) = (Random::new(seed), false, 0);
    let inspector = world.client.inspector();
    for _ in 0..60 {
        let consumer = [A, B][random.below(2)];
        let any = random.below(1000);
        match random.below(12) {
            0 | 1 => ids.push(batch.push(job("a")).await.unwrap()),
            2 => {
                // Callbacks that have come are left for the end.
                let mine = world.take(consumer, 2).await;
                let (mine, callbacks): (Vec<_>, Vec<_>) =
                    mine.into_iter().partition(|taken| name_of(taken) == "a");
                let callbacks = held(&callbacks);
                if !callbacks.is_empty() {
                    world.broker.release("default", consumer, &callbacks).await.unwrap();
                }
                taken.extend(mine.into_iter().map(|taken| (consumer, taken)));
            }
            3 | 4 if !taken.is_empty() => {
                let (consumer, taken) = &taken[any % taken.len()];
                settle(&world, consumer, taken).await;
            }
            5 if !taken.is_empty() => {
                let (consumer, taken) = &taken[any % taken.len()];
                has_died |= kill(&world, consumer, taken).await;
            }
            6 => has_died |= world.recover(&[consumer]).await.killed > 0,
            7 if !ids.is_empty() => {
                inspector.retry(&ids[any % ids.len()]).await.unwrap();
            }
            8 if !ids.is_empty() => {
                inspector.cancel(&ids[any % ids.len()]).await.unwrap();
            }
            9 if !ids.is_empty() => {
                has_died |= inspector.kill(&ids[any % ids.len()]).await.unwrap() == Ending::Ended;
            }
            10 if !ids.is_empty() => {
                inspector.reschedule_in(&ids[any % ids.len()], Duration::ZERO).await.unwrap();
                world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
            }
            11 if !ids.is_empty() => {
                let id = &ids[any % ids.len()];
                removed += u32::from(inspector.remove(id).await.unwrap() == Some(true));
            }
            _ => {}
        }
        assert_eq!(counts(&batch).await[0], ids.len() as u64);
    }
    batch.close().await.unwrap();
    world.recover(&[A, B]).await;
    world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
    let mut seen = play(&world).await;
    // Those that failed in the meantime are tried again until all have succeeded; those that were removed are gone.
    while failed(&batch).await > 0 {
        let before = failed(&batch).await;
        for id in &ids {
            inspector.retry(id).await.unwrap();
        }
        seen.extend(play(&world).await);
        if failed(&batch).await >= before {
            break;
        }
    }
    let fired: Vec<_> = names(&seen).into_iter().filter(|name| *name != "a").collect();
    let [total, pending, succeeded, dead, cancelled] = counts(&batch).await;
    assert_eq!(pending, 0);
    let expected = [("complete", true), ("dead", has_died), ("success", succeeded == total)];
    let expected: Vec<_> = expected.into_iter().filter(|(_, is_due)| *is_due).map(|(name, _)| name).collect();
    assert_eq!(fired, expected, "{dead} dead, {cancelled} cancelled, {removed} removed");
}

pub(super) async fn a_parked_job_that_dies_counts_in_its_batch(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).push_all([job("nobody")]).await.unwrap();
    let ignorant = world.worker().register_raw("else", Retry::Never, |_, _| async { Ok(json("1")) });
    assert_eq!(ignorant.exit_when_empty().run().await.unwrap().failed, 1);
    assert_eq!(counts(&batch).await, [1, 1, 0, 0, 0]);
    store.advance(world.config.parked_age + Duration::from_secs(1));
    while world.broker.prune(&world.config).await.unwrap() > 0 {}
    assert_eq!(counts(&batch).await, [1, 0, 0, 1, 0]);
    assert_eq!(names(&play(&world).await), ["complete"]);
}
