//! A log that a crash has torn at any byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use windlass_db::faults::{Failure, Fault, FaultDisk, Ledger, Operation, UnsyncedDisk, recover};
use windlass_db::{Config, Database};

use super::Plan;
use super::guard::Guard;
use super::report::Report;

/// How much of the log's end is cut, byte by byte.
const CUT_BYTES: usize = 64 << 10;
/// Long values make few groups, and those are what an opening takes time for.
const VALUE_BYTES: usize = 1_500;
/// The data is looked at after each of so many cuts, and at the ends of all groups.
const LOOK_EVERY: usize = 509;

/// A log, and how many calls it holds up to each end of a group.
pub struct Written {
    pub directory: PathBuf,
    pub ledger: Ledger,
    /// The last file.
    pub file: PathBuf,
    pub bytes: Vec<u8>,
    /// The offset in the last file, and the calls up to there.
    pub ends: Vec<(usize, usize)>,
}

impl Written {
    /// Writes a log of at least so many bytes, the last file being that long, after a base if `has_base`.
    pub fn new(plan: &Plan, bytes_min: usize, has_base: bool) -> anyhow::Result<Self> {
        let directory = plan.scratch.in_memory()?;
        let mut ledger = Ledger::new(plan.seed).with_values_of(VALUE_BYTES);
        let (database, _) = open(&directory)?;
        if has_base {
            ledger.run(&database, 40);
            database.compact()?;
        }
        let file = last_file(&directory)?;
        let mut ends = vec![(0, ledger.calls())];
        while ends.last().is_some_and(|(end, _)| *end < bytes_min) {
            ledger.run(&database, 1);
            ends.push((fs::metadata(&file)?.len() as usize, ledger.calls()));
        }
        drop(database);
        let bytes = fs::read(&file)?;
        Ok(Self { directory, ledger, file, bytes, ends })
    }

    /// The last whole group's end in the first `length` bytes, and the calls up to there.
    pub fn end_before(&self, length: usize) -> (usize, usize) {
        *self.ends.iter().rfind(|(end, _)| *end <= length).expect("the start is one")
    }
}

pub fn open(directory: &Path) -> windlass_db::Result<(Database, windlass_db::Recovery)> {
    Database::open_with(directory, Config::default(), Ledger::clock(), UnsyncedDisk)
}

/// The file of the log that grows.
pub fn last_file(directory: &Path) -> anyhow::Result<PathBuf> {
    let folder = directory.join("appendonlydir");
    let manifest = fs::read_to_string(folder.join("appendonly.aof.manifest"))?;
    let line = manifest.lines().rfind(|line| line.ends_with(" type i"));
    let name = line.and_then(|line| line.split(' ').nth(1));
    Ok(folder.join(name.ok_or_else(|| anyhow::anyhow!("the manifest names no file that grows"))?))
}

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let written = Written::new(plan, CUT_BYTES + 1, true)?;
    let length = written.bytes.len();
    let disk = FaultDisk::new(UnsyncedDisk);
    if plan.guard == Some(Guard::Cut) {
        let (operation, failure) = (Some(Operation::Truncate), Failure::Skipped);
        disk.fail(Fault { operation, after: 0, count: usize::MAX, failure });
    }
    report.acknowledged = written.ledger.calls() as u64;
    // A build for tests cuts at every byte of the end, and before that at one in so many.
    let every = plan.figure_of_build(4 << 10, CUT_BYTES, CUT_BYTES);
    let stride = plan.figure_of_build(23, 1, 1);
    let sparse = (length - CUT_BYTES..length - every).step_by(stride);
    for cut in sparse.chain(length - every..length + 1) {
        if plan.is_done(&report) {
            break;
        }
        let (end, calls) = written.end_before(cut);
        fs::write(&written.file, &written.bytes[..cut])?;
        report.cycles += 1;
        let start = Instant::now();
        let recovery = match recover(&written.directory, &disk) {
            Ok(recovery) => recovery,
            Err(error) => {
                report.refused += 1;
                report.violate(format!("cut at {cut}: {error}"));
                continue;
            }
        };
        report.recovered_in(start.elapsed());
        let told = recovery.cut.map_or((end as u64, 0), |cut| (cut.offset, cut.bytes));
        if told != (end as u64, (cut - end) as u64) {
            report
                .violate(format!("cut at {cut}: the last whole group ends at {end}, and {told:?} was told"));
        }
        let left = fs::metadata(&written.file)?.len();
        if left != end as u64 {
            report.violate(format!("cut at {cut}: {left} bytes are left where {end} are whole"));
            continue;
        }
        // The opening's bytes are right; its data follows from them, and is looked at now and then.
        if cut - end < 2 || cut % LOOK_EVERY == 0 {
            match written.ledger.judge(&open(&written.directory)?.0, calls) {
                Ok(found) if found == calls => {}
                Ok(found) => report.violate(format!("cut at {cut}: {found} calls are there and not {calls}")),
                Err(wrong) => report.lose(format!("cut at {cut}: {wrong}")),
            }
        }
    }
    Ok(report)
}
