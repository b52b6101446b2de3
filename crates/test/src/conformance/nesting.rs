//! Batches inside batches, and what cancelling reaches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, value::RawValue};
use windlass::{Context, Ending, Failure, Keep, Push, Retry, State, Worker};

use super::act::{A, AGE, actors_with, counts, job, mortal, names, play, settle, status};
use super::world::{Beside, Store, World, eventually, json};

pub(super) async fn a_nested_batch_holds_its_parent_open(store: &Store) {
    let world = store.world().await;
    let outer = world.client.batch().on_complete(job("outer complete")).on_success(job("outer success"));
    let outer = outer.on_dead(job("outer dead")).push_all([job("nest")]).await.unwrap();
    let (worker, mut seen) = actors_with(&world, |args: Value, context: Context| async move {
        if args["name"] == "nest" {
            let inner = context.nested_batch().on_complete(job("inner complete"));
            let inner = inner.on_success(job("inner success")).open().await.unwrap();
            inner.push_many([job("x"), mortal("y")]).await.unwrap();
            inner.close().await.unwrap();
        }
    });
    worker.exit_when_empty().run().await.unwrap();
    let mut order = Vec::new();
    let mut dead = None;
    while let Some(seen) = seen.recv().await {
        if seen.name == "y" {
            dead = Some(seen.id);
        }
        order.push(seen.name);
    }
    let at = |name: &str| {
        order.iter().position(|seen| seen == name).unwrap_or_else(|| panic!("{name}: {order:?}"))
    };
    assert!(at("y") < at("inner complete") && at("inner complete") < at("outer complete"), "{order:?}");
    assert!(at("outer dead") > at("y"), "a death below is one above, too");
    assert_eq!(order.len(), 6, "{order:?}");
    assert_eq!(counts(&outer).await, [2, 0, 2, 0, 0], "its own job, and the callback of the nested one");
    assert_eq!(status(&outer).await.succeeded_at, None, "the nested one has not succeeded");
    assert!(world.client.inspector().retry(&dead.unwrap()).await.unwrap());
    assert_eq!(names(&play(&world).await), ["inner success", "outer success", "y"]);
    let over = status(&outer).await;
    assert!(over.succeeded_at.is_some() && over.children == 0);
}

pub(super) async fn a_cancelled_batch_begins_nothing_more(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).on_success(job("success"));
    let batch = batch.on_dead(job("dead")).open().await.unwrap();
    let first = batch.push(job("running")).await.unwrap();
    let running = world.take(A, 1).await.remove(0);
    batch.push_many([job("a"), job("b")]).await.unwrap();
    let later = batch.push_with(job("later"), Push::new().delay(AGE)).await.unwrap();
    batch.close().await.unwrap();
    assert!(batch.cancel().await.unwrap());
    assert!(status(&batch).await.is_cancelled);
    assert_eq!(counts(&batch).await, [4, 3, 0, 0, 1], "what is due later has ended");
    let reason = world.until(&later, State::Cancelled).await.history.reason;
    assert_eq!(reason.as_deref(), Some("its batch was cancelled"));
    let refused = batch.push(job("more")).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the batch {} is cancelled", batch.id()));
    assert!(play(&world).await.is_empty());
    assert_eq!(counts(&batch).await, [4, 1, 0, 0, 3]);
    // What runs may end.
    assert_eq!(running.job_id("default"), first);
    assert!(settle(&world, A, &running).await);
    assert_eq!(names(&play(&world).await), ["complete"]);
    assert_eq!(counts(&batch).await, [4, 0, 1, 0, 3]);
    assert!(!batch.cancel().await.unwrap(), "it is over");
}

