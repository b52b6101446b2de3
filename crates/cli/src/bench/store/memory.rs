//! How much memory a million items of a type take.

use super::server::{Log, Server};
use super::{Row, beside};
use crate::args::BenchStoreArgs;

const ITEMS: usize = 1_000_000;
/// The bytes of an item.
const ITEM_BYTES: usize = 200;
const BATCH: usize = 1_000;

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, command) in [("sorted set", "ZADD"), ("stream", "XADD"), ("list", "RPUSH")] {
        let figures = beside(args, Log::Absent, async |server| fill(server, command).await).await?;
        let what = format!("{what} of {ITEM_BYTES} bytes each");
        rows.push(Row::new("memory", what, "bytes per item", &figures));
    }
    Ok(rows)
}

async fn fill(server: &Server, command: &str) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    let before = server.info("used_memory").await?;
    for batch in 0..ITEMS / BATCH {
        let mut pipe = redis::pipe();
        for number in 0..BATCH {
            let number = batch * BATCH + number;
            let item = format!("{number:0>ITEM_BYTES$}");
            let call = pipe.cmd(command).arg("key");
            match command {
                "ZADD" => call.arg(number).arg(item).ignore(),
                "XADD" => call.arg("*").arg("j").arg(item).ignore(),
                _ => call.arg(item).ignore(),
            };
        }
        pipe.query_async::<()>(&mut connection).await?;
    }
    Ok((server.info("used_memory").await? - before) / ITEMS as f64)
}
