//! `windlass bench jobs`: how fast jobs are pushed and drained, and how soon one starts.

mod load;
mod nop;

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use windlass_conn::Connection;

use self::load::{Latency, Load};
use super::machine::Machine;
use super::process::{store_bytes, store_info};
use super::{delay, disk, namespace};
use crate::args::BenchJobsArgs;
use crate::exit::{CONFIGURATION, Failure, Result};
use crate::output;
use crate::settings::Store;

/// Jobs pushed one after the other.
const SINGLE_MAX: u64 = 20_000;
/// Jobs pushed from many tasks at once.
const FLOOD_MAX: u64 = 200_000;
/// Jobs of the latency measurements, and the pause between two on an idle queue.
const IDLE_JOBS: u64 = 250;
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// Jobs of which some are slow.
const STRAGGLERS_MAX: u64 = 20_000;
/// How long half load is kept up.
const HALF_LOAD_TIME: Duration = Duration::from_secs(3);

/// Everything measured, with its circumstances.
#[derive(Debug, Serialize)]
struct Report {
    windlass: &'static str,
    store: String,
    store_version: String,
    durability: String,
    machine: Machine,
    /// Of a directory: the median time to write and sync a small record beside it.
    disk_sync_ms: Option<f64>,
    /// What was added to each reply of the store.
    reply_delay_ms: Option<f64>,
    jobs: u64,
    concurrency: u32,
    payload_bytes: usize,
    push_one_by_one_per_s: f64,
    push_50_tasks_per_s: f64,
    push_bulk_per_s: f64,
    bytes_per_waiting_job: Option<u64>,
    push_delayed_per_s: f64,
    bytes_per_delayed_job: Option<u64>,
    drain_per_s: f64,
    worker_cpu_us_per_job: f64,
    store_cpu_us_per_job: Option<f64>,
    worker_rss_mb: f64,
    /// Pushed from 50 tasks and drained at the same time.
    push_and_drain_per_s: f64,
    /// What the store keeps while every 19th job runs on and the others have ended, for each of the slow ones.
    bytes_per_slow_job: Option<u64>,
    idle_ms: Latency,
    half_load_per_s: f64,
    half_load_ms: Latency,
}

/// Measures and prints.
pub async fn run(args: &BenchJobsArgs, store: &Store) -> Result<()> {
    let mut reached = store.clone();
    if let Some(time) = args.reply_delay {
        reached.url = delay::delayed(&store.url, time).map_err(|error| Failure::new(CONFIGURATION, error))?;
    }
    let connection = super::connect(args.durability.as_deref(), store, &reached).await?;
    let report = namespace::measure(&connection, &store.shown(), measure(args, store, &connection)).await?;
    if store.json { output::json(&report) } else { report.print() }
}

async fn measure(args: &BenchJobsArgs, store: &Store, connection: &Connection) -> anyhow::Result<Report> {
    let is_embedded = connection.is_embedded();
    let disk_sync_ms = match store.url.strip_prefix("file:").unwrap_or(&store.url) {
        directory if is_embedded && !store.url.starts_with("memory:") => {
            Some(disk::sync_time(directory.as_ref())?.as_secs_f64() * 1e3)
        }
        _ => None,
    };
    let client = namespace::client(connection).await?;
    let (concurrency, payload) = (args.concurrency as usize, "x".repeat(args.payload));
    let load = Load { client, concurrency, payload };
    output::progress("pushing one by one");
    let push_one_by_one_per_s = load.push_single(SINGLE_MAX.min(args.jobs / 5)).await?;
    load.drain().await?;
    output::progress("pushing from 50 tasks");
    let push_50_tasks_per_s = load.push_flood(FLOOD_MAX.min(args.jobs)).await?;
    load.drain().await?;
    output::progress("pushing in bulk");
    let before = store_bytes(connection).await;
    let push_bulk_per_s = load.push_bulk(args.jobs).await?;
    let waiting_bytes = store_bytes(connection).await.zip(before);
    output::progress("draining");
    let drain = load.drain().await?;
    ensure!(drain.jobs == args.jobs, "{} jobs were pushed and {} ran", args.jobs, drain.jobs);
    output::progress("pushing and draining");
    let push_and_drain_per_s = load.push_and_drain(FLOOD_MAX.min(args.jobs)).await?;
    output::progress("every 19th job slow");
    let (slow, left_bytes) = load.stragglers(STRAGGLERS_MAX.min(args.jobs)).await?;
    output::progress("latency on an idle queue");
    let idle_ms = load.latency(IDLE_JOBS, 1.0 / IDLE_PAUSE.as_secs_f64()).await?;
    output::progress("latency at half load");
    let half_load_per_s = push_and_drain_per_s / 2.0;
    let half_load_jobs = (half_load_per_s * HALF_LOAD_TIME.as_secs_f64()) as u64;
    let half_load_ms = load.latency(half_load_jobs.max(1), half_load_per_s).await?;
    output::progress("pushing jobs for later");
    let before = store_bytes(connection).await;
    let push_delayed_per_s = load.push_later(args.jobs).await?;
    let delayed_bytes = store_bytes(connection).await.zip(before);
    let bytes_per_job = |(after, before): (u64, u64)| after.saturating_sub(before) / args.jobs;
    Ok(Report {
        windlass: env!("CARGO_PKG_VERSION"),
        store: store.shown(),
        store_version: store_version(connection).await,
        durability: durability(connection, args, store).await,
        machine: Machine::look(),
        disk_sync_ms,
        reply_delay_ms: args.reply_delay.map(|time| time.as_secs_f64() * 1e3),
        jobs: args.jobs,
        concurrency: args.concurrency,
        payload_bytes: args.payload,
        push_one_by_one_per_s,
        push_50_tasks_per_s,
        push_bulk_per_s,
        bytes_per_waiting_job: waiting_bytes.map(bytes_per_job),
        push_delayed_per_s,
        bytes_per_delayed_job: delayed_bytes.map(bytes_per_job),
        drain_per_s: drain.span.per_s,
        worker_cpu_us_per_job: drain.span.own_us,
        store_cpu_us_per_job: drain.span.store_us,
        worker_rss_mb: drain.rss_bytes as f64 / f64::from(1 << 20),
        push_and_drain_per_s,
        bytes_per_slow_job: left_bytes.map(|bytes| bytes / slow),
        idle_ms,
        half_load_per_s,
        half_load_ms,
    })
}

