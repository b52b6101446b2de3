//! One feature's figures: its jobs are pushed in bulk and drained, in a namespace of their own.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use windlass_conn::Connection;

use super::feature::{RAN, worker};
use crate::args::{BenchFeature, BenchFeaturesArgs};
use crate::bench::process::{cpu_seconds, store_cpu};
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
    for queue in client.inspector().queues().await? {
        let (enqueued, active, name) = (queue.enqueued, queue.active, queue.name);
        ensure!(enqueued + active == 0, "{enqueued} jobs are left in {name} and {active} are pending");
    }
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

/// When something began, and the processor time until then.
struct Watch {
    start: Instant,
    own: f64,
    store: Option<f64>,
}

/// What it took for each job.
struct Span {
    per_s: f64,
    own_us: f64,
    store_us: Option<f64>,
}

impl Watch {
    async fn look(connection: &Connection) -> Self {
        let store = if connection.is_embedded() { None } else { store_cpu(connection).await };
        Self { start: Instant::now(), own: cpu_seconds(std::process::id()), store }
    }

    async fn until_now(&self, connection: &Connection, jobs: u64) -> Span {
        let seconds = self.start.elapsed().as_secs_f64();
        let now = Self::look(connection).await;
        let us = |seconds: f64| seconds * 1e6 / jobs as f64;
        Span {
            per_s: jobs as f64 / seconds,
            own_us: us(now.own - self.own),
            store_us: now.store.zip(self.store).map(|(now, before)| us(now - before)),
        }
    }
}
