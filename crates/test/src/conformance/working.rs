//! Workers as a whole: what they take, run, wait for and give back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json as value;
use tokio::sync::Semaphore;
use windlass::{BlockingJob, Chain, Client, Context, Error, Failure, Outcome, Push, Retry, State};

use super::act::{Act, job};
use super::world::{Beside, Run, Store, World, eventually, json};

/// Adds numbers on a thread.
pub struct Sum(pub Vec<u64>);

impl serde::Serialize for Sum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Sum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Sum)
    }
}

impl BlockingJob for Sum {
    const KIND: &'static str = "sum";
    type Output = u64;

    fn run(self, context: &Context) -> Outcome<u64> {
        if std::thread::current().name() != Some("windlass-job") || context.is_cancelled() {
            return Err(Failure::kill("not on a thread of the worker's own"));
        }
        Ok(self.0.iter().sum())
    }
}

/// A worker whose jobs wait for permits of the semaphore, and what it began.
fn held_back(world: &World) -> (windlass::Worker, tokio::sync::mpsc::UnboundedReceiver<Run>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (worker, runs) = world.recorder({
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        }
    });
    (worker, runs, gate)
}

pub(super) async fn identical_payloads_both_run(store: &Store) {
    let world = store.world().await;
    let first = world.push("k", "1", Push::new()).await;
    let second = world.push("k", "1", Push::new()).await;
    assert_ne!(first, second);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    assert_eq!(worker.exit_when_empty().run().await.unwrap().completed, 2);
    let seen = HashSet::from([runs.recv().await.unwrap().id, runs.recv().await.unwrap().id]);
    assert_eq!(seen, HashSet::from([first, second]));
}

pub(super) async fn many_jobs_all_run(store: &Store) {
    let world = store.world().await;
    let args: Vec<_> = (0..1234).map(|number| json(&number.to_string())).collect();
    let pushed = world.client.push_many_raw("k", args.iter().map(|args| &**args), Push::new()).await.unwrap();
    assert_eq!(pushed, 1234);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let summary = worker.concurrency(20).exit_when_empty().run().await.unwrap();
    assert_eq!(summary.completed, 1234);
    let mut seen = HashSet::new();
    while let Some(run) = runs.recv().await {
        assert!(seen.insert(run.args), "run twice");
    }
    assert_eq!(seen.len(), 1234);
    assert!(world.is_empty().await);
}

pub(super) async fn concurrent_pushes_each_get_their_own_id(store: &Store) {
    let world = store.world().await;
    let pushes: Vec<_> = (0..200)
        .map(|number: u32| {
            let client = world.client.clone();
            tokio::spawn(async move {
                let queue = if number.is_multiple_of(3) { "third" } else { "default" };
                let args = json(&number.to_string());
                let job = client.push_raw("k", &args, Push::new().queue(queue)).await.unwrap();
                (job.id().clone(), number.to_string())
            })
        })
        .collect();
    for push in pushes {
        let (id, args) = push.await.unwrap();
        let found = world.client.inspector().show(&id).await.unwrap().unwrap();
        assert_eq!(windlass::Envelope::parse(&found.envelope).unwrap().args.get(), args);
    }
    let keys = world.broker.keys();
    let (first, second): (u64, u64) = (
        world.ask("XLEN", &[&keys.stream("third")]).await,
        world.ask("XLEN", &[&keys.stream("default")]).await,
    );
    assert_eq!((first, second), (67, 133));
}

pub(super) async fn an_idle_worker_is_woken(store: &Store) {
    let world = store.world().await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    for _ in 0..20 {
        let started = std::time::Instant::now();
        let id = world.push("k", "1", Push::new()).await;
        assert_eq!(runs.recv().await.unwrap().id, id);
        assert!(started.elapsed() < Duration::from_secs(4), "it was found by chance, not woken");
    }
    assert_eq!(worker.stop().await.completed, 20);
}

pub(super) async fn no_more_is_taken_than_can_run(store: &Store) {
    let world = store.world().await;
    world.push_numbers(30).await;
    let (worker, mut runs, gate) = held_back(&world);
    let worker = Beside::start(worker);
    let active = async || world.client.inspector().queue("default").await.unwrap().active;
    let keys = world.broker.keys();
    for done in 0..10 {
        runs.recv().await.unwrap();
        // What has ended is pending until the store has been told; it takes no room.
        eventually(async || {
            let told: Option<u64> = world.ask("HGET", &[&keys.stats(), "completed"]).await;
            (told.unwrap_or(0) == done).then_some(())
        })
        .await;
        assert!(active().await <= 4, "two slots and as many at most ahead, after {done}");
        gate.add_permits(1);
    }
    gate.add_permits(30);
    eventually(async || (active().await == 0 && world.is_empty().await).then_some(())).await;
    assert_eq!(worker.stop().await.completed, 30);
}