async fn store_version(connection: &Connection) -> String {
    if connection.is_embedded() {
        return format!("windlass {}", env!("CARGO_PKG_VERSION"));
    }
    store_info(connection, "server", "redis_version").await.unwrap_or_else(|| "unknown".into())
}

async fn durability(connection: &Connection, args: &BenchJobsArgs, store: &Store) -> String {
    if store.is_memory() {
        return "none, in memory only".into();
    }
    if connection.is_embedded() {
        return args.durability.clone().unwrap_or_else(|| "always".into());
    }
    let mut connection = connection.clone();
    let mut setting = async |name: &str| -> Option<String> {
        let answer: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await.ok()?;
        answer.into_iter().nth(1)
    };
    match setting("appendonly").await.as_deref() {
        Some("yes") => format!("append log, {}", setting("appendfsync").await.unwrap_or_default()),
        Some(_) => "no append log".into(),
        None => "unknown".into(),
    }
}

impl Report {
    fn print(&self) -> Result<()> {
        output::line(format_args!(
            "windlass {}, store {} ({}, durability {})",
            self.windlass, self.store, self.store_version, self.durability
        ))?;
        output::line(&self.machine)?;
        output::line(format_args!(
            "{} jobs, concurrency {}, payload {} bytes\n",
            self.jobs, self.concurrency, self.payload_bytes
        ))?;
        if let Some(time) = self.reply_delay_ms {
            output::line(format_args!("added to each reply    {time:>12.3} ms"))?;
        }
        if let Some(time) = self.disk_sync_ms {
            output::line(format_args!("write and sync         {time:>12.3} ms, 256 bytes, at the median"))?;
        }
        output::line(format_args!("push one by one        {:>12.0} /s", self.push_one_by_one_per_s))?;
        output::line(format_args!("push from 50 tasks     {:>12.0} /s", self.push_50_tasks_per_s))?;
        output::line(format_args!("push in bulk           {:>12.0} /s", self.push_bulk_per_s))?;
        output::line(format_args!("push in bulk, delayed  {:>12.0} /s", self.push_delayed_per_s))?;
        output::line(format_args!("drain                  {:>12.0} /s", self.drain_per_s))?;
        output::line(format_args!("push and drain at once {:>12.0} /s", self.push_and_drain_per_s))?;
        if let Some(bytes) = self.bytes_per_waiting_job {
            output::line(format_args!("memory of a waiting job{bytes:>12} bytes"))?;
        }
        if let Some(bytes) = self.bytes_per_delayed_job {
            output::line(format_args!("memory of a delayed job{bytes:>12} bytes"))?;
        }
        if let Some(bytes) = self.bytes_per_slow_job {
            output::line(format_args!(
                "memory of a slow job   {bytes:>12} bytes, one of 19, the others ended"
            ))?;
        }
        output::line(format_args!("worker processor time  {:>12.2} µs per job", self.worker_cpu_us_per_job))?;
        if let Some(time) = self.store_cpu_us_per_job {
            output::line(format_args!("store processor time   {time:>12.2} µs per job"))?;
        }
        output::line(format_args!(
            "resident memory        {:>12.1} MB at most while draining",
            self.worker_rss_mb
        ))?;
        output::line(format_args!("push to start, idle    {}", self.idle_ms))?;
        output::line(format_args!("push to start, {:.0}/s  {}", self.half_load_per_s, self.half_load_ms))?;
        Ok(())
    }
}
