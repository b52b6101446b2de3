//! SIGKILL of the server under push, lease and finish from four clients.

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
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
use super::preload::{self, Library};
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
/// How long a kill waits for a sync to happen in. Under `everysec` there are three in it.
const SYNC_PATIENCE: Duration = Duration::from_millis(3_500);
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
    let library = Library::compile(&plan.scratch.in_memory()?)?;
    if let Err(why) = &library {
        report.note(format!("no kill was timed to a sync: {why}"));
    }
    for durability in ["always", "everysec", "none"] {
        if plan.is_done(&report) {
            break;
        }
        // Under `none` nothing is synced but at a rewrite and at a file's start, and every moment is as good.
        let library = library.as_ref().ok().filter(|_| durability != "none");
        let ran = run_one(plan, durability, library, &mut report);
        tokio::runtime::Handle::current().block_on(ran)?;
    }
    Ok(report)
}

async fn run_one(
    plan: &Plan,
    durability: &str,
    library: Option<&Library>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let folder = plan.scratch.on_disk()?;
    let place = Place { folder, durability, library };
    let ledger = Ledger::default();
    let kills = plan.kills(10, 2_000);
    let patience = PATIENCE + Duration::from_secs(5) * kills as u32;
    let (start, mut in_sync) = (Instant::now(), 0);
    let mut random = Random::new(plan.seed);
    for kill in 0..kills {
        let Some(mut server) = place.start_server(report)? else { return Ok(()) };
        let clients = ledger.start_clients(&server, plan.seed.wrapping_add(kill as u64)).await?;
        let wanted = ACKNOWLEDGED_PER_KILL * (kill as u64 + 1);
        while ledger.acknowledged.load(Ordering::Relaxed) < wanted {
            ensure!(start.elapsed() < patience, "{durability}: the clients get no further");
            ensure!(server.is_alive(), "{durability}: the server ended by itself");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if library.is_some() {
            place.await_sync(&mut random).await;
        }
        server.kill();
        in_sync += usize::from(place.is_in_sync());
        report.cycles += 1;
        for client in clients {
            client.await?;
        }
        match plan.guard {
            Some(Guard::Write) => tear(&place.directory())?,
            Some(Guard::Replay) => fs::write(last_file(&place.directory())?, "")?,
            _ => {}
        }
    }
    let acknowledged = ledger.acknowledged.load(Ordering::Relaxed);
    report.acknowledged += acknowledged;
    let Some(server) = place.start_server(report)? else { return Ok(()) };
    ledger.judge(&server, durability, report).await?;
    let pushed = ledger.seen().pushed.len();
    report.note(format!(
        "{durability}: {kills} kills, {in_sync} of them in a sync, {acknowledged} acknowledged ({pushed} pushes)"
    ));
    if library.is_some() && in_sync * 2 < kills {
        report.violate(format!(
            "{durability}: fewer than half of the kills met a sync: this proves too little"
        ));
    }
    Ok(())
}

/// Where a server of the stage lives, and how it runs.
struct Place<'a> {
    folder: PathBuf,
    durability: &'a str,
    library: Option<&'a Library>,
}

impl Place<'_> {
    fn directory(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The file that counts the syncs under way.
    fn syncs(&self) -> PathBuf {
        self.folder.join("syncs")
    }

    /// Starts a server; none when it does not start, which is a violation.
    fn start_server(&self, report: &mut Report) -> anyhow::Result<Option<Process>> {
        let (directory, log) = (self.directory(), self.folder.join("server.log"));
        let mut command = process::serve_command(&directory, 0, self.durability)?;
        if let Some(library) = self.library {
            library.load(&mut command, preload::SLOW_SYNCS, &directory, &self.syncs());
        }
        Ok(match Process::start(command, &log) {
            Ok(server) => {
                report.recovered_in(server.started_in);
                Some(server)
            }
            Err(error) => {
                report.refused += 1;
                report.violate(format!("{}: {error}", self.durability));
                None
            }
        })
    }

    /// True while a sync of the server is under way, or was when it was killed.
    fn is_in_sync(&self) -> bool {
        fs::read(self.syncs()).is_ok_and(|count| count.iter().any(|byte| *byte != 0))
    }

    /// Returns at some moment of a sync, or after a while.
    async fn await_sync(&self, random: &mut Random) {
        let start = Instant::now();
        while !self.is_in_sync() && start.elapsed() < SYNC_PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(3) as u64)).await;
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
