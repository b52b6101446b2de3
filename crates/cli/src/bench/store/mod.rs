//! `windlass bench store`: the store beside a redis-server, and a valkey-server if there is one, in one run and by one
//! load, so that the ratios mean something.
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

/// One line of a table: a figure of ours beside those of the others.
#[derive(Debug, Serialize)]
struct Row {
    table: &'static str,
    what: String,
    unit: &'static str,
    windlass: f64,
    redis: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valkey: Option<f64>,
    /// Ours to that of redis-server.
    ratio: f64,
}

impl Row {
    /// A line of figures in the order of [`server::kinds`].
    fn new(table: &'static str, what: impl Into<String>, unit: &'static str, figures: &[f64]) -> Self {
        let (windlass, redis) = (figures[0], figures[1]);
        let valkey = figures.get(2).copied();
        Self { table, what: what.into(), unit, windlass, redis, valkey, ratio: windlass / redis }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    windlass: &'static str,
    redis: String,
    valkey: Option<String>,
    machine: Machine,
    rounds: u32,
    rows: Vec<Row>,
}

/// Measures and prints.
pub async fn run(args: &BenchStoreArgs, is_json: bool) -> Result<()> {
    let redis = server::version(&args.redis_server, "--redis-server")?;
    let valkey = server::valkey(args)?;
    let args = &BenchStoreArgs { no_valkey: valkey.is_none(), ..args.clone() };
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
        valkey,
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
            self.windlass,
            [Some(&*self.redis), self.valkey.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", "),
            self.rounds
        ))?;
        output::line(&self.machine)?;
        let mut last = "";
        for Row { table, what, unit, windlass, redis, valkey, ratio } in &self.rows {
            if *table != last {
                let valkey = self.valkey.as_ref().map_or(String::new(), |_| format!("{:>15}", "valkey"));
                output::line(format_args!(
                    "\n{:<44} {:>14} {:>14} {:>8}{valkey}",
                    table, "windlass", "redis", "ratio"
                ))?;
                last = table;
            }
            let valkey = valkey.map_or(String::new(), |figure| format!("{figure:>15.2}"));
            output::line(format_args!(
                "{:<44} {windlass:>14.2} {redis:>14.2} {ratio:>7.2}x{valkey}",
                format!("{what}, {unit}")
            ))?;
        }
        Ok(())
    }
}

/// Measures the servers in turn, as often as there are rounds, and answers the median of each.
async fn beside(
    args: &BenchStoreArgs,
    log: Log,
    measure: impl AsyncFnMut(&server::Server) -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let figures = in_turns(args, log, measure).await?;
    ensure!(figures.iter().all(|figure| figure.is_finite()), "nothing was measured");
    Ok(medians(args, figures))
}

/// As [`beside`], with all that was measured, in its order.
async fn in_turns<T>(
    args: &BenchStoreArgs,
    log: Log,
    mut measure: impl AsyncFnMut(&server::Server) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut measured = Vec::new();
    for _ in 0..args.rounds {
        for kind in server::kinds(args) {
            measured.push(measure(&server::Server::start(args, *kind, log).await?).await?);
        }
    }
    Ok(measured)
}

/// The median of each server, of figures that were measured in turns.
fn medians(args: &BenchStoreArgs, figures: impl IntoIterator<Item = f64>) -> Vec<f64> {
    by_server(args, figures).into_iter().map(median).collect()
}

/// The figures of each server, of those that were measured in turns.
fn by_server(args: &BenchStoreArgs, figures: impl IntoIterator<Item = f64>) -> Vec<Vec<f64>> {
    let count = server::kinds(args).len();
    let mut servers = vec![Vec::new(); count];
    figures.into_iter().enumerate().for_each(|(at, figure)| servers[at % count].push(figure));
    servers
}
