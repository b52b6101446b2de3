//! SIGKILL of the server under push, lease and finish from four clients.

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use windlass::Config;
use windlass::broker::{Broker, Ended, Held, Request};
use windlass_db::faults::Random;

use super::Plan;
use super::cut::last_file;
use super::guard::Guard;
use super::process::{self, Process};
use super::report::Report;

const CLIENTS: usize = 4;
/// Acknowledged pushes, takes and ends between two kills, at least.
const ACKNOWLEDGED_PER_KILL: u64 = 1_050;
/// The most jobs of one push and of one take.
const BATCH_MAX: usize = 24;
const LEASE: Duration = Duration::from_secs(1);
const QUEUE: &str = "torture";
/// The whole of one durability is given up after this long and a kill's share of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a guard that is out takes from the end of the log.
const TORN_BYTES: u64 = 4_000;

/// What the clients saw.
#[derive(Default)]
struct Seen {
    pushed: HashSet<String>,
    /// Asked to end, whatever the answer.
    asked: HashSet<String>,
    /// How often an end was acknowledged.
    ended: HashMap<String, u32>,
    problems: Vec<String>,
}

#[derive(Clone, Default)]
struct Ledger {
    seen: Arc<Mutex<Seen>>,
    acknowledged: Arc<AtomicU64>,
    number: Arc<AtomicU64>,
    lives: Arc<AtomicUsize>,
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for durability in ["always", "everysec", "none"] {
        if plan.is_done(&report) {
            break;
        }
        tokio::runtime::Handle::current().block_on(run_one(plan, durability, &mut report))?;
    }
    Ok(report)
}

async fn run_one(plan: &Plan, durability: &str, report: &mut Report) -> anyhow::Result<()> {
    let folder = plan.scratch.on_disk()?;
    let (directory, log) = (folder.join("data"), folder.join("server.log"));
    let ledger = Ledger::default();
    let kills = plan.kills(10, 2_000);
    let patience = PATIENCE + Duration::from_secs(5) * kills as u32;
    let (start, mut in_sync) = (Instant::now(), 0);
    for kill in 0..kills {
        let Some(mut server) = start_server(&directory, durability, &log, report) else { return Ok(()) };
        let clients = ledger.start_clients(&server, plan.seed.wrapping_add(kill as u64)).await?;
        let wanted = ACKNOWLEDGED_PER_KILL * (kill as u64 + 1);
        while ledger.acknowledged.load(Ordering::Relaxed) < wanted {
            ensure!(start.elapsed() < patience, "{durability}: the clients get no further");
            ensure!(server.is_alive(), "{durability}: the server ended by itself");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Under `none` nothing is synced but at a rewrite and at a file's start, and every moment is as good.
        if durability == "none" {
            server.kill();
        } else {
            let (server_back, seen) = tokio::task::spawn_blocking(move || {
                let seen = server.kill_in_sync();
                (server, seen)
            })
            .await?;
            drop(server_back);
            in_sync += usize::from(seen);
        }
        report.cycles += 1;
        for client in clients {
            client.await?;
        }
        match plan.guard {
            Some(Guard::Write) => tear(&directory)?,
            Some(Guard::Replay) => fs::write(last_file(&directory)?, "")?,
            _ => {}
        }
    }
    let acknowledged = ledger.acknowledged.load(Ordering::Relaxed);
    report.acknowledged += acknowledged;
    let Some(server) = start_server(&directory, durability, &log, report) else { return Ok(()) };
    ledger.judge(&server, durability, report).await?;
    let pushed = ledger.seen().pushed.len();
    report.note(format!(
        "{durability}: {kills} kills, {in_sync} of them in a sync, {acknowledged} acknowledged ({pushed} pushes)"
    ));
    if durability != "none" && in_sync * 2 < kills {
        report.note(format!(
            "{durability}: fewer than half of the kills met a sync: this disk syncs too fast to be met, or not at all"
        ));
    }
    Ok(())
}

fn start_server(directory: &Path, durability: &str, log: &Path, report: &mut Report) -> Option<Process> {
    match process::serve(directory, 0, durability, log) {
        Ok(server) => {
            report.recovered_in(server.started_in);
            Some(server)
        }
        Err(error) => {
            report.refused += 1;
            report.violate(format!("{durability}: {error}"));
            None
        }
    }
}

/// Takes the end of the log away, as if it had never been written.
fn tear(directory: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).open(last_file(directory)?)?;
    let length = file.metadata()?.len();
    Ok(file.set_len(length.saturating_sub(TORN_BYTES))?)
}

async fn connect(server: &Process) -> anyhow::Result<(Broker, Config)> {
    let connection = process::connect(server).await?;
    // However often it is killed, no job is to blame for it.
    let config = Config { lease: LEASE, crash_limit: 1_000_000, ..Config::default() };
    Ok((Broker::new(connection, &config)?, config))
}

