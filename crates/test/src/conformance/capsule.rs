//! Several pools in one worker, and pools that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use windlass::broker::Request;
use windlass::{Capsule, Error, Push, Retry, Worker};

use super::world::{Beside, Store, World, eventually, json};

/// A worker without pools yet, whose jobs of the kind `k` wait for a permit; and how many of them run.
fn held_back(world: &World) -> (Worker, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, running) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, counted) = (gate.clone(), running.clone());
    let worker = Worker::new(&world.client).register_raw("k", Retry::Never, move |_, _| {
        let (gate, running) = (held.clone(), counted.clone());
        async move {
            running.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await?.forget();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(json("1"))
        }
    });
    (worker, gate, running)
}

pub(super) async fn a_capsule_has_slots_of_its_own(store: &Store) {
    let world = store.world().await;
    for _ in 0..5 {
        world.push("k", "1", Push::new().queue("slow")).await;
    }
    let (worker, gate, running) = held_back(&world);
    let slow = Capsule::new("slow").concurrency(2);
    let quick = Capsule::new("quick").queue("default").concurrency(3);
    let worker = worker
        .capsule(slow)
        .capsule(quick)
        .register_raw("quick", Retry::Never, |_, _| async { Ok(json("2")) });
    let worker = Beside::start(worker);
    eventually(async || (running.load(Ordering::SeqCst) == 2).then_some(())).await;
    let kept = Push::new().result_ttl(Duration::from_secs(60));
    let id = world.push("quick", "1", kept).await;
    assert_eq!(world.client.handle::<u32>(id).result().await.unwrap(), 2, "nobody held it up");
    assert_eq!(running.load(Ordering::SeqCst), 2, "no more than its own concurrency");
    let workers = world.client.inspector().workers().await.unwrap();
    let field = |name: &str| {
        let of =
            |worker: &windlass::WorkerInfo| worker.fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let mut all: Vec<_> = workers.iter().map(of).collect();
        all.sort();
        all
    };
    assert_eq!(
        (field("capsule"), field("concurrency")),
        (vec!["quick".into(), "slow".into()], vec!["2".into(), "3".into()])
    );
    for worker in &workers {
        let concurrency = &worker.fields.iter().find(|(name, _)| name == "concurrency").unwrap().1;
        assert!(
            worker.name.ends_with(&format!(".{concurrency}")),
            "the rule of suspects holds: {}",
            worker.name
        );
    }
    // What a stopped worker did not end goes back from every pool.
    worker.control().stop();
    worker.control().force();
    drop(gate);
    assert_eq!(worker.ended().await.completed, 1);
    let queue = world.client.inspector().queue("slow").await.unwrap();
    assert_eq!((queue.enqueued, queue.active), (5, 0));
    assert!(world.client.inspector().workers().await.unwrap().is_empty());
}

pub(super) async fn pools_that_feed_each_other_stop_when_all_are_empty(store: &Store) {
    let world = store.world().await;
    for _ in 0..3 {
        world.push("k", "20", Push::new().queue("a")).await;
    }
    let worker = Worker::new(&world.client).register_raw("k", Retry::Never, |args, context| async move {
        let left: u32 = args.get().parse()?;
        let other = if context.queue() == "a" { "b" } else { "a" };
        if left > 0 {
            let push = Push::new().queue(other);
            context.client().push_raw("k", &json(&(left - 1).to_string()), push).await?;
        }
        Ok(args)
    });
    let worker = worker.capsule(Capsule::new("a").concurrency(2)).capsule(Capsule::new("b").concurrency(1));
    assert_eq!(worker.exit_when_empty().run().await.unwrap().completed, 3 * 21);
}

