//! For how long a server holds everybody up while it frees something huge, ends a million keys or grows a huge hash.
//!
//! Ours tells the longest call and the longest tick in INFO; of the others it is the longest event of its latency
//! monitor, in whole milliseconds, with 0 for none of at least one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use redis::aio::MultiplexedConnection;

use super::server::{Kind, Log, Server};
use super::{Row, by_server, in_turns};
use crate::args::BenchStoreArgs;

const ITEMS: usize = 1_000_000;
const BATCH: usize = 1_000;
/// How long the keys that end together are written at most.
const FILL_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether the work is over.
const LOOK: Duration = Duration::from_millis(20);

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let free = in_turns(args, Log::Absent, free_set).await?;
    let empty = in_turns(args, Log::Absent, empty_database).await?;
    let end = in_turns(args, Log::Absent, end_keys).await?;
    let grow = in_turns(args, Log::Absent, grow_hash).await?;
    // The least of the longest holds: a thread that the system takes off its processor meanwhile shows a longer one, and
    // nothing shows a shorter one.
    let least = |figures: Vec<f64>| figures.into_iter().fold(f64::INFINITY, f64::min);
    let row = |what, figures| {
        let figures: Vec<f64> = by_server(args, figures).into_iter().map(least).collect();
        Row::new("stall", what, "longest hold, ms", &figures)
    };
    Ok(vec![
        row("free a set of a million", free),
        row("empty a database of a million keys that end", empty),
        row("end a million keys", end),
        row("grow a hash to a million", grow),
    ])
}

async fn empty_database(server: &Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    fill(&mut connection, |pipe, number| {
        pipe.cmd("SET").arg(format!("key:{number}")).arg("value").arg("EX").arg(3600).ignore();
    })
    .await?;
    watch(server, &mut connection).await?;
    redis::cmd("FLUSHALL").arg("ASYNC").query_async::<()>(&mut connection).await?;
    longest_hold(server, &mut connection).await
}

async fn free_set(server: &Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    fill(&mut connection, |pipe, number| {
        pipe.cmd("SADD").arg("set").arg(format!("member:{number}")).ignore();
    })
    .await?;
    watch(server, &mut connection).await?;
    redis::cmd("DEL").arg("set").query_async::<()>(&mut connection).await?;
    longest_hold(server, &mut connection).await
}

async fn end_keys(server: &Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + FILL_MAX;
    let end_ms = u64::try_from(end.as_millis())?;
    fill(&mut connection, |pipe, number| {
        pipe.cmd("SET").arg(format!("key:{number}")).arg("value").arg("PXAT").arg(end_ms).ignore();
    })
    .await?;
    let keys: usize = redis::cmd("DBSIZE").query_async(&mut connection).await?;
    ensure!(keys == ITEMS, "the keys ended before all of them were written");
    watch(server, &mut connection).await?;
    longest_hold(server, &mut connection).await
}

async fn grow_hash(server: &Server) -> anyhow::Result<f64> {
    let mut connection = server.connection().await?;
    watch(server, &mut connection).await?;
    fill(&mut connection, |pipe, number| {
        pipe.cmd("HSET").arg("hash").arg(format!("field:{number}")).arg("value").ignore();
    })
    .await?;
    let hold = hold_ms(server, &mut connection).await?;
    redis::cmd("UNLINK").arg("hash").query_async::<()>(&mut connection).await?;
    Ok(hold)
}

/// Sends a command for each of the items.
async fn fill(
    connection: &mut MultiplexedConnection,
    add: impl Fn(&mut redis::Pipeline, usize),
) -> anyhow::Result<()> {
    for start in (0..ITEMS).step_by(BATCH) {
        let mut pipe = redis::pipe();
        (start..start + BATCH).for_each(|number| add(&mut pipe, number));
        pipe.query_async::<()>(connection).await?;
    }
    Ok(())
}

/// Has the server take notice of holds from here on.
async fn watch(server: &Server, connection: &mut MultiplexedConnection) -> anyhow::Result<()> {
    if server.kind() != Kind::Windlass {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("latency-monitor-threshold")
            .arg(1)
            .exec_async(connection)
            .await?;
        redis::cmd("LATENCY").arg("RESET").exec_async(connection).await?;
    }
    Ok(redis::cmd("CONFIG").arg("RESETSTAT").exec_async(connection).await?)
}

/// The longest hold until there is no key left, and a moment longer.
async fn longest_hold(server: &Server, connection: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    loop {
        tokio::time::sleep(LOOK).await;
        let keys: usize = redis::cmd("DBSIZE").query_async(connection).await?;
        if keys == 0 && server.info("lazyfree_pending_objects").await? == 0.0 {
            return hold_ms(server, connection).await;
        }
    }
}

async fn hold_ms(server: &Server, connection: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    if server.kind() == Kind::Windlass {
        let longest = server.info("longest_call_us").await?.max(server.info("longest_tick_us").await?);
        return Ok(longest / 1e3);
    }
    let events: Vec<(String, u64, u64, u64)> =
        redis::cmd("LATENCY").arg("LATEST").query_async(connection).await?;
    Ok(events.iter().map(|(_, _, _, max_ms)| *max_ms).max().unwrap_or(0) as f64)
}
