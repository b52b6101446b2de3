//! No dirty reads: whoever pushes a job that is there already hears so only once the first push is safe, since a power
//! cut could still erase it.

#[allow(dead_code, reason = "the disk can do more than is needed here")]
#[path = "../../db/tests/main/fault.rs"]
mod fault;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::{Client, Connection, Context, Job, Outcome, Push, Pushed, Unique};
use windlass_db::{Config, Database, Session, SystemClock};

use crate::fault::TestDisk;

/// How long a case may take, whatever it waits for.
const CASE_MAX: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Report(u32);

impl Job for Report {
    const KIND: &'static str = "report";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        Ok(())
    }
}

/// A way to push such that a second push of the number finds the first.
type Options = fn(u32) -> Push;

async fn push(client: &Client, number: u32, options: Options) -> (String, Option<Pushed>) {
    let handle = client.push_with(Report(number), options(number)).await.expect("the push is answered");
    (handle.id().to_string(), handle.pushed())
}

/// How many scripts the database ran; nobody waits for a disk to hear that.
fn scripts(viewer: &Session) -> u64 {
    let reply = format!("{:?}", viewer.call(&[b"INFO", b"commandstats"]));
    let (_, rest) = reply.split_once("cmdstat_evalsha:calls=").expect("INFO counts calls");
    rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).expect("a number")
}

async fn a_second_push_waits(native_scripts: bool, options: Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = TestDisk::default();
    let mut config = Config::default();
    config.engine.native_scripts = native_scripts;
    let opened = Database::open_with(folder.path(), config, SystemClock, disk.clone());
    let (database, _) = opened.expect("a database opens");
    let viewer = database.session("viewer");
    let client = async || Client::new(Connection::to(database.clone())).await.expect("the store is fit");
    let (one, two) = (client().await, client().await);
    // After these the clients know the queue and the store the scripts, so that a push is one call.
    push(&one, 1, options).await;
    push(&two, 2, options).await;
    disk.close_gate();
    let before = scripts(&viewer);
    let have_run = async |count: u64| {
        while scripts(&viewer) < before + count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let first = tokio::spawn(async move { push(&one, 7, options).await });
    have_run(1).await;
    let second = tokio::spawn(async move { push(&two, 7, options).await });
    have_run(2).await;
    // It ran and knows its answer; what would let it out has had its time.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!first.is_finished() && !second.is_finished(), "a push was answered before the sync");
    disk.open_gate();
    let (first, second) = (first.await.expect("no panic"), second.await.expect("no panic"));
    assert_eq!(second, (first.0, Some(Pushed::Kept)));
    assert_eq!(first.1, Some(Pushed::New));
}

fn run(native_scripts: bool, options: Options) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build();
    let case = async { tokio::time::timeout(CASE_MAX, a_second_push_waits(native_scripts, options)).await };
    runtime.expect("a runtime").block_on(case).expect("it ends in time");
}

fn unique(_: u32) -> Push {
    Push::new().unique(Unique::until_done())
}

fn keyed(number: u32) -> Push {
    Push::new().key(number.to_string())
}

#[test]
fn a_push_of_a_unique_job_is_answered_after_the_sync_of_the_first() {
    run(true, unique);
    run(false, unique);
}

#[test]
fn a_push_with_a_known_key_is_answered_after_the_sync_of_the_first() {
    run(true, keyed);
    run(false, keyed);
}
