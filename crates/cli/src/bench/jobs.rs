//! `windlass bench jobs`: how fast jobs are pushed and drained, and how soon one starts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use windlass::{Client, Config, Context, Job, Outcome, Worker};
use windlass_conn::Connection;

use super::disk;
use super::machine::Machine;
use super::process::{cpu_seconds, resident_bytes, store_info};
use crate::args::BenchJobsArgs;
use crate::exit::Result;
use crate::settings::{self, Store};
use crate::{command, output};

/// Jobs pushed one after the other.
const SINGLE_MAX: u64 = 20_000;
/// Jobs pushed from many tasks at once, and how many tasks.
const FLOOD_MAX: u64 = 200_000;
const FLOOD_TASKS: u64 = 50;
/// Jobs of the latency measurements, and the pause between two on an idle queue.
const IDLE_JOBS: u64 = 250;
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// How long half load is kept up.
const HALF_LOAD_TIME: Duration = Duration::from_secs(3);
/// How often the memory of the draining worker is read.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);

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
    jobs: u64,
    concurrency: u32,
    payload_bytes: usize,
    push_one_by_one_per_s: f64,
    push_50_tasks_per_s: f64,
    push_bulk_per_s: f64,
    bytes_per_waiting_job: Option<u64>,
    drain_per_s: f64,
    worker_cpu_us_per_job: f64,
    store_cpu_us_per_job: Option<f64>,
    worker_rss_mb: f64,
    idle_ms: Latency,
    half_load_per_s: f64,
    half_load_ms: Latency,
}

/// From push to start, in milliseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

/// The job that does nothing but say when it was pushed; 0 when nobody asks.
#[derive(Serialize, Deserialize)]
struct Nop {
    pushed_ns: u64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    payload: String,
}

static STARTED: AtomicU64 = AtomicU64::new(0);
static WAITS_NS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static EPOCH: OnceLock<Instant> = OnceLock::new();

