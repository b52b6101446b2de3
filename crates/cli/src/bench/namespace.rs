//! The namespaces that benches measure in: whatever else the store holds is neither touched nor measured.

use anyhow::ensure;
use windlass::{Client, Config, Keys};
use windlass_conn::Connection;

/// Keys that are removed at a time.
const REMOVED_PAGE: usize = 1_000;

/// A client of a namespace of this process.
pub async fn client(connection: &Connection) -> anyhow::Result<Client> {
    let config = Config { namespace: name(), ..Config::default() };
    Ok(Client::with_config(connection.clone(), config).await?)
}

/// Removes everything of that namespace. Clients of it are not to be used any more: they take its queues for known.
pub async fn remove(connection: &Connection) -> anyhow::Result<()> {
    let pattern = Keys::new(&name())?.pattern();
    let mut connection = connection.clone();
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(REMOVED_PAGE);
        let (next, found): (String, Vec<String>) = scan.query_async(&mut connection).await?;
        if !found.is_empty() {
            let _: i64 = redis::cmd("UNLINK").arg(&found).query_async(&mut connection).await?;
        }
        if next == "0" {
            return Ok(());
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
