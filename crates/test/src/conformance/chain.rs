//! Chains: each step follows once, and the error branch once, whoever dies when.

use std::time::Duration;

use serde_json::{Value, json as value, value::RawValue};
use windlass::broker::Held;
use windlass::{Chain, Context, Error, Failure, History, JobError, JobId, Push, Retry, State};

use super::act::{A, AGE, Act, B, actors, job, mortal, name_of, names, play, settle};
use super::world::{Beside, Store, json};

pub(super) async fn a_chain_passes_results_on(store: &Store) {
    let world = store.world().await;
    let second = Act(value!({"name": "second", "answer": null}));
    let chain = Chain::new().then(job("first")).then(second).then(job("third")).catch(job("catch"));
    let id = world.client.push_chain(chain).await.unwrap();
    let seen = play(&world).await;
    let prev: Vec<_> = seen.iter().map(|seen| (seen.name.as_str(), seen.prev.clone())).collect();
    // A null that was answered is an answer; the type asked for decides what it is.
    assert_eq!(prev[..2], [("first", None), ("second", Some(value!("first")))]);
    assert_eq!(prev[2], ("third", Some(Value::Null)));
    assert_eq!((prev.len(), seen[0].id.clone()), (3, id));
    assert!(world.is_empty().await);
}

pub(super) async fn a_chain_may_lead_through_other_queues_and_keep_results(store: &Store) {
    let world = store.world().await;
    let kept = || Push::new().queue("other").result_ttl(AGE);
    let chain = Chain::new()
        .then_with(job("first"), Push::new().delay(Duration::from_millis(10)).key("once"))
        .then_with(job("second"), kept());
    let id = world.client.push_chain(chain).await.unwrap();
    assert!(id.as_str().starts_with("default/s"), "it began scheduled");
    let (worker, mut seen) = actors(&world);
    let worker = Beside::start(worker.queue("default").queue("other"));
    seen.recv().await.unwrap();
    let second = seen.recv().await.unwrap();
    assert_eq!((second.id.queue(), second.prev), ("other", Some(value!("first"))));
    let result = world.client.handle::<Value>(second.id).result().await.unwrap();
    assert_eq!(result, value!("second"));
    assert_eq!(worker.stop().await.completed, 2);
    let queues = world.client.inspector().queues().await.unwrap();
    assert_eq!(queues.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>(), ["default", "other"]);
    assert!(world.is_empty().await);
}

pub(super) async fn a_chain_that_fails_takes_its_error_branch_once(store: &Store) {
    let world = store.world().await;
    let chain = Chain::new().then(job("first")).then(mortal("second")).then(job("third"));
    world.client.push_chain(chain.catch(job("catch"))).await.unwrap();
    let seen = play(&world).await;
    assert_eq!(names(&seen), ["catch", "first", "second"]);
    let second = &seen[1].id;
    let error: JobError = serde_json::from_value(seen[2].prev.clone().unwrap()).unwrap();
    assert_eq!((error.id.as_str(), error.kind.as_str(), error.state), (second.as_str(), "k", State::Dead));
    assert_eq!((error.class.as_str(), error.message.as_str()), ("Kill", "no"));
    assert!(world.until(second, State::Dead).await.history.caught);
    // Tried again by hand it may still succeed, and the chain goes on; to die again brings no second branch.
    assert!(world.client.inspector().retry(second).await.unwrap());
    let again = world.take(A, 1).await.remove(0);
    let history: History = serde_json::from_slice(&again.history.clone().unwrap()).unwrap();
    assert!(history.caught);
    assert_eq!(world.broker.release("default", A, &[Held::of(&again)]).await.unwrap(), 1);
    assert_eq!(names(&play(&world).await), ["second", "third"]);
    assert!(world.is_empty().await);
}

pub(super) async fn a_chain_job_that_dies_twice_is_caught_once(store: &Store) {
    let world = store.world().await;
    let chain = Chain::new().then_with(Act(value!({"name": "a"})), Push::new().max_attempts(1));
    let id = world.client.push_chain(chain.catch(job("catch"))).await.unwrap();
    let dying = || {
        let run = |args: Box<RawValue>, _: Context| async move {
            if args.get().contains("catch") { Ok(json("1")) } else { Err(Failure::retry("no")) }
        };
        world.worker().register_raw("k", Retry::Never, run).exit_when_empty()
    };
    let summary = dying().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (1, 1));
    assert!(world.client.inspector().retry(&id).await.unwrap());
    let summary = dying().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (0, 1), "no second error branch");
}

pub(super) async fn a_step_of_a_chain_happens_once_whoever_dies(store: &Store) {
    let world = store.world().await;
    world.client.push_chain(Chain::new().then(job("first")).then(job("second"))).await.unwrap();
    let first = world.take(A, 1).await.remove(0);
    // The worker dies before it tells of the end: the job runs again and its chain has not moved.
    world.recover(&[A]).await;
    let again = world.take(B, 1).await.remove(0);
    assert_eq!((name_of(&again), again.job_id("default")), ("first".into(), first.job_id("default")));
    assert!(!settle(&world, A, &first).await, "the late worker does not hold it any more");
    assert!(world.take(A, 9).await.is_empty(), "and has pushed nothing");
    // It dies after it has told, before the answer came: to tell again changes nothing.
    assert!(settle(&world, B, &again).await);
    assert!(!settle(&world, B, &again).await);
    let second = world.take(A, 9).await;
    assert_eq!(second.iter().map(name_of).collect::<Vec<_>>(), ["second"]);
    assert!(settle(&world, A, &second[0]).await);
    assert!(world.take(A, 9).await.is_empty());
    assert!(world.is_empty().await);
}

