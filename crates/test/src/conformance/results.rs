//! Results: kept, awaited, empty, failed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{BlockingJob, Context, Error, Failure, Job, Outcome, Push, Retry, State};

use super::working::Sum;
use super::world::{Beside, Store, World, json};

const TTL: Duration = Duration::from_secs(60);

fn failing(world: &World) -> windlass::Worker {
    world.worker().register_raw("bad", Retry::Never, |_, _| async { Err(Failure::retry("it broke")) })
}

pub(super) async fn a_result_reaches_all_who_wait(store: &Store) {
    let world = store.world().await;
    let handle = world.client.push_with(Sum(vec![20, 22]), Push::new().result_ttl(TTL)).await.unwrap();
    let other = windlass::Client::with_config(store.connect().await, world.config.clone()).await.unwrap();
    let elsewhere = other.handle::<u64>(handle.id().clone());
    let second = world.client.push_with(Sum(vec![1]), Push::new().result_ttl(TTL)).await.unwrap();
    let waiting =
        async { tokio::join!(handle.result(), handle.result(), elsewhere.result(), second.result()) };
    let working = async { Beside::start(world.worker().register_blocking::<Sum>()) };
    let (results, worker) = tokio::join!(waiting, working);
    let values = [results.0.unwrap(), results.1.unwrap(), results.2.unwrap(), results.3.unwrap()];
    assert_eq!(values, [42, 42, 42, 1]);
    assert_eq!(handle.result().await.unwrap(), 42, "reading takes nothing away");
    assert_eq!(handle.state().await.unwrap(), Some(State::Completed));
    worker.stop().await;
}

pub(super) async fn an_empty_result_is_a_result(store: &Store) {
    let world = store.world().await;
    let id = world.push("unit", "null", Push::new().result_ttl(TTL)).await;
    let worker = world.worker().register_raw("unit", Retry::Never, |_, _| async { Ok(json("null")) });
    let worker = Beside::start(worker);
    world.client.handle::<()>(id.clone()).result().await.unwrap();
    assert_eq!(world.client.handle::<Option<u64>>(id).result().await.unwrap(), None);
    worker.stop().await;
}

pub(super) async fn a_failure_reaches_those_who_wait(store: &Store) {
    let world = store.world().await;
    let id = world.push("bad", "null", Push::new().result_ttl(TTL)).await;
    let worker = Beside::start(failing(&world));
    let handle = world.client.handle::<u64>(id.clone());
    for _ in 0..2 {
        match handle.result().await {
            Err(Error::Ended { id: ended, state, message }) => {
                assert_eq!((ended, state, message.as_str()), (id.clone(), State::Dead, "it broke"));
            }
            other => panic!("{other:?}"),
        }
    }
    worker.stop().await;
}

pub(super) async fn a_job_without_result_says_so(store: &Store) {
    let world = store.world().await;
    let handle = world.client.push(Sum(vec![1])).await.unwrap();
    assert!(matches!(handle.result().await, Err(Error::NoResultKept(_))));
    let by_id = world.client.handle::<u64>(handle.id().clone());
    assert!(matches!(by_id.result().await, Err(Error::NoResultKept(_))), "its envelope says so");
    let worker = world.worker().register_blocking::<Sum>().exit_when_empty();
    assert_eq!(worker.run().await.unwrap().completed, 1);
    let by_id = world.client.handle::<u64>(handle.id().clone());
    assert!(matches!(by_id.result().await, Err(Error::Forgotten(_))));
    assert_eq!(by_id.state().await.unwrap(), None);
}

pub(super) async fn an_early_result_is_kept(store: &Store) {
    let world = store.world().await;
    let options = Push::new().result_ttl(TTL);
    let handle = world.client.push_with(Sum(vec![3, 4]), options).await.unwrap();
    let worker = world.worker().register_blocking::<Sum>().exit_when_empty();
    assert_eq!(worker.run().await.unwrap().completed, 1);
    assert_eq!(handle.result().await.unwrap(), 7, "it was there before anybody asked");
    assert!(world.is_empty().await);
}

/// A job that answers a text of so many bytes.
#[derive(Serialize, Deserialize)]
struct Answer(usize);

impl Job for Answer {
    const KIND: &'static str = "answer";
    type Output = String;

    async fn run(self, _: Context) -> Outcome<String> {
        Ok("x".repeat(self.0))
    }
}

/// The same on a thread.
#[derive(Serialize, Deserialize)]
struct Blocking(usize);

impl BlockingJob for Blocking {
    const KIND: &'static str = "blocking";
    type Output = String;

    fn run(self, _: &Context) -> Outcome<String> {
        Ok("x".repeat(self.0))
    }
}

/// A job whose output has no form in JSON.
#[derive(Serialize, Deserialize)]
struct Formless;

impl Job for Formless {
    const KIND: &'static str = "formless";
    type Output = BTreeMap<Vec<u8>, u8>;

    async fn run(self, _: Context) -> Outcome<Self::Output> {
        Ok([(vec![1], 1)].into())
    }
}

pub(super) async fn a_result_that_cannot_be_kept_ends_its_job_with_the_reason(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 1000).await;
    let kept = || Push::new().result_ttl(TTL);
    let client = &world.client;
    let small = client.push_with(Answer(900), kept()).await.unwrap();
    let unkept = client.push(Answer(5000)).await.unwrap();
    let too_large = [
        client.push_with(Answer(5000), kept()).await.unwrap().id().clone(),
        client.push_with(Blocking(5000), kept()).await.unwrap().id().clone(),
        world.push("raw", "1", kept()).await,
    ];
    let formless = client.push_with(Formless, kept()).await.unwrap();
    let raw = |_, _| async { Ok(json(&format!("\"{}\"", "x".repeat(5000)))) };
    let worker = world.worker().register::<Answer>().register_blocking::<Blocking>().register::<Formless>();
    let worker = Beside::start(worker.register_raw("raw", Retry::default(), raw));
    assert_eq!(small.result().await.unwrap().len(), 900);
    let reason = "its result takes 5002 bytes, more than the 1000 of max_payload";
    for id in too_large {
        let dead = world.until(&id, State::Dead).await;
        assert_eq!((dead.attempts, dead.history.reason.as_deref()), (1, Some(reason)), "{}", dead.kind);
        let waited = client.handle::<String>(id).result().await;
        assert!(matches!(&waited, Err(Error::Ended { message, .. }) if message == reason), "{waited:?}");
    }
    let dead = world.until(formless.id(), State::Dead).await;
    let said = dead.history.reason.unwrap_or_default();
    assert!(said.starts_with("its result cannot become JSON: "), "{said}");
    assert_eq!(
        worker.stop().await.completed,
        2,
        "{unkept:?} keeps no result, so that its size does not matter"
    );
}
