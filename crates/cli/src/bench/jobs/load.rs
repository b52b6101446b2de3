//! The loads: pushes in several ways, draining, both at once, and the way from push to start.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use windlass::{Client, Control, Job, Push, Summary, Worker};

use super::nop::{Nop, RELEASED, STARTED, WAITS_NS, now_ns};
use crate::bench::process::{resident_bytes, store_bytes};
use crate::bench::watch::{Span, Watch};
use crate::bench::{namespace, percentile};

/// The tasks that push at once.
const TASKS: u64 = 50;
/// How often the memory of the draining worker is read.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);
/// Which jobs are slow where some are.
const SLOW_EVERY: u64 = 19;
/// Within this time the worker has had a Redis give back what it can.
const GIVE_BACK_MAX: Duration = Duration::from_secs(7);
/// How long jobs are put off of which none is to run.
const LATER: Duration = Duration::from_secs(3600);

pub struct Load {
    pub client: Client,
    pub concurrency: usize,
    pub payload: String,
}

/// What draining took.
pub struct Drain {
    pub jobs: u64,
    pub span: Span,
    pub rss_bytes: u64,
}

/// From push to start, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

impl Load {
    /// One after the other. Answers how many a second.
    pub async fn push_single(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..jobs {
            self.client.push(self.nop()).await?;
        }
        Ok(rate(jobs, start))
    }

    /// From many tasks at once.
    pub async fn push_flood(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (client, payload) = (self.client.clone(), self.payload.clone());
            tasks.spawn(async move {
                for _ in 0..jobs / TASKS {
                    client.push(Nop { payload: payload.clone(), ..Nop::default() }).await?;
                }
                Ok::<(), windlass::Error>(())
            });
        }
        while let Some(pushed) = tasks.join_next().await {
            pushed??;
        }
        Ok(rate(jobs / TASKS * TASKS, start))
    }

    /// All in few calls.
    pub async fn push_bulk(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        let pushed = self.client.push_many((0..jobs).map(|_| self.nop())).await?;
        ensure!(pushed == jobs, "{pushed} of {jobs} jobs were pushed");
        Ok(rate(jobs, start))
    }

    /// All in few calls, to wait for their time.
    pub async fn push_later(&self, jobs: u64) -> anyhow::Result<f64> {
        let start = Instant::now();
        let pushed =
            self.client.push_many_with((0..jobs).map(|_| self.nop()), Push::new().delay(LATER)).await?;
        ensure!(pushed == jobs, "{pushed} of {jobs} jobs were pushed");
        Ok(rate(jobs, start))
    }

    /// Drains what waits, timed to the last acknowledgement, and checks that nothing is pending then.
    pub async fn drain(&self) -> anyhow::Result<Drain> {
        let started = STARTED.load(Ordering::Relaxed);
        let before = Watch::look(self.client.connection()).await;
        let mut rss_bytes = 0;
        {
            let mut working = std::pin::pin!(self.worker().exit_when_empty().run());
            let mut look = tokio::time::interval(MEMORY_PAUSE);
            loop {
                tokio::select! {
                    worked = &mut working => break drop(worked?),
                    _ = look.tick() => rss_bytes = resident_bytes().max(rss_bytes),
                }
            }
        }
        let jobs = STARTED.load(Ordering::Relaxed) - started;
        let span = before.until_now(self.client.connection(), jobs).await;
        namespace::ensure_drained(&self.client).await?;
        Ok(Drain { jobs, span, rss_bytes })
    }

    /// Pushes from many tasks to a worker that drains meanwhile, timed from the first push to the last start.
    pub async fn push_and_drain(&self, jobs: u64) -> anyhow::Result<f64> {
        let (jobs, started) = (jobs / TASKS * TASKS, STARTED.load(Ordering::Relaxed));
        let work = self.work().await;
        let start = Instant::now();
        self.push_flood(jobs).await?;
        work.until(started + jobs).await?;
        let per_s = rate(jobs, start);
        work.stop().await?;
        Ok(per_s)
    }

    /// Runs jobs of which each [`SLOW_EVERY`]th does not end yet, and answers how many these are and what the others have
    /// left of the store's memory.
    pub async fn stragglers(&self, jobs: u64) -> anyhow::Result<(u64, Option<u64>)> {
        let (slow, started) = (jobs.div_ceil(SLOW_EVERY), STARTED.load(Ordering::Relaxed));
        let nops = (0..jobs).map(|job| Nop { is_slow: job % SLOW_EVERY == 0, ..self.nop() });
        let before = store_bytes(self.client.connection()).await;
        self.client.push_many(nops).await?;
        let concurrency = self.concurrency + slow as usize;
        let work = Self { client: self.client.clone(), concurrency, payload: String::new() }.work().await;
        work.until(started + jobs).await?;
        // The last of the others are acknowledged a moment after they started.
        let inspector = self.client.inspector();
        while inspector.queue(Nop::QUEUE).await?.active > slow {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !self.client.connection().is_embedded() {
            tokio::time::sleep(GIVE_BACK_MAX).await;
        }
        let after = store_bytes(self.client.connection()).await;
        RELEASED.add_permits(slow as usize);
        work.stop().await?;
        Ok((slow, after.zip(before).map(|(after, before)| after.saturating_sub(before))))
    }

    /// Pushes at a steady rate to a waiting worker.
    pub async fn latency(&self, jobs: u64, per_s: f64) -> anyhow::Result<Latency> {
        let started = STARTED.load(Ordering::Relaxed);
        WAITS_NS.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let work = self.work().await;
        let start = Instant::now();
        let mut pushes = JoinSet::new();
        for job in 0..jobs {
            let due = start + Duration::from_secs_f64(job as f64 / per_s);
            tokio::time::sleep_until(due.into()).await;
            let (client, payload) = (self.client.clone(), self.payload.clone());
            pushes.spawn(async move {
                client.push(Nop { pushed_ns: now_ns().max(1), payload, ..Nop::default() }).await.map(drop)
            });
            while let Some(pushed) = pushes.try_join_next() {
                pushed??;
            }
        }
        while let Some(pushed) = pushes.join_next().await {
            pushed??;
        }
        work.until(started + jobs).await?;
        work.stop().await?;
        let mut waits = std::mem::take(&mut *WAITS_NS.lock().unwrap_or_else(PoisonError::into_inner));
        waits.sort_unstable();
        let at = |share| percentile(&waits, share).unwrap_or_default() as f64 / 1e6;
        Ok(Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) })
    }

    fn nop(&self) -> Nop {
        Nop { payload: self.payload.clone(), ..Nop::default() }
    }

    fn worker(&self) -> Worker {
        Worker::new(&self.client).concurrency(self.concurrency).register::<Nop>()
    }

    /// A worker that is idle, and waits.
    async fn work(&self) -> Work {
        let worker = self.worker();
        let control = worker.control();
        let running = tokio::spawn(worker.run());
        tokio::time::sleep(Duration::from_millis(300)).await;
        Work { control, running }
    }
}

/// A worker that runs beside.
struct Work {
    control: Control,
    running: JoinHandle<windlass::Result<Summary>>,
}

impl Work {
    /// Waits until so many jobs have started.
    async fn until(&self, started: u64) -> anyhow::Result<()> {
        while STARTED.load(Ordering::Relaxed) < started {
            ensure!(!self.running.is_finished(), "the worker ended early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.control.stop();
        (&mut self.running).await??;
        Ok(())
    }
}

/// A measurement that is broken off leaves no worker behind.
impl Drop for Work {
    fn drop(&mut self) {
        self.running.abort();
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
