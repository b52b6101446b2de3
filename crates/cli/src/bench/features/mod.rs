//! `windlass bench features`: what priorities, uniqueness, limits, results and groups cost beside plain jobs.
//!
//! Every feature is measured in the same run as plain jobs, so that the ratios mean something. To add one: its name in
//! [`BenchFeature`], and how its jobs are pushed in `feature.rs`.

mod feature;
mod row;

use clap::ValueEnum;
use serde::Serialize;

use self::row::Row;
use super::machine::Machine;
use super::namespace;
use crate::args::{BenchFeature, BenchFeaturesArgs};
use crate::exit::Result;
use crate::output;
use crate::settings::Store;

/// Everything measured, with its circumstances.
#[derive(Debug, Serialize)]
struct Report {
    windlass: &'static str,
    store: String,
    machine: Machine,
    jobs: u64,
    concurrency: u32,
    rounds: u32,
    rows: Vec<Line>,
}

/// One feature, with its ratios to plain jobs.
#[derive(Debug, Serialize)]
struct Line {
    feature: BenchFeature,
    #[serde(flatten)]
    row: Row,
    push_ratio: f64,
    drain_ratio: f64,
}

/// Measures and prints.
pub async fn run(args: &BenchFeaturesArgs, store: &Store) -> Result<()> {
    let connection = super::connect(args.durability.as_deref(), store, store).await?;
    let is_asked = |feature: &BenchFeature| {
        *feature == BenchFeature::Plain || args.only.is_empty() || args.only.contains(feature)
    };
    let features: Vec<_> =
        BenchFeature::value_variants().iter().copied().filter(|feature| is_asked(feature)).collect();
    let measuring = async {
        let mut rounds: Vec<Vec<Row>> = features.iter().map(|_| Vec::new()).collect();
        for _ in 0..args.rounds {
            for (feature, rows) in features.iter().zip(&mut rounds) {
                output::progress(&format!("{feature:?}").to_lowercase());
                rows.push(row::measure(args, &connection, *feature).await?);
            }
        }
        Ok(rounds)
    };
    let rounds = namespace::measure(&connection, &store.shown(), measuring).await?;
    let rows: Vec<Row> = rounds.into_iter().map(Row::median).collect();
    let (push, drain) = (rows[0].push_per_s, rows[0].drain_per_s);
    let lines = features.into_iter().zip(rows).map(|(feature, row)| Line {
        push_ratio: row.push_per_s / push,
        drain_ratio: row.drain_per_s / drain,
        feature,
        row,
    });
    let report = Report {
        windlass: env!("CARGO_PKG_VERSION"),
        store: store.shown(),
        machine: Machine::look(),
        jobs: args.jobs,
        concurrency: args.concurrency,
        rounds: args.rounds,
        rows: lines.collect(),
    };
    if store.json {
        return output::json(&report);
    }
    report.print()
}

impl Report {
    fn print(&self) -> Result<()> {
        output::line(format_args!("windlass {}, store {}", self.windlass, self.store))?;
        output::line(&self.machine)?;
        let Self { jobs, concurrency, rounds, .. } = self;
        output::line(format_args!(
            "{jobs} jobs, concurrency {concurrency}, medians of {rounds} rounds; processor time in µs per job\n"
        ))?;
        output::line(format_args!(
            "{:<12}{:>10}{:>7}{:>9}{:>9}{:>12}{:>7}{:>9}{:>9}",
            "", "push/s", "", "client", "store", "drain/s", "", "worker", "store"
        ))?;
        for Line { feature, row, push_ratio, drain_ratio } in &self.rows {
            let name =
                feature.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            output::line(format_args!(
                "{name:<12}{:>10.0}{:>6.0}%{:>9.2}{:>9}{:>12.0}{:>6.0}%{:>9.2}{:>9}",
                row.push_per_s,
                100.0 * push_ratio,
                row.push_cpu_us,
                time(row.push_store_cpu_us),
                row.drain_per_s,
                100.0 * drain_ratio,
                row.worker_cpu_us,
                time(row.store_cpu_us),
            ))?;
        }
        Ok(())
    }
}

/// A time that only a store in a process of its own has.
fn time(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.2}"))
}
