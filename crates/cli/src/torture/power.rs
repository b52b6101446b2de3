//! Power cuts at each step of log, rewrite and opening.

mod writers;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use windlass_db::faults::{Failure, Fault, FaultDisk, Ledger, Operation, PowerDisk};
use windlass_db::{Config, Database, Durability};

use super::Plan;
use super::guard::Guard;
use super::report::Report;

/// How long calls are made under `everysec`: for two of its syncs and more.
const EVERYSEC_TIME: Duration = Duration::from_millis(2_300);
/// The pause between those calls.
const EVERYSEC_PAUSE: Duration = Duration::from_millis(40);
/// What `everysec` may lose: its interval, and the time that a sync takes to begin on a busy machine.
const EVERYSEC_WINDOW: Duration = Duration::from_secs(2);
/// How many states are looked at after each step of an opening.
const OPENING_SEEDS: usize = 4;

/// One run whose every step is followed by power cuts.
struct Run {
    root: PathBuf,
    live: PathBuf,
    left: PathBuf,
    power: PowerDisk,
    disk: FaultDisk<PowerDisk>,
    ledger: Ledger,
    /// After so many steps so many calls were acknowledged, and when.
    marks: Vec<(usize, usize, Instant)>,
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    if matches!(plan.guard, None | Some(Guard::Position)) {
        writers::run(plan, &mut report)?;
    }
    if plan.guard == Some(Guard::Position) {
        return Ok(report);
    }
    always(plan, &mut report)?;
    if plan.guard.is_none() {
        openings(plan, &mut report)?;
        everysec(plan, &mut report)?;
    }
    Ok(report)
}

/// Log, rewrite, failure and the fresh log after it, under `always`.
fn always(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let mut run = Run::new(plan, plan.seed)?;
    let is_late = plan.guard == Some(Guard::SyncFirst);
    let database = run.open(if is_late { Durability::None } else { Durability::Always })?;
    run.call(&database, 12);
    database.compact()?;
    run.call(&database, 8);
    // The log fails, and a fresh one takes its place.
    run.disk.fail(Fault {
        operation: Some(Operation::Write),
        after: 0,
        count: 1,
        failure: Failure::Error(ErrorKind::StorageFull),
    });
    let session = database.session("power");
    run.ledger.call(&session);
    database.compact()?;
    // It holds what ran, acknowledged or not.
    run.mark();
    run.call(&database, 5);
    drop((session, database));
    report.acknowledged += run.ledger.calls() as u64;
    run.cut_everywhere(plan, plan.figure_of_build(40, 100, 10_000) as u64, report, |run, step| {
        run.acknowledged(step)
    })?;
    run.remove()
}

/// A process killed at each step, the opening after it, and a power cut at each step of that.
fn openings(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let seed = plan.seed.wrapping_add(1);
    let work = |run: &mut Run| -> anyhow::Result<()> {
        // It is killed somewhere in this.
        if let Ok(database) = run.open(Durability::Always) {
            run.call(&database, 3);
            let _ = database.compact();
            run.call(&database, 2);
        }
        Ok(())
    };
    let steps = {
        let mut run = Run::new(plan, seed)?;
        work(&mut run)?;
        let steps = run.power.steps();
        run.remove()?;
        steps
    };
    for killed in 1..steps {
        let mut run = Run::new(plan, seed)?;
        run.power.kill_after(killed);
        work(&mut run)?;
        let (before, acknowledged) = (run.power.steps(), run.acknowledged(usize::MAX));
        run.power = run.power.next_process();
        run.disk = FaultDisk::new(run.power.clone());
        let found = match run.open(Durability::Always) {
            Ok(database) => run.ledger.judge(&database, acknowledged),
            Err(error) => Err(error.to_string()),
        };
        let found = match found {
            Ok(found) => found,
            Err(wrong) => {
                report.lose(format!("killed after step {killed}: {wrong}"));
                continue;
            }
        };
        // What the opening showed somebody may have relied on.
        let opened = run.power.steps();
        let seeds = plan.figure(OPENING_SEEDS, 100) as u64;
        for step in before..opened + 1 {
            let least = if step == opened { found } else { acknowledged };
            run.cut_at(step, seeds, least, report, &format!("killed after step {killed}, "))?;
        }
        run.remove()?;
    }
    Ok(())
}

