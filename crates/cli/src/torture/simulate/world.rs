//! What happens: a step is one call of a client or a worker, or one blow to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use windlass::broker::{Broker, Held, Sparse};
use windlass::{Config, Connection, JobId, State};
use windlass_db::Database;
use windlass_db::faults::{Failure, Fault, FaultDisk, Operation, PowerDisk, Random};

use super::super::Plan;
use super::super::guard::Guard;
use super::super::jump::JumpClock;

pub const QUEUE: &str = "simulated";
const START_MS: u64 = 1_700_000_000_000;
/// Nothing is due later than this, however often the clock went back.
const DUE_MS_MAX: u64 = 100 * 3_600_000;
const WORKERS: usize = 4;
pub const LEASE_MS: u64 = 1_000;
/// The store takes a smaller step for time that passed.
const JUMP_MS_MIN: u64 = 2_000;

/// What is known of a job.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Its push was acknowledged.
    pub is_acknowledged: bool,
    /// Its end was acknowledged.
    pub is_ended: bool,
    /// Somebody asked to end it, and the answer or its sync is missing.
    pub may_be_ended: bool,
    /// It may not be taken before, in milliseconds.
    pub due_ms: u64,
}

/// A job that a worker has.
#[derive(Clone, Debug)]
pub struct Token {
    pub held: Held,
    pub id: String,
    /// Until then nobody else may have it.
    pub valid_until_ms: u64,
}

pub struct Worker {
    pub name: String,
    pub tokens: Vec<Token>,
    pub beat_ms: u64,
}

/// What was found not to hold.
#[derive(Default)]
pub struct Found {
    pub lost: u64,
    pub undone: u64,
    pub held_twice: u64,
    pub problems: Vec<String>,
}

pub struct World {
    root: PathBuf,
    generation: usize,
    power: PowerDisk,
    disk: FaultDisk<PowerDisk>,
    pub clock: JumpClock,
    database: Option<Database>,
    broker: Option<Broker>,
    pub config: Config,
    pub guard: Option<Guard>,
    pub has_losses: bool,
    pub workers: Vec<Worker>,
    workers_started: usize,
    pub jobs: BTreeMap<String, Known>,
    /// Ended by an answer that may come before its sync, since the last one that may not.
    pub unsynced: BTreeSet<String>,
    pub acknowledged: u64,
    pub found: Found,
}

impl World {
    pub fn open(plan: &Plan, seed: u64) -> anyhow::Result<Self> {
        let root = plan.scratch.in_memory()?;
        fs::create_dir(root.join("0"))?;
        let power = PowerDisk::new(&root.join("0"))?;
        let lease = Duration::from_millis(LEASE_MS);
        let mut world = Self {
            root,
            generation: 0,
            disk: FaultDisk::new(power.clone()),
            power,
            clock: JumpClock::new(START_MS + seed % 1_000),
            database: None,
            broker: None,
            // However often it is killed, no job is to blame for it.
            config: Config { lease, crash_limit: u32::MAX, ..Config::default() },
            guard: plan.guard,
            has_losses: true,
            workers: Vec::new(),
            workers_started: 0,
            jobs: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            acknowledged: 0,
            found: Found::default(),
        };
        world.start_store()?;
        (0..WORKERS).for_each(|_| world.start_worker());
        Ok(world)
    }

    pub fn remove(self) -> anyhow::Result<()> {
        drop((self.broker, self.database));
        Ok(fs::remove_dir_all(self.root)?)
    }