pub(super) async fn running_jobs_may_end_when_the_worker_stops(store: &Store) {
    let world = store.world().await;
    world.push_numbers(5).await;
    let (worker, mut runs, gate) = held_back(&world);
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    runs.recv().await.unwrap();
    worker.control().stop();
    gate.add_permits(2);
    assert_eq!(worker.ended().await.completed, 2);
    assert!(runs.recv().await.is_none(), "nothing more was begun");
    let queue = world.client.inspector().queue("default").await.unwrap();
    assert_eq!((queue.enqueued, queue.active), (3, 0));
    assert!(world.client.inspector().workers().await.unwrap().is_empty());
}

pub(super) async fn a_forced_stop_gives_jobs_back_at_once(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(3).await;
    let (worker, mut runs, _gate) = held_back(&world);
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    runs.recv().await.unwrap();
    worker.control().stop();
    worker.control().force();
    let summary = worker.ended().await;
    assert_eq!((summary.completed, summary.released), (0, 2));
    let again = world.take("n.1.1.n.9", 9).await;
    let seen: Vec<_> = again.iter().map(|job| (job.job_id("default"), job.count)).collect();
    assert_eq!(seen, ids.into_iter().map(|id| (id, 1)).collect::<Vec<_>>());
}

pub(super) async fn a_quiet_worker_takes_nothing(store: &Store) {
    let world = store.world().await;
    world.push_numbers(2).await;
    let (worker, mut runs, gate) = held_back(&world);
    let worker = Beside::start(worker.concurrency(1));
    runs.recv().await.unwrap();
    worker.control().quiet();
    gate.add_permits(5);
    eventually(async || (world.client.inspector().queue("default").await.unwrap().active == 0).then_some(()))
        .await;
    assert!(runs.try_recv().is_err());
    let summary = worker.stop().await;
    assert_eq!(summary.completed, 1);
    assert_eq!(world.client.inspector().queue("default").await.unwrap().enqueued, 1);
}

pub(super) async fn blocking_jobs_run_on_their_own_threads(store: &Store) {
    let world = store.world().await;
    let jobs = (0..50).map(|number| Sum(vec![number, 1]));
    assert_eq!(world.client.push_many(jobs).await.unwrap(), 50);
    let worker = world.worker().register_blocking::<Sum>().exit_when_empty();
    assert_eq!(worker.run().await.unwrap().completed, 50);
    assert!(world.is_empty().await);
}

pub(super) async fn delayed_jobs_run_and_leave_nothing_behind(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().delay(Duration::from_millis(30)).queue("default")).await;
    assert_eq!(world.client.handle::<()>(id.clone()).state().await.unwrap(), Some(State::Scheduled));
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap(), Run { id, attempt: 1, args: "1".into() });
    assert_eq!(worker.stop().await.completed, 1);
    assert!(world.is_empty().await);
}

pub(super) async fn names_and_sizes_are_checked(store: &Store) {
    let world = store.world_with(|config| config.max_payload = 100).await;
    let long = "x".repeat(65);
    for wrong in ["", "a b", "a/b", "ä", "{a}", &long] {
        let queue = world.client.push_raw("k", &json("1"), Push::new().queue(wrong)).await;
        assert!(matches!(queue, Err(Error::Name { what: "queue", .. })), "{wrong}");
        let kind = world.client.push_raw(wrong, &json("1"), Push::new()).await;
        assert!(matches!(kind, Err(Error::Name { what: "kind", .. })), "{wrong}");
        let worker = world.worker().queue(wrong).run().await;
        assert!(matches!(worker, Err(Error::Config(_))), "{wrong}");
    }
    let large = value!("x".repeat(100)).to_string();
    match world.client.push_raw("k", &json(&large), Push::new()).await {
        Err(error @ Error::Payload { .. }) => {
            let text = "the job `k` takes 128 bytes, more than the 100 of max_payload";
            assert_eq!(error.to_string(), text);
        }
        other => panic!("{other:?}"),
    }
    let config = windlass::Config { namespace: "a}".into(), ..windlass::Config::default() };
    assert!(matches!(Client::with_config(store.connect().await, config).await, Err(Error::Config(_))));
    assert!(world.is_empty().await);
}

