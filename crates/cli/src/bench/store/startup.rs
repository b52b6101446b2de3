//! How long a server takes to answer on a directory with a million delayed jobs: from the start of its process to its
//! first answer about the data. The other servers read the very same files.

use std::time::{Duration, Instant};

use anyhow::ensure;
use windlass::{Client, Context, Job, Outcome, Push};
use windlass_conn::Connection;
use windlass_db::{Config, Database, Durability, EngineConfig, RewriteLimits};

use super::server::{self, Folder, Log, Server};
use super::{Kind, Row, medians};
use crate::args::BenchStoreArgs;

const JOBS: u64 = 1_000_000;
/// The bytes of a job's text; with the rest of its envelope about 300 bytes of the log.
const TEXT_BYTES: usize = 160;
const DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A server that takes longer than this is given up.
const TIME_MAX: Duration = Duration::from_secs(120);
const LOG_FOLDER: &str = "appendonlydir";

#[derive(serde::Serialize, serde::Deserialize)]
struct Nop {
    number: u64,
    text: String,
}

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        Ok(())
    }
}

pub async fn measure(args: &BenchStoreArgs) -> anyhow::Result<Vec<Row>> {
    let origin = Folder::make(args)?;
    let mut rows = Vec::new();
    for (what, is_rewritten) in [("as pushed", false), ("after a rewrite", true)] {
        // The log is not to be rewritten but where this asks for it.
        let rewrite = RewriteLimits { percentage: 0, ..RewriteLimits::default() };
        let engine = EngineConfig { rewrite, ..EngineConfig::default() };
        let config = Config { durability: Durability::None, engine, ..Config::default() };
        let (database, _) = Database::open(origin.path(), config)?;
        if is_rewritten {
            database.compact()?;
        } else {
            push(&database).await?;
        }
        database.stop()?;
        let mut figures = Vec::new();
        for _ in 0..args.rounds {
            for kind in server::kinds(args) {
                figures.push(open(args, *kind, &origin).await?);
            }
        }
        for (at, unit) in ["s", "CPU s"].into_iter().enumerate() {
            let what = format!("{JOBS} delayed jobs, {what}");
            let figures = medians(args, figures.iter().map(|figure| figure[at]));
            rows.push(Row::new("startup", what, unit, &figures));
        }
    }
    Ok(rows)
}

async fn push(database: &Database) -> anyhow::Result<()> {
    let client = Client::new(Connection::to(database.clone())).await?;
    let text = "x".repeat(TEXT_BYTES);
    let jobs = (0..JOBS).map(|number| Nop { number, text: text.clone() });
    let pushed = client.push_many_with(jobs, Push::new().delay(DELAY)).await?;
    ensure!(pushed == JOBS, "{pushed} jobs of {JOBS} were pushed");
    Ok(())
}

/// Seconds, and seconds of processor time, that a server takes until it answers.
async fn open(args: &BenchStoreArgs, kind: Kind, origin: &Folder) -> anyhow::Result<[f64; 2]> {
    // Links to the same files: a server that only reads changes none of them, and one that rewrites makes others.
    let folder = Folder::make(args)?;
    std::fs::create_dir(folder.path().join(LOG_FOLDER))?;
    for entry in std::fs::read_dir(origin.path().join(LOG_FOLDER))? {
        let entry = entry?;
        std::fs::hard_link(entry.path(), folder.path().join(LOG_FOLDER).join(entry.file_name()))?;
    }
    let start = Instant::now();
    let server = Server::open(args, kind, Log::Everysec, folder, TIME_MAX).await?;
    let took = [start.elapsed().as_secs_f64(), server.cpu_seconds()];
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut server.connection().await?).await?;
    ensure!(keys > 0, "{kind:?} has read nothing");
    Ok(took)
}
