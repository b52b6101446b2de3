//! How long a push takes to be safe, beside a bare write and sync of as many bytes on the same disk.
//!
//! `cargo run --release -p windlass-db --example commit -- DIRECTORY`

#![allow(clippy::print_stdout, reason = "the figures are the purpose")]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use windlass_db::{Called, Config, Database, Durability, Position, Session};

const ROUNDS: usize = 2000;
const PAYLOAD_BYTES: usize = 200;
/// A payload with its command, key and annotation.
const BARE_BYTES: usize = 256;
const THREADS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("name a directory to measure on")?.into();
    // In turns, since the disk's speed changes over time.
    for _ in 0..3 {
        report("bare write and sync", bare(&directory)?);
        for (name, durability) in
            [("always", Durability::Always), ("everysec", Durability::Everysec), ("none", Durability::None)]
        {
            let config = Config { durability, ..Config::default() };
            let (database, _) = Database::open(directory.join(name), config)?;
            report(&format!("{name}, a thread that blocks"), blocking(&database)?);
            report(&format!("{name}, a task that waits"), waiting(&database)?);
            let (rate, groups) = shared(&database);
            println!("{:34} {rate:>9.0} pushes/s in {groups} groups", format!("{name}, {THREADS} threads"));
            database.stop()?;
        }
    }
    let session = Database::memory(Config::default())?.session("memory");
    report("memory", (0..ROUNDS).map(|_| timed(|| _ = push(&session))).collect());
    fs::remove_dir_all(&directory)?;
    Ok(())
}

fn push(session: &Session) -> Position {
    let payload = [b'x'; PAYLOAD_BYTES];
    match session.call(&[b"RPUSH", b"queue", &payload]) {
        Called::Reply(_, position) => position,
        other => panic!("a push is answered at once, not with {other:?}"),
    }
}

fn bare(directory: &Path) -> std::io::Result<Vec<Duration>> {
    fs::create_dir_all(directory)?;
    let mut file = File::create(directory.join("bare"))?;
    let bytes = [b'x'; BARE_BYTES];
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect()
}

fn blocking(database: &Database) -> windlass_db::Result<Vec<Duration>> {
    let session = database.session("bench");
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            database.wait_durable(push(&session))?;
            Ok(start.elapsed())
        })
        .collect()
}

fn waiting(database: &Database) -> Result<Vec<Duration>, Box<dyn Error>> {
    let session = database.session("bench");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            database.durable(push(&session)).await?;
            times.push(start.elapsed());
        }
        Ok(times)
    })
}

fn shared(database: &Database) -> (f64, u64) {
    let groups = database.facts().log_groups;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| blocking(database).expect("the disk works"));
        }
    });
    let rate = (THREADS * ROUNDS) as f64 / start.elapsed().as_secs_f64();
    (rate, database.facts().log_groups - groups)
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{name:34} p50 {:>10.1?}  p90 {:>10.1?}  p99 {:>10.1?}", at(0.5), at(0.9), at(0.99));
}
