//! The program by which a harness measures Windlass beside other job systems on one Redis.
//!
//! `version`, `enqueue N`, `flood N`, `bulk N`, `pace N` print the seconds taken; `work` runs until it is killed. The
//! job does nothing but note when it was enqueued, its only argument, and when it started, as a line in `$LOG`. The
//! environment gives `REDIS_URL` and `CONCURRENCY`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use windlass::{Client, Context, Job, Outcome, Worker};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Tasks that push at once in a flood.
const FLOOD_TASKS: usize = 50;
/// The pause between two paced pushes.
const PACE: Duration = Duration::from_millis(20);
/// How often noted lines reach the log's file.
const LOG_PAUSE: Duration = Duration::from_millis(50);

static LOG: OnceLock<Mutex<BufWriter<File>>> = OnceLock::new();

#[derive(Serialize, Deserialize)]
struct Nop(f64);

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        let started = now();
        if let Some(log) = LOG.get() {
            writeln!(log.lock().expect("nobody panics with the lock"), "{} {started}", self.0)?;
        }
        Ok(())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |age| age.as_secs_f64())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let mode =
        args.next().context("usage: windlass-peer version | enqueue N | flood N | bulk N | pace N | work")?;
    if mode == "version" {
        writeln!(std::io::stdout(), "windlass {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(());
    }
    let url = std::env::var("REDIS_URL").context("REDIS_URL names the Redis")?;
    let client = Client::open(&url).await?;
    if mode == "work" {
        return work(&client).await;
    }
    let jobs: usize = args.next().context("how many jobs?")?.parse()?;
    let start = Instant::now();
    match mode.as_str() {
        "enqueue" => {
            for _ in 0..jobs {
                client.push(Nop(now())).await?;
            }
        }
        "flood" => flood(&client, jobs).await?,
        "bulk" => {
            client.push_many((0..jobs).map(|_| Nop(now()))).await?;
        }
        "pace" => {
            for _ in 0..jobs {
                client.push(Nop(now())).await?;
                tokio::time::sleep(PACE).await;
            }
        }
        other => bail!("unknown mode `{other}`"),
    }
    writeln!(std::io::stdout(), "{}", start.elapsed().as_secs_f64())?;
    Ok(())
}

async fn flood(client: &Client, jobs: usize) -> anyhow::Result<()> {
    let tasks: Vec<_> = (0..FLOOD_TASKS)
        .map(|task| {
            let client = client.clone();
            let own = (task..jobs).step_by(FLOOD_TASKS).len();
            tokio::spawn(async move {
                for _ in 0..own {
                    client.push(Nop(now())).await?;
                }
                Ok::<(), windlass::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn work(client: &Client) -> anyhow::Result<()> {
    let concurrency = std::env::var("CONCURRENCY").unwrap_or_else(|_| "10".into()).parse()?;
    let path = std::env::var("LOG").context("LOG names the file to note starts in")?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let log = LOG.get_or_init(|| Mutex::new(BufWriter::new(file)));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOG_PAUSE).await;
            if log.lock().expect("nobody panics with the lock").flush().is_err() {
                return;
            }
        }
    });
    Worker::new(client).concurrency(concurrency).register::<Nop>().run().await?;
    Ok(())
}