pub(super) async fn cancelling_reaches_nested_batches_and_nesting_has_a_bound(store: &Store) {
    let world = store.world().await;
    let (worker, mut seen) = actors_with(&world, |args: Value, context: Context| async move {
        let name = args["name"].as_str().unwrap_or_default();
        let Some(depth) = name.strip_prefix("depth ").and_then(|depth| depth.parse::<usize>().ok()) else {
            return;
        };
        let inner = context.nested_batch().push_all([job(&format!("depth {}", depth + 1))]).await;
        assert_eq!(inner.is_ok(), depth < windlass::BATCH_DEPTH_MAX, "{depth}: {inner:?}");
        if depth == windlass::BATCH_DEPTH_MAX {
            assert!(inner.unwrap_err().to_string().ends_with("would be nested too deep"));
        }
    });
    let outer = world.client.batch().on_success(job("success")).push_all([job("depth 1")]).await.unwrap();
    worker.exit_when_empty().run().await.unwrap();
    let mut count = 0;
    while seen.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, windlass::BATCH_DEPTH_MAX + 1, "one job at each depth, and the callback");
    assert!(status(&outer).await.succeeded_at.is_some());
    // A batch around others is cancelled before the innermost job begins.
    let outer = world.client.batch().on_complete(job("complete")).push_all([job("nest")]).await.unwrap();
    let (worker, mut seen) = actors_with(&world, |args: Value, context: Context| async move {
        if args["name"] == "nest" {
            context.nested_batch().push_all([job("inner")]).await.unwrap();
            assert!(context.batch().unwrap().cancel().await.unwrap());
        }
    });
    let worker = worker.concurrency(1);
    worker.exit_when_empty().run().await.unwrap();
    let mut names = Vec::new();
    while let Some(seen) = seen.recv().await {
        names.push(seen.name);
    }
    assert_eq!(names, ["nest", "complete"]);
    assert_eq!(counts(&outer).await, [1, 0, 1, 0, 0]);
}

pub(super) async fn cancelling_a_batch_ends_what_waits_and_stops_what_runs(store: &Store) {
    let world = store.world().await;
    let batch = world.client.batch().on_complete(job("complete")).open().await.unwrap();
    batch.push(job("outer")).await.unwrap();
    let other = world.push("k", "1", Push::new().delay(AGE)).await;
    let others = world.client.batch().open().await.unwrap();
    others.push_with(job("of another batch"), Push::new().delay(AGE)).await.unwrap();
    // More than are looked at in one call.
    batch.push_many_with((0..300).map(|_| job("later")), Push::new().delay(AGE)).await.unwrap();
    let kept = Push::new().delay(AGE).result_ttl(AGE);
    let kept = batch.push_with(job("waited for"), kept).await.unwrap();
    let has_begun = Arc::new(tokio::sync::Semaphore::new(0));
    let begun = has_begun.clone();
    let run = move |args: Box<RawValue>, context: Context| {
        let begun = begun.clone();
        async move {
            let args: Value = serde_json::from_str(args.get()).expect("the arguments of an act");
            match args["name"].as_str() {
                Some("outer") => {
                    let inner = context.nested_batch().open().await?;
                    inner.push_with(job("inner later"), Push::new().delay(AGE)).await?;
                    inner.push(job("fails")).await?;
                    inner.push(job("runs")).await?;
                }
                Some("fails") => return Err(Failure::retry("not yet").retry_in(AGE)),
                Some("runs") => {
                    begun.add_permits(1);
                    context.cancelled().await;
                    return Err(Failure::retry("it was asked to stop"));
                }
                _ => {}
            }
            Ok(json("null"))
        }
    };
    let worker = Beside::start(world.worker().concurrency(9).register_raw("k", Retry::Fixed(AGE), run));
    has_begun.acquire().await.unwrap().forget();
    eventually(async || (counts(&others).await[1] == 1).then_some(())).await;
    let stored = async |state| world.ask::<u64>("ZCARD", &[&world.broker.keys().set(state).unwrap()]).await;
    eventually(async || (stored(State::Retry).await == 1).then_some(())).await;
    batch.close().await.unwrap();
    assert!(batch.cancel().await.unwrap());
    eventually(async || status(&batch).await.completed_at).await;
    assert_eq!(counts(&batch).await, [302, 0, 1, 0, 301]);
    let error = world.client.handle::<Value>(kept).result().await.unwrap_err();
    assert!(error.to_string().ends_with("its batch was cancelled"), "{error}");
    assert_eq!((stored(State::Scheduled).await, stored(State::Retry).await), (2, 0));
    assert!(world.client.inspector().show(&other).await.unwrap().is_some());
    worker.stop().await;
}

