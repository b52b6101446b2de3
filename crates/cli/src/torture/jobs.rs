//! SIGKILL of server, owner and worker in mid-job, by the library's own client and workers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use windlass::broker::Broker;
use windlass::{Client, Connection};
use windlass_db::faults::Random;

use super::Plan;
use super::guard::Guard;
use super::process::{self, Process, free_port};
use super::report::Report;
use super::work::{CONCURRENCY, Effect, config, now_us};

const PUSHERS: usize = 4;
/// Jobs that ran to their end between two kills.
const ENDS_PER_KILL: u64 = 25;
/// The jobs that may be ahead of the workers.
const AHEAD_MAX: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the store is, and who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// A server, and workers that reach it by TCP.
    Server,
    /// A directory that one of the workers owns.
    Directory,
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let kills = plan.kills(50, 5_000);
    let share = kills.div_ceil(2);
    for (setting, kills) in [(Setting::Server, share), (Setting::Directory, kills - share)] {
        if plan.is_done(&report) {
            break;
        }
        let world = World::new(plan, setting)?;
        tokio::runtime::Handle::current().block_on(world.run(plan, kills, &mut report))?;
    }
    Ok(report)
}

struct World {
    setting: Setting,
    folder: PathBuf,
    port: u16,
    acknowledged: Arc<Mutex<HashSet<u64>>>,
    next: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    /// When each killed process was still alive, by its number.
    alive_until: HashMap<u32, u64>,
}

impl World {
    fn new(plan: &Plan, setting: Setting) -> anyhow::Result<Self> {
        let folder = plan.scratch.on_disk()?;
        let (acknowledged, next, is_over) = Default::default();
        let alive_until = HashMap::new();
        Ok(Self { setting, folder, port: free_port()?, acknowledged, next, is_over, alive_until })
    }

