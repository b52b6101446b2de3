//! Leases that end, and those that do not, by a clock that the cases move. Workers die in them by making no further
//! call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use windlass::broker::Recovered;
use windlass::{Client, Event, Push, Retry, Worker};

use super::time::{MARGIN, almost};
use super::world::{Beside, Store, World, eventually, held, json};

// The last part of a worker's name is its concurrency.
const ONE: &str = "a.1.1.a.1";
const THREE: &str = "b.1.1.b.3";
const OTHER: &str = "c.1.1.c.3";

/// A lease that a worker renews about once a second, by its own timer: that one is waited for.
const RENEWED: Duration = Duration::from_secs(3);

pub(super) async fn a_lease_ends_with_its_time(store: &Store) {
    let world = store.world().await;
    let ids = world.push_numbers(1).await;
    let before = world.take(ONE, 1).await;
    almost(store, world.config.lease);
    assert_eq!(world.recover(&[]).await, Recovered::default(), "its lease still runs");
    store.advance(MARGIN);
    assert_eq!(world.recover(&[]).await, Recovered { suspects: 1, unstarted: 0, killed: 0 });
    let taken = world.take(OTHER, 1).await;
    assert_eq!((taken[0].job_id("default"), taken[0].count), (ids[0].clone(), 2));
    assert_eq!(world.finish(ONE, &before).await, 1, "the first holder's end does not count");
    assert_eq!(world.finish(OTHER, &taken).await, 0);
}

pub(super) async fn a_renewed_lease_runs_on(store: &Store) {
    let world = store.world().await;
    world.push_numbers(1).await;
    let taken = world.take(ONE, 1).await;
    for _ in 0..5 {
        almost(store, world.config.lease);
        assert!(world.broker.renew("default", ONE, &held(&taken)).await.unwrap().is_empty(), "lost");
        assert_eq!(world.recover(&[]).await, Recovered::default());
    }
    assert_eq!(world.finish(ONE, &taken).await, 0);
}

pub(super) async fn what_a_dead_worker_held_is_never_lost(store: &Store) {
    let world = store.world().await;
    let mut ids = world.push_numbers(5).await;
    assert_eq!(world.take(THREE, 5).await.len(), 5);
    almost(store, world.config.lease);
    assert_eq!(world.recover(&[]).await, Recovered::default(), "its lease still runs");
    store.advance(MARGIN);
    assert_eq!(world.recover(&[]).await, Recovered { suspects: 3, unstarted: 2, killed: 0 });
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let taken = world.take(OTHER, 5).await;
        assert!(!taken.is_empty(), "lost");
        seen.extend(taken.iter().map(|job| job.job_id("default")));
        assert_eq!(world.finish(OTHER, &taken).await, 0);
    }
    ids.sort();
    seen.sort();
    assert_eq!(seen, ids);
    assert_eq!(world.ask::<u64>("EXISTS", &[&world.broker.keys().gate("default")]).await, 0);
}

pub(super) async fn a_lost_fetch_reply_of_a_living_worker_comes_back(store: &Store) {
    let world = store.world().await;
    world.push_numbers(2).await;
    world.take(THREE, 2).await;
    store.advance(world.config.lease + MARGIN);
    // The worker beats, yet renews nothing: it never learned what it took.
    world.broker.beat(THREE, world.config.lease, &[("host", "h".into())]).await.unwrap();
    assert_eq!(world.recover(&[]).await, Recovered { suspects: 0, unstarted: 2, killed: 0 });
    let again = world.take(OTHER, 9).await;
    assert_eq!(again.iter().map(|job| job.count).collect::<Vec<_>>(), [1, 1]);
}

pub(super) async fn a_worker_resumes_what_a_dead_one_began(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "7", Push::new()).await;
    world.take(ONE, 1).await;
    store.advance(world.config.lease + MARGIN);
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let (sender, mut events) = mpsc::unbounded_channel();
    let listen = move |event: &Event| {
        if let Event::Resumed { .. } = event {
            sender.send(event.to_string()).ok();
        }
    };
    let worker = Beside::start(worker.on_event(listen));
    let run = runs.recv().await.unwrap();
    assert_eq!((run.id, run.attempt), (id, 2));
    assert_eq!(events.recv().await.unwrap(), "1 job resumed, attempt 2");
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.resumed), (1, 1));
    assert!(world.is_empty().await);
}

pub(super) async fn renewal_keeps_a_long_job(store: &Store) {
    let world = store.world_with(|config| config.lease = RENEWED).await;
    world.push_numbers(1).await;
    let (release, wait) = tokio::sync::watch::channel(false);
    let (worker, mut runs) = world.recorder(move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|released| *released).await?;
            Ok(())
        }
    });
    let (rival, mut rival_runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    let rival = Beside::start(rival);
    see_renewals(store, &world).await;
    release.send(true).unwrap();
    assert_eq!(worker.stop().await.completed, 1);
    rival.stop().await;
    assert!(rival_runs.try_recv().is_err(), "nobody else ran it");
}

pub(super) async fn a_job_that_blocks_its_runtime_keeps_its_lease(store: &Store) {
    let world = store.world_with(|config| config.lease = RENEWED).await;
    world.push_numbers(1).await;
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (tell, mut begun) = mpsc::unbounded_channel();
    let wait = Arc::new(Mutex::new(wait));
    // The user's runtime has one thread, and the job does not give it back before it has ended.
    let run = move |_, _| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            tell.send(()).ok();
            wait.lock().expect("nobody panics with it").recv()?;
            Ok(json("null"))
        }
    };
    let (other, config) = (store.clone(), world.config.clone());
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::with_config(other.connect().await, config).await.expect("the store is fit");
            let worker = Worker::new(&client).concurrency(1).register_raw("k", Retry::Never, run);
            worker.exit_when_empty().run().await.expect("the worker runs")
        })
    });
    begun.recv().await.unwrap();
    let (rival, mut rival_runs) = world.recorder(|_| async { Ok(()) });
    let rival = Beside::start(rival);
    see_renewals(store, &world).await;
    release.send(()).unwrap();
    let summary = tokio::task::spawn_blocking(|| blocked.join().expect("no panic")).await.unwrap();
    assert_eq!((summary.completed, summary.refused), (1, 0));
    rival.stop().await;
    assert!(rival_runs.try_recv().is_err(), "nobody else ran it");
}

/// Moves the time on by more than a lease, and sees that the one job is renewed meanwhile.
async fn see_renewals(store: &Store, world: &World) {
    let stream = world.broker.keys().stream("default");
    for _ in 0..4 {
        store.advance(RENEWED / 3);
        // A renewal takes the time back that the entry lay there.
        eventually(async || {
            let pending: Vec<(String, String, u64, u64)> =
                world.ask("XPENDING", &[&stream, "w", "-", "+", "1"]).await;
            (u128::from(pending[0].2) < (RENEWED / 3).as_millis()).then_some(())
        })
        .await;
    }
}
