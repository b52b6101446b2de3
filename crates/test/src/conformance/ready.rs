//! Whether a worker is ready, asked by a probe and told to systemd.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::{Error, Event, Push, Systemd};

use super::world::{Beside, Store};

pub(super) async fn a_worker_is_ready_while_it_takes_jobs(store: &Store) {
    let world = store.world().await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let control = worker.control();
    assert!(!control.is_ready().await, "it has not begun");
    let worker = Beside::start(worker);
    control.started().await;
    assert!(control.is_ready().await);
    let id = world.push("k", "1", Push::new()).await;
    assert_eq!(runs.recv().await.unwrap().id, id);
    control.quiet();
    assert!(!control.is_ready().await, "it takes nothing more");
    worker.stop().await;
    assert!(!control.is_ready().await);
    control.started().await;
}

pub(super) async fn systemd_hears_of_start_life_and_stop(store: &Store) {
    let world = store.world().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let worker = world.recorder(|_| async { Ok(()) }).0;
    let control = worker.control();
    let worker = worker.systemd(Systemd::new(&path).watchdog(Duration::from_millis(20)));
    let worker = Beside::start(worker);
    let listening = tokio::task::spawn_blocking(move || {
        let hear = || {
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let mut heard: Vec<_> = (0..3).map(|_| hear()).collect();
        control.stop();
        while heard.last().unwrap() != "STOPPING=1" {
            heard.push(hear());
        }
        heard
    });
    let heard = listening.await.unwrap();
    assert_eq!(heard[..3], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    worker.ended().await;
}

pub(super) async fn a_worker_whose_process_is_too_large_ends_its_jobs_and_stops(store: &Store) {
    let world = store.world().await;
    world.push_numbers(1).await;
    let told: Arc<Mutex<Option<(u64, u64)>>> = Arc::default();
    let note = told.clone();
    let (worker, mut ran) = world.recorder(|_| async { Ok(()) });
    let worker = worker.memory_max(1).on_event(move |event| {
        if let Event::Outgrown { bytes, limit } = event {
            *note.lock().unwrap() = Some((*bytes, *limit));
        }
    });
    let summary = worker.run().await.unwrap();
    let bytes = summary.outgrown.expect("no process is so small");
    assert_eq!(*told.lock().unwrap(), Some((bytes, 1)));
    assert_eq!(summary.exit_code(), std::process::ExitCode::from(windlass::EXIT_OUTGROWN));
    // It had begun the job and ended it, or the next one does.
    let (worker, mut again) = world.recorder(|_| async { Ok(()) });
    let summary = worker.memory_max(u64::MAX).exit_when_empty().run().await.unwrap();
    assert_eq!((summary.outgrown, summary.exit_code()), (None, std::process::ExitCode::SUCCESS));
    assert!(ran.try_recv().is_ok() != again.try_recv().is_ok());
    let Err(Error::Config(problems)) = world.worker().memory_max(0).run().await else {
        panic!("no job would run")
    };
    assert_eq!(problems, ["memory_max is 0 bytes, so that no job would run; name a size"]);
}
