//! Steps of the store's clock, forwards and back: nothing begins before that clock says so, and nothing is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::broker::{Broker, Due, Ended, Held, Recovered, Request};
use windlass::{Config, Connection, State};
use windlass_db::Database;
use windlass_db::faults::{Random, UnsyncedDisk};

use super::Plan;
use super::guard::Guard;
use super::jump::JumpClock;
use super::report::Report;

const QUEUE: &str = "clock";
const START_MS: u64 = 1_700_000_000_000;
/// The steps, in milliseconds, each forwards and back.
const STEPS_MS: [u64; 4] = [1_000, 3_600_000, 86_400_000, STOP_MS];
const LEASE: Duration = Duration::from_secs(30);
/// Forwards, this is a stop of the process for three leases.
const STOP_MS: u64 = 90_000;
/// The jobs of a step are due within so many milliseconds.
const DUE_MS: usize = 4_000;
const JOBS: usize = 20;

pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    tokio::runtime::Handle::current().block_on(step_clocks(plan))
}

async fn step_clocks(plan: &Plan) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut random = Random::new(plan.seed);
    for round in 0..plan.figure(5, 50) {
        if plan.is_done(&report) {
            break;
        }
        for (step, is_back) in STEPS_MS.iter().flat_map(|step| [(*step, false), (*step, true)]) {
            report.cycles += 1;
            let mut world = World::open(plan)?;
            world.schedule(&mut random).await?;
            report.acknowledged += world.due.len() as u64;
            world.advance(random.below(DUE_MS) as u64);
            world.take(&mut report).await?;
            let held = world.hold().await?;
            world.step(step, is_back);
            world.keep(&held, &mut report).await?;
            world.take(&mut report).await?;
            if is_back {
                // The clock is put right again.
                world.step(step, false);
                world.take(&mut report).await?;
            }
            // Time goes on from there, until all are due.
            let mut passed = 0;
            while !world.due.is_empty() && passed <= 2 * DUE_MS {
                let by = 1 + random.below(DUE_MS / 4);
                world.advance(by as u64);
                passed += by;
                world.take(&mut report).await?;
            }
            for (id, due) in world.due {
                report.lose(format!("round {round}, a step of {step} ms: {id}, due at {due}, did not come"));
            }
        }
    }
    Ok(report)
}

/// The jobs that a worker has across a step.
const HELD: usize = 10;
const HELD_QUEUE: &str = "held";
const HOLDER: &str = "holder.10";

fn config() -> Config {
    Config { lease: LEASE, ..Config::default() }
}

struct World {
    broker: Broker,
    clock: JumpClock,
    /// When each job that was not taken is due.
    due: BTreeMap<String, u64>,
}

impl World {
    fn open(plan: &Plan) -> anyhow::Result<Self> {
        let clock = JumpClock::new(START_MS);
        let clock = if plan.guard == Some(Guard::Gap) { clock.without_gaps() } else { clock };
        let folder = plan.scratch.in_memory()?;
        let opened =
            Database::open_with(folder, windlass_db::Config::default(), clock.clone(), UnsyncedDisk)?;
        let broker = Broker::new(Connection::to(opened.0), &config())?;
        Ok(Self { broker, clock, due: BTreeMap::new() })
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    async fn schedule(&mut self, random: &mut Random) -> anyhow::Result<()> {
        for _ in 0..JOBS {
            let at = self.now_ms() + random.below(DUE_MS) as u64;
            let due = if random.once_in(2) {
                Due::At(at)
            } else {
                Due::In(Duration::from_millis(at - self.now_ms()))
            };
            let ids = self.broker.schedule(QUEUE, &[(due, "{}")]).await?;
            self.due.extend(ids.into_iter().map(|id| (id.as_str().to_owned(), at)));
        }
        Ok(())
    }

    /// A worker that lives takes jobs and keeps them.
    async fn hold(&self) -> anyhow::Result<Vec<Held>> {
        self.broker.push(HELD_QUEUE, &["{}"; HELD]).await?;
        self.broker.beat(HOLDER, LEASE, &[("busy", HELD.to_string())]).await?;
        let request = Request { consumer: HOLDER, count: HELD, may_suspect: true, woken: None };
        let taken = self.broker.fetch(&[HELD_QUEUE], request).await?;
        let mut held: Vec<Held> = taken.iter().map(Held::of).collect();
        held.sort_unstable();
        Ok(held)
    }

    /// No lease has ended by the step, and the worker ends what it has.
    async fn keep(&self, held: &[Held], report: &mut Report) -> anyhow::Result<()> {
        let recovered = self.broker.recover(HELD_QUEUE, &config(), &[]).await?;
        if recovered != Recovered::default() {
            report.violate(format!("leases ended by a step of the clock: {recovered:?}"));
        }
        let ended = Ended { queue: HELD_QUEUE, held, extras: &[] };
        let refused = self.broker.finish(HOLDER, ended).await?;
        if !refused.is_empty() {
            report.held_twice += 1;
            report
                .violate(format!("{} jobs were not held any more after a step of the clock", refused.len()));
        }
        Ok(())
    }

    fn advance(&self, by_ms: u64) {
        self.clock.advance(by_ms);
    }

    fn step(&self, by_ms: u64, is_back: bool) {
        let now = self.now_ms();
        self.clock.set(if is_back { now - by_ms } else { now + by_ms });
    }

    /// Moves and takes what is due, and holds that it is.
    async fn take(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let queues = [QUEUE.to_owned()];
        self.broker.promote(State::Scheduled, &queues).await?;
        let request = Request { consumer: "clock.100", count: 100, may_suspect: true, woken: None };
        let taken = self.broker.fetch(&[QUEUE], request).await?;
        let now = self.now_ms();
        for job in &taken {
            let id = job.job_id(QUEUE);
            match self.due.remove(id.as_str()) {
                Some(due) if due > now => report.violate(format!("{id} came at {now} and is due at {due}")),
                Some(_) => {}
                None => report.violate(format!("{id} came twice")),
            }
        }
        let mut held: Vec<Held> = taken.iter().map(Held::of).collect();
        held.sort_unstable();
        if !held.is_empty() {
            self.broker.finish("clock.100", Ended { queue: QUEUE, held: &held, extras: &[] }).await?;
        }
        Ok(())
    }
}