pub(super) async fn the_error_branch_comes_with_every_kind_of_end(store: &Store) {
    let world = store.world_with(|config| config.crash_limit = 1).await;
    let chain = || Chain::new().then(job("a")).then(job("b")).catch(job("catch"));
    let caught = async |class: &str, id: &JobId| {
        let seen = play(&world).await;
        assert_eq!(names(&seen), ["catch"], "after {class}");
        let error: JobError = serde_json::from_value(seen[0].prev.clone().unwrap()).unwrap();
        assert_eq!((error.class.as_str(), error.id.as_str(), error.kind.as_str()), (class, id.as_str(), "k"));
    };
    // Its process ended too often while it ran: no worker has read it.
    let id = world.client.push_chain(chain()).await.unwrap();
    world.take(A, 1).await;
    assert_eq!(world.recover(&[A]).await.killed, 1);
    assert!(world.until(&id, State::Dead).await.history.caught);
    caught("Crash", &id).await;
    // It was removed, in its queue and as a stored job; a dead one that is removed has been caught before.
    let inspector = world.client.inspector();
    assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
    assert!(play(&world).await.is_empty());
    let id = world.client.push_chain(chain()).await.unwrap();
    assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
    caught("Removed", &id).await;
    let later = Chain::new().then_with(job("a"), Push::new().delay(AGE)).catch(job("catch"));
    let id = world.client.push_chain(later).await.unwrap();
    assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
    caught("Removed", &id).await;
    // It expired.
    let past = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let late = Chain::new().then_with(job("a"), Push::new().expires_at(past)).catch(job("catch"));
    let id = world.client.push_chain(late).await.unwrap();
    caught("Expired", &id).await;
}

pub(super) async fn what_cannot_follow_is_refused(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 2000).await;
    let push = async |chain| world.client.push_chain(chain).await;
    let text = |error: Error| error.to_string();
    assert_eq!(text(push(Chain::new()).await.unwrap_err()), "a chain needs a job");
    let late = Chain::new().then(job("a")).then_with(job("b"), Push::new().delay(AGE));
    let told = "a job that follows others cannot be delayed, it comes when they have ended";
    assert_eq!(text(push(late).await.unwrap_err()), told);
    let keyed = Chain::new().then(job("a")).catch_with(job("b"), Push::new().key("x"));
    let told = "a job that follows others cannot have a key, it comes once with them";
    assert_eq!(text(push(keyed).await.unwrap_err()), told);
    let (soon, now) = (Push::new().expires_in(AGE), std::time::SystemTime::now());
    let told = " of the push is reckoned from now, and a job that follows others comes when they have ended; give it to \
                their first, or a timeout to this one";
    let late = push(Chain::new().then(job("a")).then_with(job("b"), soon.clone())).await.unwrap_err();
    assert_eq!(text(late), format!("the expires_at{told}"));
    let late = world.client.batch().on_success_with(job("b"), Push::new().deadline(now)).open().await;
    assert_eq!(text(late.unwrap_err()), format!("the deadline{told}"));
    let group = world.client.group().then_with(job("b"), soon.clone()).push([job("a")]).await;
    assert!(matches!(group, Err(Error::Push { option: "expires_at", .. })));
    let first = push(Chain::new().then_with(job("a"), soon).then(job("b"))).await.unwrap();
    let envelope = world.client.inspector().show(&first).await.unwrap().unwrap().envelope;
    assert!(windlass::Envelope::parse(&envelope).unwrap().expires.is_some(), "the first one may");
    assert!(world.client.inspector().remove(&first).await.unwrap().unwrap());
    let wrong = Chain::new().then(job("a")).then_with(job("b"), Push::new().queue("no/queue"));
    assert!(matches!(push(wrong).await, Err(Error::Name { what: "queue", .. })));
    let long = (0..30).fold(Chain::new(), |chain, _| chain.then(job("a")));
    assert!(matches!(push(long).await, Err(Error::Payload { .. })));
    // What a job answers may be too much to be passed on: that is its death, with the reason.
    let large = Act(value!({"name": "large", "answer": "x".repeat(1500)}));
    let padded = Act(value!({"name": "next", "pad": "x".repeat(400)}));
    let slim = Act(value!({"name": "slim", "answer": 1}));
    let run = |args: Box<RawValue>, _: Context| async move {
        Ok(json(&value!("y".repeat(if args.get().contains("slim") { 1900 } else { 0 })).to_string()))
    };
    let id = push(Chain::new().then(slim).then(padded)).await.unwrap();
    assert!(push(Chain::new().then(large)).await.is_ok(), "alone it fits");
    world.worker().register_raw("k", Retry::Never, run).exit_when_empty().run().await.unwrap();
    let reason = world.until(&id, State::Dead).await.history.reason.unwrap();
    assert!(reason.starts_with("the next job of its chain takes "), "{reason}");
}
