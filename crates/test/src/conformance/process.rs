//! A worker in a process of its own, so that it can be killed as only a process can.
//!
//! The suite's binary starts itself again for it: its `main` calls [`be_a_worker_if_asked`] first.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use windlass::{Client, Config, Connection, Push, Retry, Worker};

use super::world::{Beside, Store, World};

/// Names the store to the process that is to be a worker.
const STORE: &str = "WINDLASS_TEST_STORE";

/// Names the namespace to it.
const NAMESPACE: &str = "WINDLASS_TEST_NAMESPACE";

/// Is a worker whose jobs never end, when the environment asks for that.
pub async fn be_a_worker_if_asked() {
    let (Ok(url), Ok(namespace)) = (std::env::var(STORE), std::env::var(NAMESPACE)) else { return };
    let connection = Connection::open(&url).await.expect("the store answers");
    let config = Config { namespace, ..Config::default() };
    let client = Client::with_config(connection, config).await.expect("the store is fit");
    let worker = Worker::new(&client).concurrency(1).register_raw("k", Retry::Never, |_, _| async {
        use std::io::Write;
        // The line tells the case that the job has begun.
        writeln!(std::io::stdout(), "begun")?;
        std::io::stdout().flush()?;
        std::future::pending().await
    });
    worker.run().await.expect("the worker runs until it is killed");
}

/// Starts such a worker, waits until it has begun a job, and kills it.
async fn begin_and_die(store: &Store, world: &World) {
    let program = std::env::current_exe().expect("the suite is a program");
    let mut command = tokio::process::Command::new(program);
    command.env(STORE, store.url()).env(NAMESPACE, &world.config.namespace).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().expect("the suite starts itself");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    assert_eq!(lines.next_line().await.expect("it can be read").as_deref(), Some("begun"));
    child.kill().await.expect("it can be killed");
}

pub(super) async fn a_killed_process_loses_nothing(store: &Store) {
    if store.url().starts_with("memory:") {
        // Nothing outlives its process there, so there is nothing to show.
        return;
    }
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let waiting = world.push("k", "2", Push::new()).await;
    begin_and_die(store, &world).await;
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let started = Instant::now();
    let worker = Beside::start(worker);
    let mut seen = [runs.recv().await.unwrap(), runs.recv().await.unwrap()].map(|run| (run.id, run.attempt));
    seen.sort();
    assert_eq!(seen, [(id, 2), (waiting, 1)]);
    if cfg!(target_os = "linux") {
        assert!(started.elapsed() < Duration::from_secs(15), "its death was known; the lease need not end");
    }
    assert_eq!(worker.stop().await.completed, 2);
    assert!(world.is_empty().await);
}
