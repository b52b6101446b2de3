//! How the jobs of each feature are pushed, and the rules that it needs.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use windlass::{Client, Context, Job, Outcome, Push, Rate, Rule, Target, Unique};

use crate::args::BenchFeature;

/// How many groups take turns, and how many priorities there are.
const GROUPS: u64 = 1_000;
const PRIORITIES: u64 = 10;
/// How long results are kept: longer than a drain takes.
const RESULT_TTL: Duration = Duration::from_secs(3600);
/// Limits that are counted and never bind.
const LIMIT: u64 = 1_000_000_000;

/// How many jobs have run in this process.
pub static RAN: AtomicU64 = AtomicU64::new(0);

/// The job that does nothing; no two are equal.
#[derive(Serialize, Deserialize)]
struct Nop {
    number: u64,
}

impl Job for Nop {
    const KIND: &'static str = "nop";
    type Output = u64;

    async fn run(self, _: Context) -> Outcome<u64> {
        RAN.fetch_add(1, Ordering::Relaxed);
        Ok(self.number)
    }
}

/// A worker's kinds, for whatever feature.
pub fn worker(client: &Client, concurrency: u32) -> windlass::Worker {
    windlass::Worker::new(client).concurrency(concurrency as usize).register::<Nop>()
}

impl BenchFeature {
    /// Sets the rules under which the jobs run.
    pub async fn prepare(self, client: &Client) -> windlass::Result<()> {
        let (queue, kind) = (Target::queue(Nop::QUEUE), Target::kind(Nop::KIND));
        let (cap, rate) =
            (Rule::new().cap(LIMIT), Rule::new().rate(Rate::bucket(LIMIT, Duration::from_secs(1))));
        let (target, rule) = match self {
            Self::Cap => (queue, cap),
            Self::Rate => (queue, rate),
            Self::KindCap => (kind, cap),
            Self::KindRate => (kind, rate),
            Self::Plain | Self::Priority | Self::Unique | Self::Results | Self::Groups => return Ok(()),
        };
        client.limits().set(&target, rule).await.map(drop)
    }

    /// Pushes so many jobs in bulk.
    pub async fn push(self, client: &Client, jobs: u64) -> anyhow::Result<()> {
        let parts = match self {
            Self::Priority => PRIORITIES,
            Self::Groups => GROUPS,
            _ => 1,
        };
        for part in 0..parts {
            let numbers = jobs * part / parts..jobs * (part + 1) / parts;
            let count = numbers.end - numbers.start;
            let numbers = numbers.map(|number| Nop { number });
            let pushed = client.push_many_with(numbers, self.options(part)).await?;
            ensure!(pushed == count, "{pushed} of {count} jobs were pushed");
        }
        Ok(())
    }

    fn options(self, part: u64) -> Push {
        match self {
            // The last that were pushed come first.
            Self::Priority => Push::new().priority((PRIORITIES - part) as u8),
            Self::Unique => Push::new().unique(Unique::until_done()),
            Self::Results => Push::new().result_ttl(RESULT_TTL),
            Self::Groups => Push::new().group_key(format!("group-{part}")),
            Self::Plain | Self::Cap | Self::Rate | Self::KindCap | Self::KindRate => Push::new(),
        }
    }
}
