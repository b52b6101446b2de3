//! What a push waits for while the log of a million jobs is rewritten.

use std::time::{Duration, Instant};

use super::server::{Log, Server};
use super::{Row, in_turns, medians};
use crate::args::BenchStoreArgs;
use crate::bench::percentile;

const JOBS: usize = 1_000_000;
const JOB_BYTES: usize = 200;
const BATCH: usize = 1_000;
/// The pause between two pushes.
const PAUSE: Duration = Duration::from_micros(500);

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let figures = in_turns(args, Log::Everysec, pushes).await?;
    let row = |what, at: usize| {
        Row::new("rewrite", what, "ms", &medians(args, figures.iter().map(|figure| figure[at])))
    };
    Ok(vec![
        row("a push meanwhile, p50", 0),
        row("a push meanwhile, p99", 1),
        row("a push meanwhile, longest", 2),
    ])
}

/// Milliseconds that pushes take during a rewrite: the median, the 99th percentile and the longest.
async fn pushes(server: &Server) -> anyhow::Result<[f64; 3]> {
    let mut connection = server.connection().await?;
    let job = "x".repeat(JOB_BYTES);
    for _ in 0..JOBS / BATCH {
        let mut pipe = redis::pipe();
        for _ in 0..BATCH {
            pipe.cmd("XADD").arg("stream").arg("*").arg("j").arg(&job).ignore();
        }
        pipe.query_async::<()>(&mut connection).await?;
    }
    // One that has begun by itself, because the log has grown, is as good.
    if let Err(error) = redis::cmd("BGREWRITEAOF").query_async::<redis::Value>(&mut connection).await
        && !error.to_string().contains("already in progress")
    {
        return Err(error.into());
    }
    let mut times = Vec::new();
    let mut is_running = true;
    while is_running {
        for _ in 0..100 {
            let start = Instant::now();
            redis::cmd("XADD").arg("other").arg(&["*", "j", &job]).query_async::<()>(&mut connection).await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(PAUSE).await;
        }
        is_running = server.info("aof_rewrite_in_progress").await? > 0.0
            || server.info("aof_rewrite_scheduled").await? > 0.0;
    }
    times.sort_by(f64::total_cmp);
    let at = |share| percentile(&times, share).unwrap_or(f64::NAN);
    Ok([at(0.5), at(0.99), at(1.0)])
}
