//! Bits that changed on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use windlass_db::Error;
use windlass_db::faults::Random;

use super::Plan;
use super::cut::{Written, open};
use super::guard::Guard;
use super::report::Report;

/// The length of the last file; the base is about as long.
const LOG_BYTES: usize = 32 << 10;

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut random = Random::new(plan.seed);
    let written = Written::new(plan, LOG_BYTES, true)?;
    let base_path = base(&written.directory)?;
    let base = fs::read(&base_path)?;
    let (last, before_last) = {
        let [.., (start, calls), _] = written.ends[..] else { anyhow::bail!("the log has one group") };
        (start, calls)
    };
    let (mut cuts, mut refusals) = (0, 0);
    report.acknowledged = written.ledger.calls() as u64;
    for cycle in 0..plan.figure(1_000, 100_000) {
        if plan.is_done(&report) {
            break;
        }
        let is_base = random.once_in(2);
        let (path, whole) = if is_base { (&base_path, &base) } else { (&written.file, &written.bytes) };
        // Some flips are aimed at the last group, of which there is little.
        let first = if is_base || !random.once_in(4) { 0 } else { last };
        let bit = first * 8 + random.below((whole.len() - first) * 8);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&base_path, &base)?;
        fs::write(&written.file, &written.bytes)?;
        fs::write(path, if plan.guard == Some(Guard::Annotation) { unchecked(&bytes) } else { bytes })?;
        report.cycles += 1;
        let place = format!("flip {cycle}, bit {bit} of {}", path.display());
        match open(&written.directory) {
            Err(Error::Damaged { offset, .. }) if offset <= (bit / 8) as u64 + 1 => refusals += 1,
            Err(Error::Damaged { offset, .. }) => report.violate(format!("{place}: found at {offset} only")),
            Err(error) => report.violate(format!("{place}: refused without its place: {error}")),
            Ok((database, recovery)) => {
                let is_last = !is_base && bit / 8 >= last;
                let is_cut = recovery.cut.as_ref().is_some_and(|cut| cut.offset == last as u64);
                match written.ledger.judge(&database, before_last) {
                    Ok(found) if found == before_last && is_last && is_cut => cuts += 1,
                    Ok(found) => report.violate(format!("{place}: was loaded, {found} calls, {recovery:?}")),
                    Err(wrong) => report.violate(format!("{place}: was loaded: {wrong}")),
                }
            }
        }
    }
    report.note(format!(
        "{cuts} cut with the last group, {refusals} refused with their place, 0 are to be loaded"
    ));
    Ok(report)
}

/// The base of the log in a directory.
fn base(directory: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(directory.join("appendonlydir"))?.filter_map(Result::ok);
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| path.to_string_lossy().ends_with(".base.aof")).context("the log has a base")
}

/// The same records without what covers them: they are then read as Redis's own, of which no checksum is known.
fn unchecked(bytes: &[u8]) -> Vec<u8> {
    let mut left = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b"#WL ") {
            left.extend_from_slice(line);
        }
    }
    left
}
