//! The user's code around pushes and runs, and what jobs share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json as value;
use windlass::{
    Attempt, Error, Failure, Next, Outcome, Output, Push, PushMiddleware, Pushing, Retry, RunMiddleware,
    State,
};

use super::working::Sum;
use super::world::{Store, World, json};

type Log = Arc<Mutex<Vec<String>>>;

fn said(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Notes that it was called, before and after.
struct Noting(&'static str, Log);

impl RunMiddleware for Noting {
    async fn run(&self, mut attempt: Attempt, next: Next<'_>) -> Outcome<Output> {
        let Self(name, log) = self;
        let context = attempt.context();
        let what =
            format!("{name} {} {} {} {}", context.kind(), context.queue(), context.attempt(), attempt.args());
        log.lock().unwrap().push(what);
        let seen = attempt.context().meta().get("seen").and_then(|seen| seen.as_str()).unwrap_or_default();
        let seen = format!("{seen}{name}");
        attempt.set_meta("seen", seen);
        let outcome = next.run(attempt).await;
        let how = outcome.as_ref().map(|output| output.json().map(str::to_owned)).map_err(Failure::message);
        log.lock().unwrap().push(format!("{name} {how:?}"));
        outcome
    }
}

pub(super) async fn run_middleware_stands_around_a_job_in_order(store: &Store) {
    let world = store.world().await;
    let log = Log::default();
    world.push("k", "1", Push::new().result_ttl(Duration::from_secs(60))).await;
    let worker = world.worker().middleware(Noting("a", log.clone())).middleware(Noting("b", log.clone()));
    let worker = worker.register_raw("k", Retry::Never, |args, context| async move {
        assert_eq!(context.meta()["seen"], "ab");
        match args.get() {
            "1" => Ok(json("[1]")),
            _ => Err(Failure::kill("two is too many")),
        }
    });
    world.push("k", "2", Push::new().queue("q")).await;
    let summary = worker.queue("default").queue("q").concurrency(1).exit_when_empty().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (1, 1));
    let first = ["a k default 1 1", "b k default 1 1", r#"b Ok(Some("[1]"))"#, r#"a Ok(Some("[1]"))"#];
    let second = ["a k q 1 2", "b k q 1 2", r#"b Err("two is too many")"#, r#"a Err("two is too many")"#];
    assert_eq!(said(&log), [first, second].concat());
}

/// Does as the arguments say.
struct Told;

impl RunMiddleware for Told {
    async fn run(&self, mut attempt: Attempt, next: Next<'_>) -> Outcome<Output> {
        match attempt.args().get() {
            r#""answer""# => return Output::new(&"in its place"),
            r#""discard""# => return Err(Failure::discard("not today")),
            r#""panic""# => panic!("a middleware of the test"),
            r#""change""# => attempt.set_args(&vec![4, 5])?,
            r#""after""# => {
                next.run(attempt).await?;
                return Err(Failure::kill("what it did is not good enough"));
            }
            _ => {}
        }
        next.run(attempt).await
    }
}

pub(super) async fn run_middleware_may_change_and_replace_an_outcome(store: &Store) {
    let world = store.world().await;
    let keep = || Push::new().result_ttl(Duration::from_secs(60)).max_attempts(1);
    let push = async |args: &str| world.push("sum", &value!(args).to_string(), keep()).await;
    let answer = push("answer").await;
    let discard = push("discard").await;
    let panic = push("panic").await;
    let change = push("change").await;
    let after = world.push("k", r#""after""#, keep()).await;
    let worker = world
        .worker()
        .register_blocking::<Sum>()
        .register_raw("k", Retry::Never, |_, _| async { Ok(json("1")) });
    let summary = worker.middleware(Told).exit_when_empty().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (2, 3));
    let result = async |id| world.client.handle::<serde_json::Value>(id).result().await;
    assert_eq!(result(answer).await.unwrap(), "in its place");
    assert_eq!(result(change).await.unwrap(), 9, "a blocking job on its thread, with other arguments");
    let ended = async |id| match result(id).await {
        Err(Error::Ended { state, message, .. }) => (state, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(ended(discard).await, (State::Discarded, "not today".into()));
    assert_eq!(ended(panic).await, (State::Dead, "a middleware of the test".into()));
    assert_eq!(ended(after).await, (State::Dead, "what it did is not good enough".into()));
}

/// Changes, stops or spoils a push, as the arguments say.
struct Gate;

impl PushMiddleware for Gate {
    async fn push(&self, job: &mut Pushing) -> windlass::Result<()> {
        match job.args().get() {
            "0" => return Err(Error::Refused(format!("no {} in {}", job.kind(), job.queue()))),
            "1" => panic!("a middleware of the test"),
            "2" => job.set_queue("second"),
            "3" => job.set_delay(Duration::from_secs(60)),
            "4" => job.set_args(&"four")?,
            _ => {}
        }
        job.set_meta("tenant", "t1");
        Ok(())
    }
}

/// Sees what the one before it did.
struct After(Log);

impl PushMiddleware for After {
    async fn push(&self, job: &mut Pushing) -> windlass::Result<()> {
        let seen = format!("{} {} {:?}", job.queue(), job.args(), job.meta("tenant"));
        self.0.lock().unwrap().push(seen);
        Ok(())
    }
}

async fn waiting(world: &World) -> [u64; 3] {
    let inspector = world.client.inspector();
    let queue = async |name| inspector.queue(name).await.unwrap().enqueued;
    let scheduled = inspector.stats().await.unwrap().stored[0].1;
    [queue("default").await, queue("second").await, scheduled]
}

pub(super) async fn push_middleware_changes_and_stops_pushes(store: &Store) {
    let world = store.world().await;
    let log = Log::default();
    let client = world.client.clone().middleware(Gate).middleware(After(log.clone()));
    let push = async |args: &str| client.push_raw("k", &json(args), Push::new()).await;
    let refused = push("0").await.unwrap_err().to_string();
    assert_eq!(refused, "a middleware refused the push: no k in default");
    let panicked = push("1").await.unwrap_err().to_string();
    assert_eq!(panicked, "a middleware refused the push: it panicked: a middleware of the test");
    assert_eq!((waiting(&world).await, said(&log).len()), ([0, 0, 0], 0), "nothing was pushed");
    for args in ["2", "3", "4"] {
        push(args).await.unwrap();
    }
    assert_eq!(waiting(&world).await, [1, 1, 1]);
    let tenant = r#"Some(String("t1"))"#;
    let seen =
        [format!("second 2 {tenant}"), format!("default 3 {tenant}"), format!(r#"default "four" {tenant}"#)];
    assert_eq!(said(&log), seen);
    // In bulk each job is seen by itself, and goes where it was told to.
    let args: Vec<_> = (2..1203).map(|number: u32| json(&number.to_string())).collect();
    let pushed = client.push_many_raw("k", args.iter().map(|args| &**args), Push::new()).await.unwrap();
    assert_eq!((pushed, waiting(&world).await), (1201, [1200, 2, 2]));
    // One that is refused ends the push; whatever came before it may be there.
    let args = [json("7"), json("0")];
    assert!(client.push_many_raw("k", args.iter().map(|args| &**args), Push::new()).await.is_err());
    // The plain client is as it was, and a worker passes what its client sees on to its jobs.
    world.push("k", "0", Push::new()).await;
    let worker = windlass::Worker::new(&client).queue("second").register_raw("k", Retry::Never, {
        |_, context| async move {
            assert_eq!(context.meta()["tenant"], "t1");
            let refused = context.client().push_raw("k", &json("0"), Push::new()).await;
            assert!(matches!(refused, Err(Error::Refused(_))));
            Ok(json("1"))
        }
    });
    assert_eq!(worker.exit_when_empty().run().await.unwrap().completed, 2);
}

pub(super) async fn state_is_shared_by_its_type(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().max_attempts(1)).await;
    let counted: Arc<Mutex<u32>> = Arc::default();
    let worker = world.worker().state(counted.clone()).state("text").register_raw("k", Retry::Never, {
        |_, context| async move {
            *context.state::<Arc<Mutex<u32>>>()?.lock().unwrap() += 1;
            assert_eq!(*context.state::<&str>()?, "text");
            context.state::<Vec<u8>>()?;
            Ok(json("1"))
        }
    });
    worker.exit_when_empty().run().await.unwrap();
    assert_eq!(*counted.lock().unwrap(), 1);
    let reason = world.client.inspector().show(&id).await.unwrap().unwrap().history.reason.unwrap();
    assert!(reason.contains("no state of the type `alloc::vec::Vec<u8>`"), "{reason}");
}
