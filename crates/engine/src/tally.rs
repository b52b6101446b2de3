//! How often commands were called and errors answered, as INFO and LATENCY HISTOGRAM show it.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use crate::command::Command;

/// How many errors of different codes are counted; a script may answer any.
const CODES_MAX: usize = 128;
/// How many buckets a histogram has: each is twice the one before, from a microsecond on.
const BUCKETS: usize = 32;

/// What is counted of one command.
#[derive(Clone, Debug)]
pub struct Count {
    pub name: &'static str,
    pub calls: u64,
    pub took_us: u64,
    /// Calls that were not let run.
    pub rejected: u64,
    /// Calls that ran and answered an error.
    pub failed: u64,
    /// How many calls took at most 1, 2, 4, … microseconds.
    buckets: [u32; BUCKETS],
}

impl Count {
    fn new(name: &'static str) -> Self {
        Self { name, calls: 0, took_us: 0, rejected: 0, failed: 0, buckets: [0; BUCKETS] }
    }

    /// The microseconds of each bucket, and how many calls took at most so long; from the first bucket that has one.
    pub fn histogram(&self) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let mut found = Vec::new();
        for (bucket, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            sum += u64::from(*count);
            found.push((1 << bucket, sum));
        }
        found
    }

    /// The microseconds that so many of a hundred calls did not exceed, to the next bucket.
    pub fn percentile(&self, percent: f64) -> u64 {
        let histogram = self.histogram();
        let total = histogram.last().map_or(0, |(_, sum)| *sum);
        let wanted = (total as f64 * percent / 100.0).ceil() as u64;
        histogram.iter().find(|(_, sum)| *sum >= wanted).map_or(0, |(micros, _)| *micros)
    }

    /// True when a duration of it is known.
    pub fn is_timed(&self) -> bool {
        self.buckets.iter().any(|count| *count > 0)
    }
}

/// The counts of all commands and of the codes of errors.
#[derive(Debug, Default)]
pub struct Tally {
    /// Where a command's count is, by the place of its row, which is looked up faster than its name.
    places: HashMap<usize, usize, FixedState>,
    counts: Vec<Count>,
    /// The row and the place of the last count: a call is counted twice, and the next one is mostly of the same command.
    last: (usize, usize),
    codes: BTreeMap<String, u64>,
}

impl Tally {
    fn of(&mut self, command: &'static Command) -> &mut Count {
        let row = std::ptr::from_ref(command).addr();
        if self.last.0 != row {
            let place = *self.places.entry(row).or_insert_with(|| {
                self.counts.push(Count::new(command.name));
                self.counts.len() - 1
            });
            self.last = (row, place);
        }
        &mut self.counts[self.last.1]
    }

    pub fn called(&mut self, command: &'static Command, has_failed: bool) {
        let count = self.of(command);
        count.calls += 1;
        count.failed += u64::from(has_failed);
    }

    /// Counts that a call, which was counted when it began to wait, answered an error.
    pub fn failed(&mut self, command: &'static Command) {
        self.of(command).failed += 1;
    }

    pub fn rejected(&mut self, command: &'static Command) {
        self.of(command).rejected += 1;
    }

    pub fn took(&mut self, command: &'static Command, micros: u64) {
        let count = self.of(command);
        count.took_us += micros;
        let bucket = micros.next_power_of_two().trailing_zeros() as usize;
        count.buckets[bucket.min(BUCKETS - 1)] += 1;
    }

    /// Counts an error by its code, the first word.
    pub fn error(&mut self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default();
        if let Some(count) = self.codes.get_mut(code) {
            *count += 1;
        } else if self.codes.len() < CODES_MAX {
            self.codes.insert(code.to_owned(), 1);
        }
    }

    /// The counts of commands, by name.
    pub fn commands(&self) -> Vec<&Count> {
        let mut counts: Vec<&Count> = self.counts.iter().collect();
        counts.sort_by_key(|count| count.name);
        counts
    }

    /// How many errors of each code were answered.
    pub fn codes(&self) -> &BTreeMap<String, u64> {
        &self.codes
    }

    pub fn errors(&self) -> u64 {
        self.codes.values().sum()
    }
}
