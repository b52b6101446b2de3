//! Operations of the disk that fail at the Nth call.

use std::io::ErrorKind;
use std::time::Instant;

use windlass_db::faults::{Answer, Failure, Fault, FaultDisk, Ledger, Operation, PowerDisk, Random};
use windlass_db::{Config, Database};

use super::Plan;
use super::guard::Guard;
use super::report::Report;

/// The last operation that fails.
const NTH_MAX: usize = 1_000;
/// A rewrite after each of so many calls: its operations are among those that fail.
const REWRITE_EVERY: usize = 40;
/// How many states are looked at that a power cut could leave after the fault.
const CUTS: u64 = 3;

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    // By the small figures each of the first operations fails, and one in so many of the later ones.
    let (all, step) = (plan.figure_of_build(60, NTH_MAX, NTH_MAX), plan.figure_of_build(130, 1, 1));
    let mut nth = 0;
    while nth < NTH_MAX && !plan.is_done(&report) {
        for failure in failures(plan, nth) {
            try_one(plan, nth, failure, &mut report)?;
        }
        nth += if nth < all { 1 } else { step };
    }
    Ok(report)
}

/// How the Nth operation fails: in all ways by the large figures, by turns otherwise.
fn failures(plan: &Plan, nth: usize) -> Vec<Failure> {
    if plan.guard == Some(Guard::Error) {
        return vec![Failure::Skipped];
    }
    let all = [
        Failure::Error(ErrorKind::Other),
        Failure::Error(ErrorKind::StorageFull),
        Failure::Short,
        Failure::Interrupted,
    ];
    if plan.is_full { all.to_vec() } else { vec![all[nth % all.len()]] }
}

fn try_one(plan: &Plan, nth: usize, failure: Failure, report: &mut Report) -> anyhow::Result<()> {
    let mut random = Random::new(plan.seed.wrapping_add(nth as u64));
    let root = plan.scratch.in_memory()?;
    let [live, left] = ["live", "left"].map(|name| root.join(name));
    std::fs::create_dir(&live)?;
    std::fs::create_dir(&left)?;
    let power = PowerDisk::new(&live)?;
    let disk = FaultDisk::new(power.clone());
    // A signal that came for ever would have every write tried for ever.
    let lasting = if failure == Failure::Interrupted { 100 } else { usize::MAX };
    let count = [1, 3, lasting][random.below(3)];
    let operation = (failure == Failure::Skipped).then_some(Operation::Write);
    disk.fail(Fault { operation, after: nth, count, failure });
    report.cycles += 1;
    let mut ledger = Ledger::new(plan.seed.wrapping_add(nth as u64));
    let config = Config { log_retry_ms: 0, ..Config::default() };
    let opened = Database::open_with(live.join("data"), config, Ledger::clock(), disk.clone());
    let acknowledged = opened.map_or(0, |(database, _)| work(&database, &disk, &mut ledger, nth, report));
    report.acknowledged += acknowledged as u64;
    if disk.syncs_of_lost() > 0 {
        report.violate(format!("operation {nth} {failure:?}: a file was synced after its sync had failed"));
    }
    let cut = power.cut_after(power.steps());
    let place = |what: &str| format!("operation {nth} {failure:?}, {what}");
    // The process ends, and the next one finds what was written.
    let start = Instant::now();
    let next = power.next_process();
    match Database::open_with(live.join("data"), Config::default(), Ledger::clock(), next) {
        Ok((database, _)) => {
            report.recovered_in(start.elapsed());
            if let Err(wrong) = ledger.judge(&database, acknowledged) {
                report.lose(place(&wrong));
            }
        }
        Err(error) => {
            report.refused += 1;
            report.violate(place(&error.to_string()));
        }
    }
    for seed in 0..CUTS {
        cut.survive(plan.seed.wrapping_mul(seed).wrapping_add(seed), &left)?;
        let disk = PowerDisk::new(&left)?;
        match Database::open_with(left.join("data"), Config::default(), Ledger::clock(), disk) {
            Ok((database, _)) => {
                if let Err(wrong) = ledger.judge(&database, acknowledged) {
                    report.lose(place(&format!("power cut {seed}: {wrong}")));
                }
            }
            Err(error) => {
                report.refused += 1;
                report.violate(place(&format!("power cut {seed}: {error}")));
            }
        }
    }
    std::fs::remove_dir_all(root)?;
    Ok(())
}

/// Calls until the Nth operation has failed, and a little longer; answers how many calls were acknowledged.
fn work(
    database: &Database,
    disk: &FaultDisk<PowerDisk>,
    ledger: &mut Ledger,
    nth: usize,
    report: &mut Report,
) -> usize {
    let session = database.session("fault");
    let (mut acknowledged, mut has_failed) = (0, false);
    while disk.operations() <= nth + 20 {
        match ledger.call(&session) {
            Answer::Acknowledged if has_failed => {
                report.violate(format!("operation {nth}: a write was acknowledged by a log that had failed"));
                break;
            }
            Answer::Acknowledged => acknowledged = ledger.calls(),
            Answer::Unknown if has_failed => {
                report.violate(format!("operation {nth}: a write ran although the log had failed"));
                break;
            }
            // What comes next is refused before it runs, and the log comes back once the disk is well.
            Answer::Unknown => has_failed = true,
            Answer::Refused(_) => {
                disk.heal();
                if database.compact().is_err() {
                    break;
                }
                acknowledged = ledger.calls();
                if ledger.call(&session) == Answer::Acknowledged {
                    acknowledged = ledger.calls();
                }
                break;
            }
        }
        if ledger.calls() % REWRITE_EVERY == REWRITE_EVERY - 1 {
            // It may fail; the log then goes on or has failed, which the next call tells. One that does not fail leaves a
            // fresh log, whatever the one before was.
            has_failed &= database.compact().is_err();
        }
    }
    acknowledged
}
