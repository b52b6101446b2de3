//! One feature's figures: its jobs are pushed in bulk and drained, in a namespace of their own.

use std::sync::atomic::Ordering;

use anyhow::ensure;
use serde::Serialize;
use windlass_conn::Connection;

use super::feature::{RAN, worker};
use crate::args::{BenchFeature, BenchFeaturesArgs};
use crate::bench::watch::Watch;
use crate::bench::{median, namespace};

/// What was measured. Of an embedded store the processor time is part of this process's.
#[derive(Debug, Serialize)]
pub struct Row {
    pub push_per_s: f64,
    pub push_cpu_us: f64,
    pub push_store_cpu_us: Option<f64>,
    pub drain_per_s: f64,
    pub worker_cpu_us: f64,
    pub store_cpu_us: Option<f64>,
}

impl Row {
    /// The middle one of each figure.
    pub fn median(rows: Vec<Self>) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rows.iter().map(figure).collect());
        let time = |figure: fn(&Self) -> Option<f64>| {
            let figures: Vec<f64> = rows.iter().filter_map(figure).collect();
            (!figures.is_empty()).then(|| median(figures))
        };
        Self {
            push_per_s: of(|row| row.push_per_s),
            push_cpu_us: of(|row| row.push_cpu_us),
            push_store_cpu_us: time(|row| row.push_store_cpu_us),
            drain_per_s: of(|row| row.drain_per_s),
            worker_cpu_us: of(|row| row.worker_cpu_us),
            store_cpu_us: time(|row| row.store_cpu_us),
        }
    }
}

/// Pushes and drains, and checks that every job ran and none is left.
pub async fn measure(
    args: &BenchFeaturesArgs,
    connection: &Connection,
    feature: BenchFeature,
) -> anyhow::Result<Row> {
    let client = namespace::client(connection).await?;
    feature.prepare(&client).await?;
    let before = Watch::look(connection).await;
    feature.push(&client, args.jobs).await?;
    let pushed = before.until_now(connection, args.jobs).await;
    let ran = RAN.load(Ordering::Relaxed);
    let before = Watch::look(connection).await;
    worker(&client, args.concurrency).exit_when_empty().run().await?;
    let drained = before.until_now(connection, args.jobs).await;
    let ran = RAN.load(Ordering::Relaxed) - ran;
    ensure!(ran == args.jobs, "{} jobs were pushed and {ran} ran", args.jobs);
    namespace::ensure_drained(&client).await?;
    // No feature is to bear what another has left.
    namespace::remove(connection).await?;
    Ok(Row {
        push_per_s: pushed.per_s,
        push_cpu_us: pushed.own_us,
        push_store_cpu_us: pushed.store_us,
        drain_per_s: drained.per_s,
        worker_cpu_us: drained.own_us,
        store_cpu_us: drained.store_us,
    })
}