    async fn run(mut self, plan: &Plan, kills: usize, report: &mut Report) -> anyhow::Result<()> {
        let setting = self.setting;
        let mut random = Random::new(plan.seed);
        let mut server = (setting == Setting::Server).then(|| self.serve(report)).transpose()?;
        let mut workers = vec![self.start_worker(report)?, self.start_worker(report)?];
        let client = self.client().await?;
        let pushers = self.push(&client);
        let start = Instant::now();
        let patience = PATIENCE + Duration::from_secs(10) * kills as u32;
        for kill in 0..kills {
            // Now and then as soon as a worker is up: it may be reaching the owner that is killed. A server has to be there
            // when a worker starts.
            let is_soon = setting == Setting::Directory && random.once_in(4);
            let wanted = if is_soon { 0 } else { ENDS_PER_KILL * (kill as u64 + 1) };
            while self.notes().ends < wanted {
                ensure!(start.elapsed() < patience, "{setting:?}: no more jobs run");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            report.cycles += 1;
            self.replace_ended(&mut workers, report)?;
            match &mut server {
                Some(server) if random.once_in(2) => {
                    server.kill();
                    *server = self.serve(report)?;
                }
                Some(_) => self.replace(&mut workers, None, report)?,
                None => {
                    let owner = random.below(3).gt(&0).then(|| self.owner()).flatten();
                    self.replace(&mut workers, owner, report)?;
                }
            }
            if plan.guard == Some(Guard::Hold) {
                self.drop_held(&client).await?;
            }
        }
        self.is_over.store(true, Ordering::Relaxed);
        for pusher in pushers {
            pusher.await?;
        }
        let drain = Instant::now();
        // What is still missing after that is judged below.
        let patience = PATIENCE / if plan.guard.is_some() { 9 } else { 1 };
        while self.missing(&self.notes()).next().is_some() && drain.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.replace_ended(&mut workers, report)?;
        self.judge(kills, workers.len() * CONCURRENCY, report);
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn notes_file(&self) -> PathBuf {
        self.folder.join("notes")
    }

    fn url(&self) -> String {
        match self.setting {
            Setting::Server => format!("redis://127.0.0.1:{}", self.port),
            Setting::Directory => format!("file:{}", self.directory().display()),
        }
    }

    fn serve(&self, report: &mut Report) -> anyhow::Result<Process> {
        let server = process::serve(&self.directory(), self.port, "always", &self.folder.join("log"));
        let server = server.inspect_err(|_| report.refused += 1)?;
        report.recovered_in(server.started_in);
        Ok(server)
    }

    fn start_worker(&self, report: &mut Report) -> anyhow::Result<Process> {
        let mut command = process::program()?;
        command.arg("torture").arg("--work").arg(self.notes_file()).args(["--store", &self.url()]);
        command.current_dir(&self.folder);
        let worker =
            Process::start(command, &self.folder.join("log")).inspect_err(|_| report.refused += 1)?;
        report.recovered_in(worker.started_in);
        Ok(worker)
    }

    /// Kills a worker, the first unless `which` names one, and starts another.
    fn replace(
        &mut self,
        workers: &mut Vec<Process>,
        which: Option<u32>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let place = workers.iter().position(|worker| Some(worker.id()) == which).unwrap_or(0);
        let mut worker = workers.remove(place);
        self.alive_until.insert(worker.id(), now_us());
        worker.kill();
        workers.push(self.start_worker(report)?);
        Ok(())
    }

    /// A worker works until it is killed, whoever else ends.
    fn replace_ended(&mut self, workers: &mut [Process], report: &mut Report) -> anyhow::Result<()> {
        for worker in workers {
            if !worker.is_alive() {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let said = log.lines().last().unwrap_or("it said nothing");
                report.violate(format!("{:?}: a worker ended by itself: {said}", self.setting));
                self.alive_until.insert(worker.id(), now_us());
                *worker = self.start_worker(report)?;
            }
        }
        Ok(())
    }

    /// The process that has the directory, as it says itself.
    fn owner(&self) -> Option<u32> {
        let line = fs::read_to_string(self.directory().join("windlass.lock")).ok()?;
        line.split(' ').next()?.parse().ok()
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let connection = windlass_conn::Config { takes_over: false, ..windlass_conn::Config::default() };
        let connection = Connection::open_with(&self.url(), connection).await.context("the store answers")?;
        Ok(Client::with_config(connection, config()).await?)
    }

    /// Forgets the jobs that ended processes had taken, as a store does that removes what it hands out.
    async fn drop_held(&self, client: &Client) -> anyhow::Result<()> {
        let broker = Broker::new(client.connection().clone(), &config())?;
        let (stream, mut connection) = (broker.keys().stream("default"), broker.connection().clone());
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&[&stream, "w", "-", "+", "10000"]);
        let pending: Vec<(String, String, u64, u64)> = pending.query_async(&mut connection).await?;
        let is_of_ended = |consumer: &str| {
            self.alive_until.keys().any(|process| consumer.split('.').any(|part| part == process.to_string()))
        };
        for (entry, ..) in pending.iter().filter(|(_, consumer, ..)| is_of_ended(consumer)) {
            let mut pipe = redis::pipe();
            pipe.cmd("XACK").arg(&[&stream, "w", entry]).cmd("XDEL").arg(&[&stream, entry]);
            pipe.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    /// Pushes until told to end.
    fn push(&self, client: &Client) -> Vec<tokio::task::JoinHandle<()>> {
        let pushers = (0..PUSHERS).map(|_| {
            let (client, acknowledged, next) = (client.clone(), self.acknowledged.clone(), self.next.clone());
            let (is_over, notes) = (self.is_over.clone(), self.notes_file());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // A push that fails may or may not have happened: it counts as neither.
                    if client.push(Effect { number, notes: notes.clone() }).await.is_ok() {
                        acknowledged.lock().expect("nobody panics with the lock").insert(number);
                    }
                    while number > read_ends(&notes) + AHEAD_MAX && !is_over.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        });
        pushers.collect()
    }

    fn notes(&self) -> Notes {
        Notes::read(&self.notes_file())
    }

    /// The acknowledged jobs that have no effect.
    fn missing(&self, notes: &Notes) -> impl Iterator<Item = u64> + use<> {
        let acknowledged = self.acknowledged.lock().expect("nobody panics with the lock");
        let has_effect =
            |number: &u64| notes.runs.get(number).is_some_and(|runs| runs.iter().any(Run::has_effect));
        let missing: Vec<u64> = acknowledged.iter().filter(|number| !has_effect(number)).copied().collect();
        missing.into_iter()
    }

    fn judge(&self, kills: usize, cap: usize, report: &mut Report) {
        let notes = self.notes();
        let acknowledged = self.acknowledged.lock().expect("nobody panics with the lock").clone();
        report.acknowledged += acknowledged.len() as u64;
        let setting = self.setting;
        for number in self.missing(&notes) {
            report.lose(format!("{setting:?}: job {number} was pushed and has no effect"));
        }
        let runs: usize = notes.runs.values().map(Vec::len).sum();
        let repeated = runs - notes.runs.len();
        if repeated > kills * cap {
            report.violate(format!(
                "{setting:?}: {repeated} runs too many for {kills} kills and {cap} jobs at once"
            ));
        }
        for (number, runs) in &notes.runs {
            let mut until = 0;
            for run in runs {
                if run.begin < until {
                    report.held_twice += 1;
                    report.violate(format!("{setting:?}: job {number} ran twice at one time: {runs:?}"));
                }
                until =
                    until.max(run.end.or(self.alive_until.get(&run.process).copied()).unwrap_or(run.begin));
            }
        }
        let count = acknowledged.len();
        report.note(format!(
            "{setting:?}: {kills} kills, {count} acknowledged, {runs} runs, {repeated} repeated"
        ));
    }
}

/// One run of a job.
#[derive(Clone, Copy, Debug)]
struct Run {
    process: u32,
    begin: u64,
    /// None when it did not get there.
    end: Option<u64>,
}

impl Run {
    fn has_effect(&self) -> bool {
        self.end.is_some()
    }
}

/// What the jobs noted.
struct Notes {
    runs: BTreeMap<u64, Vec<Run>>,
    ends: u64,
}

impl Notes {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut notes = Self { runs: BTreeMap::new(), ends: 0 };
        for line in text.lines() {
            let mut words = line.split(' ');
            let what = words.next().unwrap_or_default();
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (Some(job), Some(process), Some(time)) = (number(), number(), number()) else { continue };
            let runs = notes.runs.entry(job).or_default();
            let process = process as u32;
            if what == "begin" {
                runs.push(Run { process, begin: time, end: None });
            } else {
                notes.ends += 1;
                let mut open =
                    runs.iter_mut().rev().filter(|run| run.process == process && run.end.is_none());
                if let Some(run) = open.next() {
                    run.end = Some(time);
                }
            }
        }
        notes
    }
}

/// About how many jobs have run to their end, by the size of the notes.
fn read_ends(file: &Path) -> u64 {
    /// Two lines of a run are about this long.
    const RUN_BYTES: u64 = 66;
    fs::metadata(file).map_or(0, |metadata| metadata.len() / RUN_BYTES)
}