pub(super) async fn an_elastic_pool_grows_and_keeps_its_floor(store: &Store) {
    // A short lease, so that the pool is looked at often.
    let world = store.world_with(|config| config.lease = Duration::from_millis(300)).await;
    let (worker, gate, running) = held_back(&world);
    let worker = Beside::start(worker.elastic(1, 8));
    for _ in 0..20 {
        world.push("k", "1", Push::new()).await;
    }
    eventually(async || (running.load(Ordering::SeqCst) == 8).then_some(())).await;
    gate.add_permits(20);
    eventually(async || (running.load(Ordering::SeqCst) == 0 && world.is_empty().await).then_some(())).await;
    // However long it was idle, it still takes.
    let beats =
        async || world.client.inspector().workers().await.unwrap().first().map(|worker| worker.beat_ms);
    for _ in 0..5 {
        let before = beats().await;
        eventually(async || (beats().await != before).then_some(())).await;
    }
    gate.add_permits(1);
    world.push("k", "1", Push::new()).await;
    eventually(async || world.is_empty().await.then_some(())).await;
    assert_eq!(worker.stop().await.completed, 21);
}

pub(super) async fn the_capsules_of_a_process_run_one_suspect_at_a_time(store: &Store) {
    let world = store.world().await;
    // A job in each queue was begun by a worker that died.
    for queue in ["a", "b"] {
        world.push("k", "1", Push::new().queue(queue)).await;
        let request = Request { consumer: "c.1.1.c.2", count: 1, may_suspect: true, woken: None };
        assert_eq!(world.broker.fetch(&[queue], request).await.unwrap().len(), 1);
        let dead = ["c.1.1.c.2".to_owned()];
        assert_eq!(world.broker.recover(queue, &world.config, &dead).await.unwrap().suspects, 1);
    }
    let (worker, gate, running) = held_back(&world);
    let worker = worker.capsule(Capsule::new("a").concurrency(2)).capsule(Capsule::new("b").concurrency(2));
    let quick = |_, _| async { Ok(json("2")) };
    let worker = Beside::start(worker.register_raw("quick", Retry::Never, quick));
    eventually(async || (running.load(Ordering::SeqCst) == 1).then_some(())).await;
    // Each pool takes a job that no process died of; a suspect would have gone first.
    for queue in ["a", "b"] {
        let kept = Push::new().result_ttl(Duration::from_secs(60)).queue(queue);
        let id = world.push("quick", "1", kept).await;
        assert_eq!(world.client.handle::<u32>(id).result().await.unwrap(), 2);
    }
    assert_eq!(running.load(Ordering::SeqCst), 1, "one crash would blame one job");
    for done in [3, 4] {
        gate.add_permits(1);
        eventually(async || {
            let told: Option<u64> = world.ask("HGET", &[&world.broker.keys().stats(), "completed"]).await;
            (told == Some(done)).then_some(())
        })
        .await;
    }
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.resumed), (4, 2));
}

pub(super) async fn settings_of_capsules_are_checked(store: &Store) {
    let world = store.world().await;
    let worker = || Worker::new(&world.client).register_raw("k", Retry::Never, |args, _| async { Ok(args) });
    let problem = async |worker: Worker| match worker.exit_when_empty().run().await {
        Err(Error::Config(problems)) => problems.join("; "),
        other => panic!("{other:?}"),
    };
    let twice = worker().register_raw("k", Retry::Never, |args, _| async { Ok(args) });
    assert_eq!(problem(twice).await, "the kind `k` is registered twice");
    let wrong = worker().elastic(3, 2).capsule(Capsule::new("a b").queue("c").concurrency(0));
    let problems = problem(wrong).await;
    assert!(problems.contains("an elastic pool has 3 to 2 jobs"), "{problems}");
    assert!(problems.contains("the capsule `a b` is not 1 to 64 characters"), "{problems}");
    assert!(problems.contains("concurrency is 0, not 1 to 10000"), "{problems}");
    let same = worker().capsule(Capsule::new("a")).capsule(Capsule::new("a"));
    assert_eq!(problem(same).await, "there are two capsules `a`, give each its own name");
    assert!(problem(worker().record_events(0)).await.contains("record_events keeps 0 events"));
    assert!(world.client.inspector().workers().await.unwrap().is_empty(), "none of them began");
}
