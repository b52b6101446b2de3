//! `windlass bench store`: the store beside a redis-server, in one run and by one load, so that the ratios mean something.
//!
//! Each part is a table of its own: `commands` (throughput, and the server's processor time), `latency` (at half of the
//! highest rate), `memory`, `durable` (what syncs cost), `rewrite` (what a push waits for while the log is rewritten), `log`
//! (its bytes for the same jobs), `startup` (how long a directory takes to be served), `stall` (for how long everybody is
//! held up by huge values).

mod commands;
mod durable;
mod jobs;
mod latency;
mod load;
mod memory;
mod rewrite;
mod server;
mod stall;
mod startup;

use anyhow::ensure;
use clap::ValueEnum;
use serde::Serialize;

use super::machine::Machine;
use super::median;
use crate::args::{BenchStoreArgs, BenchTable};
use crate::exit::Result;
use crate::output;
use server::{Kind, Log};

/// One line of a table: a figure of ours beside that of redis-server.
#[derive(Debug, Serialize)]
struct Row {
    table: &'static str,
    what: String,
    unit: &'static str,
    windlass: f64,
    redis: f64,
    /// Ours to theirs.
    ratio: f64,
}

impl Row {
    fn new(
        table: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        windlass: f64,
        redis: f64,
    ) -> Self {
        Self { table, what: what.into(), unit, windlass, redis, ratio: windlass / redis }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    windlass: &'static str,
    redis: String,
    machine: Machine,
    rounds: u32,
    rows: Vec<Row>,
}

/// Measures and prints.
pub async fn run(args: &BenchStoreArgs, is_json: bool) -> Result<()> {
    let redis = server::version(args)?;
    let mut rows = Vec::new();
    for table in BenchTable::value_variants() {
        if !args.only.is_empty() && !args.only.contains(table) {
            continue;
        }
        output::progress(&format!("{table:?}").to_lowercase());
        rows.extend(match table {
            BenchTable::Commands => commands::measure(args).await?,
            BenchTable::Latency => latency::measure(args).await?,
            BenchTable::Memory => memory::measure(args).await?,
            BenchTable::Durable => durable::measure(args).await?,
            BenchTable::Rewrite => rewrite::measure(args).await?,
            BenchTable::Log => jobs::measure(args).await?,
            BenchTable::Stall => stall::measure(args).await?,
            BenchTable::Startup => startup::measure(args).await?,
        });
    }
    let report = Report {
        windlass: env!("CARGO_PKG_VERSION"),
        redis,
        machine: Machine::look(),
        rounds: args.rounds,
        rows,
    };
    if is_json {
        return output::json(&report);
    }
    report.print()
}

impl Report {
    fn print(&self) -> Result<()> {
        output::line(format_args!(
            "windlass {}, {}, medians of {} rounds",
            self.windlass, self.redis, self.rounds
        ))?;
        output::line(&self.machine)?;
        let mut last = "";
        for Row { table, what, unit, windlass, redis, ratio } in &self.rows {
            if *table != last {
                output::line(format_args!(
                    "\n{:<44} {:>14} {:>14} {:>8}",
                    table, "windlass", "redis", "ratio"
                ))?;
                last = table;
            }
            output::line(format_args!(
                "{:<44} {windlass:>14.2} {redis:>14.2} {ratio:>7.2}x",
                format!("{what}, {unit}")
            ))?;
        }
        Ok(())
    }
}

/// Measures ours and theirs in turn, as often as there are rounds, and answers the median of each.
async fn beside(
    args: &BenchStoreArgs,
    log: Log,
    measure: impl AsyncFnMut(&server::Server) -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, f64)> {
    let (ours, theirs) = in_turns(args, log, measure).await?;
    Ok((median(ours), median(theirs)))
}

/// As [`beside`], with all figures.
async fn in_turns(
    args: &BenchStoreArgs,
    log: Log,
    mut measure: impl AsyncFnMut(&server::Server) -> anyhow::Result<f64>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        for (kind, figures) in [(Kind::Windlass, &mut ours), (Kind::Redis, &mut theirs)] {
            let server = server::Server::start(args, kind, log).await?;
            let figure = measure(&server).await?;
            ensure!(figure.is_finite(), "nothing was measured");
            figures.push(figure);
        }
    }
    Ok((ours, theirs))
}