fn now_ns() -> u64 {
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        if self.pushed_ns > 0 {
            let wait = now_ns().saturating_sub(self.pushed_ns);
            WAITS_NS.lock().expect("nobody panics with the lock").push(wait);
        }
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Measures and prints.
pub async fn run(args: &BenchJobsArgs, store: &Store) -> Result<()> {
    let durability = settings::durability(&args.durability)?;
    let connection = command::connect_with(store, durability).await?;
    let bench = Bench::new(args.clone(), connection).await?;
    let report = bench.measure(store).await?;
    if store.json {
        output::json(&report)
    } else {
        report.print();
        Ok(())
    }
}

struct Bench {
    args: BenchJobsArgs,
    client: Client,
    connection: Connection,
    payload: String,
}

impl Bench {
    async fn new(args: BenchJobsArgs, connection: Connection) -> Result<Self> {
        now_ns();
        // A namespace of its own: whatever else the store holds is neither touched nor measured.
        let namespace = format!("bench-{}", std::process::id());
        let config = Config { namespace, ..Config::default() };
        let client = Client::with_config(connection.clone(), config).await?;
        let payload = "x".repeat(args.payload);
        Ok(Self { args, client, connection, payload })
    }

    async fn measure(&self, store: &Store) -> anyhow::Result<Report> {
        let args = &self.args;
        let is_directory = self.connection.is_embedded() && !store.url.starts_with("memory:");
        let disk_sync_ms = match store.url.strip_prefix("file:").unwrap_or(&store.url) {
            directory if is_directory => Some(disk::sync_time(directory.as_ref())?.as_secs_f64() * 1e3),
            _ => None,
        };
        output::progress("pushing one by one");
        let push_one_by_one_per_s = self.push_single(SINGLE_MAX.min(args.jobs / 5)).await?;
        self.drain().await?;
        output::progress("pushing from 50 tasks");
        let push_50_tasks_per_s = self.push_flood(FLOOD_MAX.min(args.jobs)).await?;
        self.drain().await?;
        output::progress("pushing in bulk");
        let bytes_before = self.store_bytes().await;
        let push_bulk_per_s = self.push_bulk(args.jobs).await?;
        let bytes_after = self.store_bytes().await;
        output::progress("draining");
        let drain = self.drain().await?;
        ensure!(drain.jobs == args.jobs, "{} jobs were pushed and {} ran", args.jobs, drain.jobs);
        output::progress("latency on an idle queue");
        let idle_ms = self.latency(IDLE_JOBS, 1.0 / IDLE_PAUSE.as_secs_f64()).await?;
        output::progress("latency at half load");
        // Half of what one machine can push and drain at the same time.
        let half_load_per_s = 0.5 / (1.0 / drain.per_s + 1.0 / push_50_tasks_per_s);
        let half_load_jobs = (half_load_per_s * HALF_LOAD_TIME.as_secs_f64()) as u64;
        let half_load_ms = self.latency(half_load_jobs.max(1), half_load_per_s).await?;
        output::progress("");
        let is_embedded = self.connection.is_embedded();
        Ok(Report {
            windlass: env!("CARGO_PKG_VERSION"),
            store: store.url.clone(),
            store_version: self.store_version().await,
            durability: self.durability(is_embedded).await,
            machine: Machine::look(),
            disk_sync_ms,
            jobs: args.jobs,
            concurrency: args.concurrency,
            payload_bytes: args.payload,
            push_one_by_one_per_s,
            push_50_tasks_per_s,
            push_bulk_per_s,
            bytes_per_waiting_job: bytes_after
                .zip(bytes_before)
                .map(|(a, b)| a.saturating_sub(b) / args.jobs),
            drain_per_s: drain.per_s,
            worker_cpu_us_per_job: drain.worker_cpu_us,
            store_cpu_us_per_job: drain.store_cpu_us.filter(|_| !is_embedded),
            worker_rss_mb: drain.rss_mb,
            idle_ms,
            half_load_per_s,
            half_load_ms,
        })
    }

    async fn push_single(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..jobs {
            self.client.push(self.nop()).await?;
        }
        Ok(rate(jobs, start))
    }

    async fn push_flood(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        let tasks: Vec<_> = (0..FLOOD_TASKS)
            .map(|_| {
                let (client, payload) = (self.client.clone(), self.payload.clone());
                tokio::spawn(async move {
                    for _ in 0..jobs / FLOOD_TASKS {
                        client.push(Nop { pushed_ns: 0, payload: payload.clone() }).await?;
                    }
                    Ok::<(), windlass::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(rate(jobs / FLOOD_TASKS * FLOOD_TASKS, start))
    }

    async fn push_bulk(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        let pushed = self.client.push_many((0..jobs).map(|_| self.nop())).await?;
        ensure!(pushed == jobs, "{pushed} of {jobs} jobs were pushed");
        Ok(rate(jobs, start))
    }

    /// Drains what waits, timed to the last acknowledgement, and checks that nothing is pending then.
    async fn drain(&self) -> anyhow::Result<Drain> {
        let started = STARTED.load(Ordering::Relaxed);
        let store_cpu = self.store_cpu().await;
        let cpu = cpu_seconds(std::process::id());
        let watch = Arc::new(MemoryWatch::default());
        let watching = tokio::spawn(watch.clone().run());
        let start = Instant::now();
        self.worker().exit_when_empty().run().await?;
        let elapsed = start.elapsed().as_secs_f64();
        let worker_cpu = cpu_seconds(std::process::id()) - cpu;
        let store_cpu_after = self.store_cpu().await;
        watch.stop.notify_one();
        watching.await?;
        let jobs = STARTED.load(Ordering::Relaxed) - started;
        for queue in self.client.inspector().queues().await? {
            ensure!(
                queue.enqueued + queue.active == 0,
                "{} jobs are left in {} and {} are pending",
                queue.enqueued,
                queue.name,
                queue.active
            );
        }
        let per_job_us = |seconds: f64| seconds * 1e6 / jobs.max(1) as f64;
        Ok(Drain {
            jobs,
            per_s: jobs as f64 / elapsed,
            worker_cpu_us: per_job_us(worker_cpu),
            store_cpu_us: store_cpu_after.zip(store_cpu).map(|(after, before)| per_job_us(after - before)),
            rss_mb: watch.most.load(Ordering::Relaxed) as f64 / f64::from(1 << 20),
        })
    }

    /// Pushes at a steady rate to a waiting worker.
    async fn latency(&self, jobs: u64, per_s: f64) -> anyhow::Result<Latency> {
        let started = STARTED.load(Ordering::Relaxed);
        WAITS_NS.lock().expect("nobody panics with the lock").clear();
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let worker = tokio::spawn(self.worker().run_until(async move { stopped.notified().await }));
        // The worker is idle, and waits, before the first push.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let start = Instant::now();
        let mut pushes = tokio::task::JoinSet::new();
        for job in 0..jobs {
            let due = start + Duration::from_secs_f64(job as f64 / per_s);
            tokio::time::sleep_until(due.into()).await;
            let (client, payload) = (self.client.clone(), self.payload.clone());
            pushes.spawn(
                async move { client.push(Nop { pushed_ns: now_ns().max(1), payload }).await.map(drop) },
            );
            while let Some(pushed) = pushes.try_join_next() {
                pushed??;
            }
        }
        while let Some(pushed) = pushes.join_next().await {
            pushed??;
        }
        while STARTED.load(Ordering::Relaxed) - started < jobs {
            ensure!(!worker.is_finished(), "the worker ended early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.notify_one();
        worker.await??;
        let mut waits = std::mem::take(&mut *WAITS_NS.lock().expect("nobody panics with the lock"));
        waits.sort_unstable();
        let at = |share: f64| {
            let index = ((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1));
            waits.get(index).map_or(0.0, |wait| *wait as f64 / 1e6)
        };
        Ok(Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) })
    }

    fn nop(&self) -> Nop {
        Nop { pushed_ns: 0, payload: self.payload.clone() }
    }

    fn worker(&self) -> Worker {
        Worker::new(&self.client).concurrency(self.args.concurrency as usize).register::<Nop>()
    }

    async fn store_bytes(&self) -> Option<u64> {
        store_info(&self.connection, "memory", "used_memory").await?.parse().ok()
    }

    async fn store_cpu(&self) -> Option<f64> {
        let user: f64 = store_info(&self.connection, "cpu", "used_cpu_user").await?.parse().ok()?;
        let system: f64 = store_info(&self.connection, "cpu", "used_cpu_sys").await?.parse().ok()?;
        Some(user + system)
    }

    async fn store_version(&self) -> String {
        let version = store_info(&self.connection, "server", "redis_version").await;
        if self.connection.is_embedded() {
            return format!("windlass {}", env!("CARGO_PKG_VERSION"));
        }
        version.unwrap_or_else(|| "unknown".into())
    }

    async fn durability(&self, is_embedded: bool) -> String {
        if is_embedded {
            return self.args.durability.clone();
        }
        let mut connection = self.connection.clone();
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
}

struct Drain {
    jobs: u64,
    per_s: f64,
    worker_cpu_us: f64,
    store_cpu_us: Option<f64>,
    rss_mb: f64,
}

/// Remembers the most memory that this process has taken.
#[derive(Default)]
struct MemoryWatch {
    most: AtomicU64,
    stop: Notify,
}

impl MemoryWatch {
    async fn run(self: Arc<Self>) {
        loop {
            self.most.fetch_max(resident_bytes(), Ordering::Relaxed);
            tokio::select! {
                () = self.stop.notified() => return,
                () = tokio::time::sleep(MEMORY_PAUSE) => {}
            }
        }
    }
}

impl Report {
    fn print(&self) {
        println!(
            "windlass {}, store {} ({}, durability {})",
            self.windlass, self.store, self.store_version, self.durability
        );
        println!("{}", self.machine);
        println!(
            "{} jobs, concurrency {}, payload {} bytes\n",
            self.jobs, self.concurrency, self.payload_bytes
        );
        if let Some(time) = self.disk_sync_ms {
            println!("write and sync         {time:>12.3} ms, 256 bytes, at the median");
        }
        println!("push one by one        {:>12.0} /s", self.push_one_by_one_per_s);
        println!("push from 50 tasks     {:>12.0} /s", self.push_50_tasks_per_s);
        println!("push in bulk           {:>12.0} /s", self.push_bulk_per_s);
        println!("drain                  {:>12.0} /s", self.drain_per_s);
        if let Some(bytes) = self.bytes_per_waiting_job {
            println!("memory of a waiting job{bytes:>12} bytes");
        }
        println!("worker processor time  {:>12.2} µs per job", self.worker_cpu_us_per_job);
        if let Some(time) = self.store_cpu_us_per_job {
            println!("store processor time   {time:>12.2} µs per job");
        }
        println!("resident memory        {:>12.1} MB at most while draining", self.worker_rss_mb);
        println!("push to start, idle    {}", self.idle_ms);
        println!("push to start, {:.0}/s  {}", self.half_load_per_s, self.half_load_ms);
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms", self.p50, self.p99, self.p999)
    }
}

fn rate(jobs: u64, start: Instant) -> f64 {
    jobs as f64 / start.elapsed().as_secs_f64()
}