impl Ledger {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with the lock")
    }

    async fn start_clients(
        &self,
        server: &Process,
        seed: u64,
    ) -> anyhow::Result<Vec<tokio::task::JoinHandle<()>>> {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (broker, config) = connect(server).await?;
            let (ledger, random) =
                (self.clone(), Random::new(seed.wrapping_mul(31).wrapping_add(client as u64)));
            clients.push(tokio::spawn(async move {
                // It ends with the server; what was asked for and not answered has an unknown outcome.
                let _ = ledger.work(&broker, &config, random).await;
            }));
        }
        Ok(clients)
    }

    /// Pushes, takes and ends jobs until the server is gone.
    async fn work(&self, broker: &Broker, config: &Config, mut random: Random) -> windlass::Result<()> {
        // The last part is how many jobs it runs at once: of what it leaves only the first is suspect.
        let consumer = format!("c{}.1", self.lives.fetch_add(1, Ordering::Relaxed));
        loop {
            let count = 1 + random.below(BATCH_MAX);
            let envelopes: Vec<String> = (0..count)
                .map(|_| format!("{{\"n\":{}}}", self.number.fetch_add(1, Ordering::Relaxed)))
                .collect();
            let ids = broker.push(QUEUE, &envelopes).await?;
            self.acknowledge(ids.len());
            self.seen().pushed.extend(ids.iter().map(|id| id.as_str().to_owned()));
            if random.once_in(8) {
                broker.recover(QUEUE, config, &[]).await?;
            }
            let count = 1 + random.below(BATCH_MAX);
            self.take_and_end(broker, &consumer, count, &mut random).await?;
        }
    }

    /// Takes jobs and ends most of them; answers how many were taken.
    async fn take_and_end(
        &self,
        broker: &Broker,
        consumer: &str,
        count: usize,
        random: &mut Random,
    ) -> windlass::Result<usize> {
        let request = Request { consumer, count, may_suspect: true, woken: None };
        let taken = broker.fetch(&[QUEUE], request).await?;
        self.acknowledge(taken.len());
        let ids: HashMap<Held, String> =
            taken.iter().map(|taken| (Held::of(taken), taken.job_id(QUEUE).as_str().to_owned())).collect();
        {
            let mut seen = self.seen();
            for id in ids.values().filter(|id| seen.ended.contains_key(*id)).cloned().collect::<Vec<_>>() {
                seen.problems.push(format!("{id} was taken although its end had been acknowledged"));
            }
        }
        let mut held: Vec<Held> = ids.keys().copied().collect();
        held.sort_unstable();
        // Some jobs stay with who has them until the lease is over.
        held.retain(|_| !random.once_in(10));
        if held.is_empty() {
            return Ok(taken.len());
        }
        self.seen().asked.extend(held.iter().map(|held| ids[held].clone()));
        let refused = broker.finish(consumer, Ended { queue: QUEUE, held: &held, extras: &[] }).await?;
        let ended: Vec<&Held> = held.iter().filter(|held| !refused.contains(held)).collect();
        self.acknowledge(ended.len());
        let mut seen = self.seen();
        for held in ended {
            *seen.ended.entry(ids[held].clone()).or_default() += 1;
        }
        Ok(taken.len())
    }

    fn acknowledge(&self, count: usize) {
        self.acknowledged.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Looks at what is there, then drains it, and holds both against what was seen.
    async fn judge(&self, server: &Process, durability: &str, report: &mut Report) -> anyhow::Result<()> {
        let (broker, config) = connect(server).await?;
        let there = entries(&broker).await?;
        {
            let seen = self.seen();
            for id in seen.pushed.iter().filter(|id| !seen.asked.contains(*id) && !there.contains(*id)) {
                report.lose(format!("{durability}: {id} was pushed, and neither ended nor is it there"));
            }
            for id in seen.ended.keys().filter(|id| there.contains(*id)) {
                report.undone += 1;
                report.violate(format!("{durability}: {id} was ended and is there"));
            }
        }
        // The leases of the killed clients end, and what they held comes back. After many kills that is many jobs: what
        // is waited for is the next.
        let mut start = Instant::now();
        let mut random = Random::new(0);
        let mut left = there.len();
        while left > 0 {
            ensure!(start.elapsed() < PATIENCE, "{durability}: {left} jobs cannot be drained");
            broker.recover(QUEUE, &config, &[]).await?;
            let taken = self.take_and_end(&broker, "drain", 500, &mut random).await?;
            if taken > 0 {
                start = Instant::now();
                continue;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            // Those that this very client kept come back by its own lease.
            left = entries(&broker).await?.len();
        }
        let seen = self.seen();
        for id in seen.pushed.iter().filter(|id| !seen.asked.contains(*id)) {
            report.lose(format!("{durability}: {id} was pushed and never taken"));
        }
        for (id, times) in seen.ended.iter().filter(|(_, times)| **times > 1) {
            report.held_twice += 1;
            report.violate(format!("{durability}: {id} was ended {times} times"));
        }
        for problem in &seen.problems {
            report.undone += 1;
            report.violate(format!("{durability}: {problem}"));
        }
        Ok(())
    }
}

/// The ids of all jobs in the queue.
async fn entries(broker: &Broker) -> anyhow::Result<HashSet<String>> {
    let stream = broker.keys().stream(QUEUE);
    let mut command = redis::cmd("XRANGE");
    command.arg(&stream).arg("-").arg("+");
    let entries: Vec<(String, HashMap<String, Vec<u8>>)> =
        command.query_async(&mut broker.connection().clone()).await.context("the queue can be read")?;
    Ok(entries.into_iter().map(|(id, _)| format!("{QUEUE}/{id}")).collect())
}
