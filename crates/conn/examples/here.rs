//! What a call of the program's own database costs with everything around the engine: one task, one call in flight.
//!
//! `cargo run --release -p windlass-conn --example here -- <set|get|both> [calls]`. To compare two versions count
//! instructions, which do not depend on what else the machine does, of two lengths of run:
//! `perf stat -e instructions:u`, or callgrind.

use std::time::Instant;

use redis::{Cmd, RedisResult, Value};
use windlass_conn::Connection;

// As the `windlass` command has: a call's reply takes memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let case = args.next().unwrap_or_else(|| "both".into());
    let calls: u64 = args.next().map_or(Ok(2_000_000), |arg| arg.parse())?;
    let (mut set, mut get) = (redis::cmd("SET"), redis::cmd("GET"));
    set.arg("key").arg("xxxxxxxxxxxxxxxx");
    get.arg("key");
    let cmds: &[&Cmd] = match case.as_str() {
        "set" => &[&set],
        "get" => &[&get],
        "both" => &[&set, &get],
        _ => return Err("the cases are set, get and both".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let per_s = runtime.block_on(measure(cmds, calls))?;
    println!("{case}: {:.3} million calls per second", per_s / 1e6);
    Ok(())
}

async fn measure(cmds: &[&Cmd], calls: u64) -> RedisResult<f64> {
    let mut connection = Connection::open("memory:").await?;
    redis::cmd("SET").arg("key").arg("xxxxxxxxxxxxxxxx").query_async::<()>(&mut connection).await?;
    let start = Instant::now();
    for _ in 0..calls / cmds.len() as u64 {
        for cmd in cmds {
            cmd.query_async::<Value>(&mut connection).await?;
        }
    }
    Ok(calls as f64 / start.elapsed().as_secs_f64())
}