pub(super) async fn the_inspector_lists_every_state(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let later = world.push("k", "1", Push::new().delay(Duration::from_secs(60))).await;
    let ids = world.push_numbers(5).await;
    let taken = world.take("i.1.1.i.9", 2).await;
    let list = async |state, from: Option<String>| {
        inspector.list(state, Some("default"), from.as_deref(), 2).await.unwrap()
    };
    let mut enqueued = Vec::new();
    let mut from = None;
    loop {
        let page = list(State::Enqueued, from).await;
        enqueued.extend(page.jobs.into_iter().map(|job| job.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(enqueued, ids[2..]);
    let active = list(State::Active, None).await;
    let active: Vec<_> = active.jobs.into_iter().map(|job| (job.id, job.worker, job.attempts)).collect();
    let by = |id: usize| (ids[id].clone(), Some("i.1.1.i.9".to_owned()), 1);
    assert_eq!(active, [by(0), by(1)]);
    let scheduled = list(State::Scheduled, None).await;
    assert_eq!((scheduled.jobs[0].id.clone(), scheduled.jobs[0].kind.as_str()), (later, "k"));
    assert!(scheduled.jobs[0].at_ms.is_some());
    let (worker, _runs) = world.recorder(|_| async { Err(Failure::kill("no")) });
    world.finish("i.1.1.i.9", &taken).await;
    assert_eq!(
        worker
            .register_raw("other", Retry::Never, |_, _| async { Ok(json("1")) })
            .exit_when_empty()
            .run()
            .await
            .unwrap()
            .failed,
        3
    );
    assert_eq!(list(State::Dead, None).await.jobs.len(), 2);
    let stats = inspector.stats().await.unwrap();
    assert!(stats.stored.contains(&(State::Dead, 3)), "{stats:?}");
    assert!(
        stats.counters.contains(&("dead".into(), 3)) && stats.counters.contains(&("completed".into(), 2))
    );
    assert!(inspector.list(State::Completed, None, None, 2).await.is_err());
    let queues = inspector.queues().await.unwrap();
    assert_eq!((queues.len(), queues[0].name.as_str(), queues[0].enqueued), (1, "default", 0));
}

pub(super) async fn what_is_nested_too_deeply_is_refused(store: &Store) {
    let world = store.world().await;
    let nested = |depth: usize| json(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let push = async |depth, options| world.client.push_raw("k", &nested(depth), options).await;
    let refused = push(windlass::DEPTH_MAX, Push::new()).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "the args of the push are nested deeper than 500 levels");
    // The scripts read what is just within the bound.
    let fits = push(windlass::DEPTH_MAX - 1, Push::new().priority(3)).await.unwrap();
    let inspector = world.client.inspector();
    let refused = inspector.edit(fits.id(), &nested(windlass::DEPTH_MAX)).await;
    assert!(matches!(refused, Err(Error::Push { option: "args", .. })));
    inspector.cancel(fits.id()).await.unwrap();
    assert_eq!(inspector.queue("default").await.unwrap().enqueued, 0, "no phantom is left");
    // The same of jobs that follow others, which the scripts push later.
    let deep = || Act((0..windlass::DEPTH_MAX).fold(value!([]), |inner, _| value!([inner])));
    let chains = [
        Chain::new().then(deep()).then(job("a")),
        Chain::new().then(job("a")).then(deep()),
        Chain::new().then(job("a")).catch(deep()),
    ];
    let is_refused = |refused: Error| matches!(refused, Error::Push { option: "args", .. });
    for chain in chains {
        assert!(is_refused(world.client.push_chain(chain).await.map(drop).unwrap_err()));
    }
    let called = world.client.batch().on_complete(deep()).open().await;
    assert!(is_refused(called.map(drop).unwrap_err()));
    // A result is read, too, by whoever follows.
    let id = world.push("deep", "1", Push::new().result_ttl(Duration::from_secs(60))).await;
    let answer = nested(windlass::DEPTH_MAX + 1);
    let run = move |_, _| {
        let answer = answer.clone();
        async { Ok(answer) }
    };
    let worker = Beside::start(world.worker().register_raw("deep", Retry::default(), run));
    let reason = world.until(&id, State::Dead).await.history.reason;
    assert_eq!(reason.as_deref(), Some("its result is nested deeper than 500 levels"));
    worker.stop().await;
}
