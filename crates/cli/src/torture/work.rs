//! A worker in a process of its own, which the stage `jobs` kills.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use windlass::{Client, Config, Context, Job, Outcome, Worker};
use windlass_db::Durability;

use crate::exit::Result;
use crate::output;
use crate::settings::Store;

/// How many jobs one worker runs at once.
pub const CONCURRENCY: usize = 4;
/// Jobs of killed workers come back after it.
pub const LEASE: Duration = Duration::from_secs(2);
/// How long a job takes, by turns.
const TIMES_MS: [u64; 4] = [0, 2, 5, 12];

/// A job with an effect: a line in a file that outlives its process.
#[derive(Serialize, Deserialize)]
pub struct Effect {
    pub number: u64,
    pub notes: PathBuf,
}

impl Job for Effect {
    const KIND: &'static str = "effect";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        self.note("begin")?;
        let time = TIMES_MS[self.number as usize % TIMES_MS.len()];
        tokio::time::sleep(Duration::from_millis(time)).await;
        self.note("end")?;
        Ok(())
    }
}

impl Effect {
    /// One short write to a file opened for appending is whole, whoever else appends.
    fn note(&self, what: &str) -> std::io::Result<()> {
        let line = format!("{what} {} {} {}\n", self.number, std::process::id(), now_us());
        OpenOptions::new().append(true).create(true).open(&self.notes)?.write_all(line.as_bytes())
    }
}

/// The time by which the notes of several processes are compared.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros() as u64)
}

/// The settings of client and workers.
pub fn config() -> Config {
    // However often its process is killed, a job is not to blame here.
    Config { lease: LEASE, crash_limit: 1_000_000, ..Config::default() }
}

/// Works until killed.
pub async fn run(store: &Store, _notes: PathBuf) -> Result<()> {
    let client =
        Client::with_config(crate::command::connect(store, Durability::Always).await?, config()).await?;
    let role = if client.connection().is_embedded() { "owning" } else { "visiting" };
    output::line(format_args!("ready {role}"))?;
    Worker::new(&client)
        .concurrency(CONCURRENCY)
        .register::<Effect>()
        .run_until(std::future::pending())
        .await?;
    Ok(())
}
