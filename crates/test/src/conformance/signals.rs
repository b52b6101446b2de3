//! What a worker does on signals, seen from outside its process. Jobs that a stopped worker did not end are taken by
//! hand, at once: none waits for a lease, and none has an attempt counted.

use std::time::Duration;

use rustix::process::Signal;
use windlass::{Event, Push};

use super::process::{NEVER, Process, is_of_one_process};
use super::world::{Beside, Store, World, eventually, held};

/// Another worker, with room for everything.
const OTHER: &str = "s.1.1.s.9";

/// Signals within less are one.
const LATER: Duration = Duration::from_millis(150);

/// The event of a worker that ends.
const DRAINING: &str = "stopping: running jobs may end";

pub(super) async fn a_signal_drains(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let world = store.world().await;
        world.push("k", "0", Push::new()).await;
        world.push("k", "1", Push::new()).await;
        let mut process = Process::start(store, &world, NEVER, None);
        process.says("begun 0").await;
        process.signal(signal);
        process.says(DRAINING).await;
        process.let_one_end().await;
        let (status, said) = process.ended().await;
        assert!(status.success(), "{signal:?}: {status}");
        assert_eq!(said[0], "ended 0");
        assert!(!said.iter().any(|line| line.starts_with("begun")), "{signal:?}: {said:?}");
        assert!(said.last().unwrap().starts_with("1 completed, 0 failed, 0 resumed"), "{signal:?}: {said:?}");
        assert_eq!(take_all(&world).await, [("1".to_owned(), 1)]);
    }
}

pub(super) async fn what_does_not_end_in_time_is_given_back_uncounted(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    let world = store.world().await;
    world.push("k", "0", Push::new()).await;
    let mut process = Process::start(store, &world, Duration::from_millis(20), None);
    process.says("begun 0").await;
    process.signal(Signal::TERM);
    let (status, said) = process.ended().await;
    assert!(status.success(), "{status}");
    let told = "0 completed, 0 failed, 0 resumed, 1 given back";
    assert_eq!(said, [DRAINING, "stopped, 1 job given back", told]);
    assert_eq!(take_all(&world).await, [("0".to_owned(), 1)]);
    // Through a worker, too: what was given back is its first attempt.
    world.push("k", "1", Push::new()).await;
    let mut process = Process::start(store, &world, Duration::ZERO, None);
    process.says("begun 1").await;
    process.signal(Signal::TERM);
    process.ended().await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let run = runs.recv().await.unwrap();
    assert_eq!((run.args.as_str(), run.attempt), ("1", 1));
    assert_eq!(worker.stop().await.resumed, 0);
}

pub(super) async fn a_second_signal_forces(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
        let world = store.world().await;
        world.push("k", "0", Push::new()).await;
        let mut process = Process::start(store, &world, NEVER, None);
        process.says("begun 0").await;
        process.signal(first);
        process.says(DRAINING).await;
        // What comes sooner counts as the same signal.
        tokio::time::sleep(LATER).await;
        process.signal(second);
        let (status, said) = process.ended().await;
        assert!(status.success(), "{status}");
        assert_eq!(said[0], "stopped, 1 job given back");
        assert_eq!(take_all(&world).await, [("0".to_owned(), 1)]);
    }
}

pub(super) async fn a_signal_that_is_sent_twice_counts_once(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    let world = store.world().await;
    world.push("k", "0", Push::new()).await;
    let mut process = Process::start(store, &world, NEVER, None);
    process.says("begun 0").await;
    process.signal(Signal::TERM);
    process.signal(Signal::INT);
    process.says(DRAINING).await;
    process.let_one_end().await;
    let (status, said) = process.ended().await;
    assert!(status.success() && said.last().unwrap().starts_with("1 completed"), "{status} {said:?}");
}

pub(super) async fn a_quieted_process_stays_and_then_ends(store: &Store) {
    if is_of_one_process(store) {
        return;
    }
    let world = store.world().await;
    world.push("k", "0", Push::new()).await;
    let mut process = Process::start(store, &world, NEVER, None);
    process.says("begun 0").await;
    process.signal(Signal::TSTP);
    process.says("quiet: no more jobs are taken").await;
    world.push("k", "1", Push::new()).await;
    process.let_one_end().await;
    process.says("ended 0").await;
    // The store has been told of the end: a worker that took jobs would have looked for the next one.
    eventually(async || {
        let told: Option<u64> = world.ask("HGET", &[&world.broker.keys().stats(), "completed"]).await;
        (told == Some(1)).then_some(())
    })
    .await;
    assert_eq!(world.client.inspector().workers().await.unwrap().len(), 1, "it stays");
    process.signal(Signal::TERM);
    let (status, said) = process.ended().await;
    assert!(status.success(), "{status}");
    assert!(!said.iter().any(|line| line.starts_with("begun")), "{said:?}");
    assert!(said.last().unwrap().starts_with("1 completed"), "{said:?}");
    assert!(world.client.inspector().workers().await.unwrap().is_empty());
    assert_eq!(take_all(&world).await, [("1".to_owned(), 1)]);
}

pub(super) async fn the_pid_file_is_there_while_the_worker_runs(store: &Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.pid");
    let world = store.world().await;
    let (sender, started) = tokio::sync::oneshot::channel();
    let sender = std::sync::Mutex::new(Some(sender));
    let worker = world.recorder(|_| async { Ok(()) }).0.pid_file(&path).on_event(move |event| {
        if let (Event::Started { .. }, Some(sender)) = (event, sender.lock().unwrap().take()) {
            sender.send(()).unwrap();
        }
    });
    let worker = Beside::start(worker);
    started.await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    worker.stop().await;
    assert!(!path.exists(), "it says nothing any more");
    if is_of_one_process(store) {
        return;
    }
    world.push("k", "0", Push::new()).await;
    let mut process = Process::start(store, &world, Duration::ZERO, Some(&path));
    process.says("begun 0").await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", process.id()));
    process.signal(Signal::TERM);
    process.ended().await;
    assert!(!path.exists());
}

pub(super) async fn a_pid_file_that_cannot_be_written_is_an_error(store: &Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no-such-folder/worker.pid");
    let world = store.world().await;
    world.push("k", "0", Push::new()).await;
    let error = world.worker().pid_file(&path).run().await.unwrap_err();
    assert!(matches!(error, windlass::Error::File(_)), "{error:?}");
    assert!(error.to_string().contains(&format!("the pid file {}", path.display())), "{error}");
    assert!(world.client.inspector().workers().await.unwrap().is_empty(), "it did not begin");
    assert_eq!(take_all(&world).await, [("0".to_owned(), 1)]);
}

/// Takes and ends everything that is ready; answers the arguments of each job and which attempt it was.
async fn take_all(world: &World) -> Vec<(String, u32)> {
    let taken = world.take(OTHER, 9).await;
    let seen = taken.iter().map(|job| {
        let envelope = windlass::Envelope::parse(&job.envelope).unwrap();
        (envelope.args.get().to_owned(), job.count)
    });
    let seen = seen.collect();
    assert!(!held(&taken).is_empty());
    assert_eq!(world.finish(OTHER, &taken).await, 0);
    seen
}