/// What `everysec` may lose, and no more.
fn everysec(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let mut run = Run::new(plan, plan.seed.wrapping_add(2))?;
    let database = run.open(Durability::Everysec)?;
    let start = Instant::now();
    while start.elapsed() < EVERYSEC_TIME {
        run.call(&database, 1);
        std::thread::sleep(EVERYSEC_PAUSE);
    }
    // The end of the process syncs: the power is cut before.
    let (steps, end) = (run.power.steps(), Instant::now());
    drop(database);
    let old = run.marks.iter().rfind(|(_, _, at)| end.duration_since(*at) > EVERYSEC_WINDOW);
    let least = old.map_or(0, |(_, calls, _)| *calls);
    let synced = run.acknowledged(run.power.synced(steps));
    report.acknowledged += run.ledger.calls() as u64;
    let seeds = plan.figure(200, 10_000) as u64;
    run.cut_at(steps, seeds, least.max(synced), report, "everysec, ")?;
    let lost = run.acknowledged(steps) - synced;
    let age =
        run.marks.iter().find(|(_, calls, _)| *calls > synced).map(|(_, _, at)| end.duration_since(*at));
    report.note(format!(
        "everysec: a power cut may take {lost} acknowledged calls, the oldest {:.2} s old",
        age.unwrap_or_default().as_secs_f64()
    ));
    run.remove()
}

impl Run {
    fn new(plan: &Plan, seed: u64) -> anyhow::Result<Self> {
        let root = plan.scratch.in_memory()?;
        let [live, left] = ["live", "left"].map(|name| root.join(name));
        fs::create_dir(&live)?;
        fs::create_dir(&left)?;
        let power = PowerDisk::new(&live)?;
        let disk = FaultDisk::new(power.clone());
        let skipped = match plan.guard {
            Some(Guard::Sync) => Some(Operation::Sync),
            Some(Guard::SyncFolder) => Some(Operation::SyncFolder),
            _ => None,
        };
        if skipped.is_some() {
            disk.fail(Fault { operation: skipped, after: 0, count: usize::MAX, failure: Failure::Skipped });
        }
        Ok(Self { root, live, left, power, disk, ledger: Ledger::new(seed), marks: Vec::new() })
    }

    fn open(&self, durability: Durability) -> windlass_db::Result<Database> {
        open(&self.live, durability, self.disk.clone())
    }

    /// Makes calls, and remembers when each was acknowledged.
    fn call(&mut self, database: &Database, count: usize) {
        for _ in 0..count {
            let before = self.ledger.calls();
            if self.ledger.run(database, 1) > before {
                self.mark();
            }
        }
    }

    fn mark(&mut self) {
        self.marks.push((self.power.steps(), self.ledger.calls(), Instant::now()));
    }

    /// How many calls were acknowledged when so many steps were done.
    fn acknowledged(&self, steps: usize) -> usize {
        self.marks.iter().rfind(|(at, ..)| *at <= steps).map_or(0, |(_, calls, _)| *calls)
    }

    fn cut_everywhere(
        &self,
        plan: &Plan,
        seeds: u64,
        report: &mut Report,
        least: impl Fn(&Self, usize) -> usize,
    ) -> anyhow::Result<()> {
        for step in 0..self.power.steps() + 1 {
            self.cut_at(step, seeds, least(self, step), report, "")?;
            // A guard that is out is noticed soon, or at the end of all seeds.
            if plan.is_done(report) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Cuts the power after a step, in many ways, and holds that the calls are there.
    fn cut_at(
        &self,
        step: usize,
        seeds: u64,
        least: usize,
        report: &mut Report,
        when: &str,
    ) -> anyhow::Result<()> {
        let cut = self.power.cut_after(step);
        for seed in 0..seeds {
            cut.survive(seed, &self.left)?;
            let start = Instant::now();
            report.cycles += 1;
            match open(&self.left, Durability::Always, PowerDisk::new(&self.left)?) {
                Ok(database) => {
                    report.recovered_in(start.elapsed());
                    if let Err(wrong) = self.ledger.judge(&database, least) {
                        report.lose(format!("{when}cut after step {step}, seed {seed}: {wrong}"));
                    }
                }
                Err(error) => {
                    report.refused += 1;
                    report.violate(format!("{when}cut after step {step}, seed {seed}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn remove(self) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(self.root)?)
    }
}

fn open(
    folder: &Path,
    durability: Durability,
    disk: impl windlass_db::Disk,
) -> windlass_db::Result<Database> {
    let config = Config { durability, log_retry_ms: 0, ..Config::default() };
    Ok(Database::open_with(folder.join("data"), config, Ledger::clock(), disk)?.0)
}
