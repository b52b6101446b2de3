//! What a stage found.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use serde::Serialize;

use crate::exit::Result;
use crate::output;

/// So many violations are told in words.
const TOLD_MAX: usize = 8;

/// What a stage found. Judged are only what clients saw acknowledged and what was there afterwards.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub stage: &'static str,
    /// Kills, cuts, flips, faults: how often something was done to the store.
    pub cycles: u64,
    /// What clients saw acknowledged.
    pub acknowledged: u64,
    /// What of it was not there afterwards.
    pub lost: u64,
    /// What was acknowledged as done and had to be done again.
    pub undone: u64,
    /// Jobs that two could end at one time.
    pub held_twice: u64,
    /// How often the store did not start again.
    pub refused: u64,
    pub slowest_recovery_ms: f64,
    pub seconds: f64,
    pub budget_seconds: f64,
    /// What is worth knowing beside the figures.
    pub notes: Vec<String>,
    /// What does not hold, in words; the first few.
    pub violations: Vec<String>,
    /// Why the stage could not run here.
    pub skipped: Option<String>,
    violations_total: u64,
}

impl Report {
    /// A report of a stage that cannot run here.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: Some(why.into()), ..Self::default() }
    }

    /// Notes what does not hold.
    pub fn violate(&mut self, what: impl Into<String>) {
        self.violations_total += 1;
        if self.violations.len() < TOLD_MAX {
            self.violations.push(what.into());
        }
    }

    /// Notes that acknowledged work is gone.
    pub fn lose(&mut self, what: impl Into<String>) {
        self.lost += 1;
        self.violate(what);
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    /// Remembers how long a start took.
    pub fn recovered_in(&mut self, time: Duration) {
        self.slowest_recovery_ms = self.slowest_recovery_ms.max(time.as_secs_f64() * 1e3);
    }

    pub fn is_violation(&self) -> bool {
        self.violations_total > 0
    }

    pub fn print_notes(&self) -> Result<()> {
        if let Some(why) = &self.skipped {
            output::line(format_args!("  skipped: {why}"))?;
        }
        for note in &self.notes {
            output::line(format_args!("  {note}"))?;
        }
        for violation in &self.violations {
            output::line(format_args!("  VIOLATION: {violation}"))?;
        }
        Ok(())
    }
}

/// The table at the end.
pub fn print(reports: &[Report], seed: u64) -> Result<()> {
    let row = |report: &Report| {
        let count = |number: u64| if report.skipped.is_some() { "-".to_owned() } else { number.to_string() };
        [
            report.stage.to_owned(),
            count(report.cycles),
            count(report.acknowledged),
            count(report.lost),
            count(report.undone),
            count(report.held_twice),
            count(report.refused),
            format!("{:.0} ms", report.slowest_recovery_ms),
            format!("{:.1} s of {:.0}", report.seconds, report.budget_seconds),
        ]
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    output::line("")?;
    output::table(
        [
            "STAGE",
            "CYCLES",
            "ACKNOWLEDGED",
            "LOST",
            "UNDONE",
            "HELD TWICE",
            "REFUSED",
            "SLOWEST RECOVERY",
            "TIME",
        ],
        &rows,
    )?;
    let violations: u64 = reports.iter().map(|report| report.violations_total).sum();
    output::line(format_args!("\n{violations} violations; again by --seed {seed}"))
}

/// A seed that nobody chose, short enough to be typed.
pub fn draw_seed() -> u64 {
    RandomState::new().hash_one("seed") % 1_000_000_000
}