    pub fn broker(&self) -> Broker {
        self.broker.clone().expect("the store is open between steps")
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// One step. Calls that fail are part of it; what cannot go on is an error.
    pub async fn act(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let worker = random.below(self.workers.len());
        match random.below(1_000) {
            0..180 => self.push(random).await,
            180..240 => self.schedule(random).await,
            240..480 => self.fetch(worker, random).await,
            480..680 => self.finish(worker, random).await,
            680..730 => self.fail(worker, random).await,
            730..800 => self.renew(worker, random).await,
            800..815 => self.release(worker, random).await,
            815..850 => self.recover().await,
            850..865 => self.compact_queue().await,
            865..905 => self.promote().await,
            905..970 => self.clock.advance(random.below(400) as u64),
            970..980 => self.workers_end(worker),
            980..984 => self.jump(random),
            984..990 => self.break_disk(random),
            990..993 => self.compact(),
            993..998 => self.kill_store()?,
            998..1000 => self.cut_power(random)?,
            _ => unreachable!("a number below the bound"),
        }
        Ok(())
    }

    /// Makes the disk sound, and the log with it.
    pub async fn calm(&mut self) -> anyhow::Result<()> {
        self.disk.heal();
        let database = self.database.clone().expect("the store is open between steps");
        if database.facts().failure.is_some() {
            database.compact()?;
        }
        Ok(())
    }

    pub async fn recover(&mut self) {
        let lease = if self.guard == Some(Guard::Lease) { Duration::ZERO } else { self.config.lease };
        let config = Config { lease, ..self.config.clone() };
        // What fails now is done by the next one.
        let _ = self.broker().recover(QUEUE, &config, &[]).await;
    }

    /// Rebuilds the queue's stream, as a worker does where the store is a Redis.
    async fn compact_queue(&mut self) {
        // The same.
        let _ = self.broker().compact(QUEUE, Sparse { nodes_min: 1, times: 0 }).await;
    }

    pub async fn promote(&mut self) {
        let queues = [QUEUE.to_owned()];
        for state in [State::Scheduled, State::Retry] {
            // The same.
            let _ = self.broker().promote(state, &queues).await;
        }
    }

    /// A worker's process ends, and another one starts.
    fn workers_end(&mut self, worker: usize) {
        self.workers.swap_remove(worker);
        self.start_worker();
    }

    fn start_worker(&mut self) {
        self.workers_started += 1;
        // The last part of the name is its concurrency.
        let name = format!("worker{}.2", self.workers_started);
        self.workers.push(Worker { name, tokens: Vec::new(), beat_ms: 0 });
    }

    fn jump(&mut self, random: &mut Random) {
        let by = [1_000, 3_600_000][random.below(2)];
        let now = self.now_ms();
        // Not back before the start: ids of the stream would all be of one moment then, which is sound but slow to see.
        // What is due now may be in its queue, and stays there.
        self.jobs.values_mut().filter(|known| known.due_ms <= now).for_each(|known| known.due_ms = 0);
        let to = if random.once_in(2) && now > START_MS + by { now - by } else { now + by };
        self.clock.set(to);
        // The store's leases go with the clock, if it was set by enough to show. Nobody is promised a longer one because it
        // went back by less.
        let shifts = by >= JUMP_MS_MIN || to < now;
        for token in self.workers.iter_mut().flat_map(|worker| &mut worker.tokens) {
            if token.valid_until_ms <= now {
                // It may have been given to others since, even if the clock goes back to before that.
                token.valid_until_ms = 0;
            } else if shifts {
                token.valid_until_ms = token.valid_until_ms + to - now;
            }
        }
    }

    fn break_disk(&mut self, random: &mut Random) {
        let operation = [Operation::Write, Operation::Sync][random.below(2)];
        let failure = Failure::Error([ErrorKind::StorageFull, ErrorKind::Other][random.below(2)]);
        self.disk.fail(Fault { operation: Some(operation), after: random.below(3), count: 1, failure });
    }

    /// Rewrites the log, or replaces one that has failed.
    fn compact(&mut self) {
        let database = self.database.as_ref().expect("the store is open between steps");
        if database.compact().is_ok() {
            self.unsynced.clear();
        }
    }

    /// The store's process ends.
    fn kill_store(&mut self) -> anyhow::Result<()> {
        self.power = self.power.next_process();
        self.disk = FaultDisk::new(self.power.clone());
        self.start_store()
    }

    fn cut_power(&mut self, random: &mut Random) -> anyhow::Result<()> {
        self.generation += 1;
        let left = self.root.join(self.generation.to_string());
        fs::create_dir(&left)?;
        let cut = self.power.cut_after(self.power.steps());
        // Nothing that the process still does has an effect.
        let _ended = self.power.next_process();
        cut.survive(random.draw(), &left)?;
        self.power = PowerDisk::new(&left)?;
        self.disk = FaultDisk::new(self.power.clone());
        // The answer to a worker's exchange may come before its sync.
        for id in std::mem::take(&mut self.unsynced) {
            let known = self.jobs.entry(id).or_default();
            (known.is_ended, known.may_be_ended) = (false, true);
        }
        for worker in &mut self.workers {
            worker.tokens.iter_mut().for_each(|token| token.valid_until_ms = 0);
        }
        self.start_store()
    }

    fn start_store(&mut self) -> anyhow::Result<()> {
        self.broker = None;
        self.database = None;
        let folder = self.root.join(self.generation.to_string()).join("data");
        let config = windlass_db::Config { log_retry_ms: 0, ..windlass_db::Config::default() };
        let (database, _) = Database::open_with(folder, config, self.clock.clone(), self.disk.clone())?;
        self.broker = Some(Broker::new(Connection::to(database.clone()), &self.config)?);
        self.database = Some(database);
        Ok(())
    }

    /// Takes and ends everything that is there, with time going on.
    pub async fn drain(&mut self) -> anyhow::Result<()> {
        /// So many rounds of more than a lease are enough for anything to come back, one suspect at a time.
        const ROUNDS: usize = 150;
        self.calm().await?;
        self.has_losses = false;
        self.workers.clear();
        self.start_worker();
        // What was due before the clock went back is due.
        self.clock.set(self.now_ms() + DUE_MS_MAX);
        let mut random = Random::new(0);
        for _ in 0..ROUNDS {
            self.clock.advance(LEASE_MS * 3);
            self.recover().await;
            self.promote().await;
            self.fetch(0, &mut random).await;
            while !self.workers[0].tokens.is_empty() {
                self.finish(0, &mut random).await;
                self.fetch(0, &mut random).await;
            }
        }
        self.check().await?;
        let broker = self.broker();
        for (id, known) in &self.jobs {
            if known.is_acknowledged && !known.is_ended && !known.may_be_ended {
                let place = broker.show(&JobId::parse(id)?).await?;
                self.found.lost += 1;
                self.found
                    .problems
                    .push(format!("{id} was pushed, never came to its end, and is at {place:?}"));
            }
        }
        Ok(())
    }
}