/// A worker whose jobs are noted. The job "nest" opens a nested batch in its first attempt and fails before it has closed it;
/// in the next one, after `wait`, it makes another, whole.
fn leaver(world: &World, wait: Duration, ran: &Arc<Mutex<Vec<String>>>) -> Worker {
    let ran = ran.clone();
    let run = move |args: Box<RawValue>, context: Context| {
        let ran = ran.clone();
        async move {
            let args: Value = serde_json::from_str(args.get()).expect("the arguments of an act");
            let name = args["name"].as_str().expect("a name").to_owned();
            let is_first = context.attempt() == 1;
            if name == "nest" {
                let inner = context.nested_batch().on_complete(job("inner complete"));
                match is_first {
                    true => inner.open().await?.push(job("x")).await.map(drop)?,
                    false => inner.push_all([job("y")]).await.map(drop)?,
                }
            }
            ran.lock().unwrap().push(name.clone());
            match name == "nest" && is_first {
                true => Err(Failure::retry("it ends before it has closed its batch")),
                false => Ok(json("null")),
            }
        }
    };
    world.worker().register_raw("k", Retry::Fixed(wait), run)
}

pub(super) async fn a_nested_batch_that_was_left_open_is_closed_with_its_job(store: &Store) {
    let world = store.world().await;
    let ran = Arc::default();
    let outer =
        world.client.batch().on_complete(job("outer complete")).push_all([job("nest")]).await.unwrap();
    let worker = Beside::start(leaver(&world, Duration::from_millis(1), &ran));
    eventually(async || status(&outer).await.completed_at).await;
    eventually(async || (ran.lock().unwrap().len() == 7).then_some(())).await;
    worker.stop().await;
    let mut sorted = ran.lock().unwrap().clone();
    sorted.sort();
    assert_eq!(sorted, ["inner complete", "inner complete", "nest", "nest", "outer complete", "x", "y"]);
    // The same when the job does not come to another attempt.
    let ran = Arc::default();
    let batch = world.client.batch().on_complete(job("outer complete")).open().await.unwrap();
    let opener = batch.push(job("nest")).await.unwrap();
    batch.close().await.unwrap();
    leaver(&world, AGE, &ran).exit_when_empty().run().await.unwrap();
    assert_eq!(ran.lock().unwrap().join(" "), "nest x");
    assert_eq!(status(&batch).await.children, 1);
    assert_eq!(world.client.inspector().cancel(&opener).await.unwrap(), Ending::Ended);
    leaver(&world, AGE, &ran).exit_when_empty().run().await.unwrap();
    assert_eq!(ran.lock().unwrap().join(" "), "nest x inner complete outer complete");
    let keys = world.broker.keys();
    assert_eq!(world.ask::<u64>("EXISTS", &[&keys.nested(), &keys.opened(&opener)]).await, 0);
}

/// Even where the job had ended before it opened the batch, as that of a worker that had lost it.
pub(super) async fn a_nested_batch_that_nobody_closes_is_closed_after_its_time(store: &Store) {
    let world = store.world().await;
    let outer = world.client.batch().on_complete(job("outer complete")).open().await.unwrap();
    outer.push(job("a")).await.unwrap();
    outer.push_with(job("b"), Push::new().delay(AGE)).await.unwrap();
    outer.close().await.unwrap();
    let left = Arc::new(Mutex::new(None));
    let note = left.clone();
    let (worker, _seen) = actors_with(&world, move |_, context: Context| {
        *note.lock().unwrap() = Some(context.clone());
        std::future::ready(())
    });
    worker.exit_when_empty().run().await.unwrap();
    let context = left.lock().unwrap().take().unwrap();
    context.nested_batch().on_complete(job("inner complete")).open().await.unwrap();
    store.advance(AGE);
    world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap();
    assert_eq!(names(&play(&world).await), ["b"]);
    assert_eq!(status(&outer).await.completed_at, None);
    store.advance(Keep::default().age);
    while world.broker.prune(&world.config).await.unwrap() > 0 {}
    assert_eq!(names(&play(&world).await), ["inner complete", "outer complete"]);
}
