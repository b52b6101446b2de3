//! The namespaces that benches measure in: whatever else the store holds is neither touched nor measured, and nothing of
//! them is left.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use tokio::signal::unix::{SignalKind, signal};
use windlass::{Client, Config, Keys};
use windlass_conn::Connection;

use crate::command::ONE_SIGNAL;
use crate::output;

/// Keys that are removed at a time.
const REMOVED_PAGE: usize = 1_000;
/// How often it is looked for keys that were written while others were removed, and how long it is waited for such ones.
const LOOKS_MAX: usize = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A client of a namespace of this process.
pub async fn client(connection: &Connection) -> anyhow::Result<Client> {
    let config = Config { namespace: name(), ..Config::default() };
    Ok(Client::with_config(connection.clone(), config).await?)
}

/// Measures, and removes what is left of that, also when it fails or a signal ends it. `store` is how the user names it.
pub async fn measure<T>(
    connection: &Connection,
    store: &str,
    measuring: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let measured = tokio::select! {
        measured = measuring => measured,
        () = interrupted() => Err(anyhow!("interrupted")),
    };
    output::progress("");
    let removing = async {
        // What was measured may still be ending.
        for _ in 0..if measured.is_ok() { 1 } else { LOOKS_MAX } {
            if remove(connection).await? == 0 {
                break;
            }
            tokio::time::sleep(if measured.is_ok() { Duration::ZERO } else { LOOK_PAUSE }).await;
        }
        Ok(())
    };
    let removed: anyhow::Result<()> = tokio::select! {
        removed = removing => removed,
        () = interrupted_again() => Err(anyhow!("interrupted")),
    };
    if let Err(error) = removed {
        let pattern = Keys::new(&name())?.pattern();
        output::note(format_args!(
            "the namespace {} is left in {store} ({error}); it goes by `redis-cli --scan --pattern '{pattern}' | xargs \
             redis-cli unlink`",
            name()
        ));
    }
    measured
}

/// As [`interrupted`], when that has happened just now.
async fn interrupted_again() {
    tokio::time::sleep(ONE_SIGNAL).await;
    interrupted().await;
}

/// Waits for the user to end this.
async fn interrupted() {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
    let [mut terminate, mut interrupt] =
        kinds.map(|kind| signal(kind).expect("the system lets us listen to signals"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Removes everything of that namespace, and answers how many keys that were. Clients of it are not to be used any more:
/// they take its queues for known.
pub async fn remove(connection: &Connection) -> anyhow::Result<usize> {
    let pattern = Keys::new(&name())?.pattern();
    let mut removed = 0;
    let mut connection = connection.clone();
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(REMOVED_PAGE);
        let (next, found): (String, Vec<String>) = scan.query_async(&mut connection).await?;
        if !found.is_empty() {
            removed += found.len();
            let _: i64 = redis::cmd("UNLINK").arg(&found).query_async(&mut connection).await?;
        }
        if next == "0" {
            return Ok(removed);
        }
        cursor = next;
    }
}

/// Holds that no job is left, waiting or pending.
pub async fn ensure_drained(client: &Client) -> anyhow::Result<()> {
    for queue in client.inspector().queues().await? {
        let (enqueued, active, name) = (queue.enqueued, queue.active, queue.name);
        ensure!(enqueued + active == 0, "{enqueued} jobs are left in {name} and {active} are pending");
    }
    Ok(())
}

fn name() -> String {
    format!("bench-{}", std::process::id())
}
