//! What happens: a step is one call of a client or a worker, or one blow to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use windlass::broker::{Broker, Due, Ended, Fail, Held, Request};
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
const LEASE_MS: u64 = 1_000;
/// The store takes a smaller step for time that passed.
const JUMP_MS_MIN: u64 = 2_000;
/// One call in so many is lost on its way, and one reply in so many on the way back.
const LOSS: usize = 40;

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
struct Token {
    held: Held,
    id: String,
    /// Until then nobody else may have it.
    valid_until_ms: u64,
}

struct Worker {
    name: String,
    tokens: Vec<Token>,
    beat_ms: u64,
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
    guard: Option<Guard>,
    has_losses: bool,
    workers: Vec<Worker>,
    workers_started: usize,
    pub jobs: BTreeMap<String, Known>,
    /// Ended by an answer that may come before its sync, since the last one that may not.
    unsynced: BTreeSet<String>,
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
            815..865 => self.recover().await,
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

    /// Whether a call is lost on its way, or its reply on the way back.
    fn loss(&self, random: &mut Random) -> (bool, bool) {
        let (is_lost, is_unheard) = (random.once_in(LOSS), random.once_in(LOSS));
        (self.has_losses && is_lost, self.has_losses && is_unheard)
    }

    /// A reply that waited for its sync: what came before it is safe, too.
    fn synced(&mut self) {
        self.unsynced.clear();
    }

    async fn push(&mut self, random: &mut Random) {
        let envelopes: Vec<_> =
            (0..1 + random.below(4)).map(|_| format!("{{\"n\":{}}}", random.draw())).collect();
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        if let Ok(ids) = self.broker().push(QUEUE, &envelopes).await
            && !is_unheard
        {
            self.synced();
            ids.into_iter().for_each(|id| self.acknowledge(&id, 0));
        }
    }

    async fn schedule(&mut self, random: &mut Random) {
        let delay = random.below(5_000) as u64;
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let due = Due::In(Duration::from_millis(delay));
        if let Ok(ids) = self.broker().schedule(QUEUE, &[(due, "{}")]).await
            && !is_unheard
        {
            self.synced();
            let due_ms = self.now_ms() + delay;
            ids.iter().for_each(|id| self.acknowledge(id, due_ms));
            if self.guard == Some(Guard::Due) {
                for id in &ids {
                    // Moved to its queue by hand, with its time still to come.
                    let _ = self.broker().requeue(id).await;
                }
            }
        }
    }

    fn acknowledge(&mut self, id: &JobId, due_ms: u64) {
        self.acknowledged += 1;
        let known = self.jobs.entry(id.as_str().to_owned()).or_default();
        (known.is_acknowledged, known.due_ms) = (true, due_ms);
    }

    async fn fetch(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let consumer = self.workers[worker].name.clone();
        let count = 1 + random.below(4);
        let request = Request { consumer: &consumer, count, may_suspect: true, woken: None };
        let Ok(taken) = self.broker().fetch(&[QUEUE], request).await else { return };
        let now = self.now_ms();
        for job in taken {
            let id = job.job_id(QUEUE).as_str().to_owned();
            self.look_at_taken(&id, worker, now);
            if !is_unheard {
                let (held, valid_until_ms) = (Held::of(&job), now + LEASE_MS);
                // One that lapsed and came back to the same worker is one.
                self.workers[worker].tokens.retain(|token| token.id != id);
                self.workers[worker].tokens.push(Token { held, id, valid_until_ms });
            }
        }
    }

    /// Holds that the job may be taken.
    fn look_at_taken(&mut self, id: &str, worker: usize, now: u64) {
        let known = self.jobs.entry(id.to_owned()).or_default();
        let due = std::mem::take(&mut known.due_ms);
        if known.is_ended {
            self.found.undone += 1;
            self.found.problems.push(format!("{id} was taken although its end had been acknowledged"));
        }
        if now < due {
            self.found.problems.push(format!("{id} was taken at {now}, before {due}"));
        }
        if let Some(other) = self.holder(id, worker, now) {
            self.found.held_twice += 1;
            self.found.problems.push(format!("{id} was taken while {other} had it"));
        }
    }

    /// Another worker that has the job, by a token that is valid.
    fn holder(&self, id: &str, worker: usize, now: u64) -> Option<String> {
        let others = self.workers.iter().enumerate().filter(|(number, _)| *number != worker);
        let mut holders = others.filter(|(_, other)| {
            let lives = other.beat_ms + LEASE_MS > now;
            lives && other.tokens.iter().any(|token| token.id == id && token.valid_until_ms > now)
        });
        holders.next().map(|(_, other)| other.name.clone())
    }

    async fn finish(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        let count = 1 + random.below(3);
        let tokens = &mut self.workers[worker].tokens;
        let mut ended: Vec<Token> = tokens.drain(..count.min(tokens.len())).collect();
        if ended.is_empty() {
            return;
        }
        if is_lost {
            // The worker does not know; it asks no more, and the lease ends.
            return;
        }
        ended.sort_by_key(|token| token.held);
        for token in &ended {
            self.jobs.entry(token.id.clone()).or_default().may_be_ended = true;
        }
        let held: Vec<Held> = ended.iter().map(|token| token.held).collect();
        let consumer = self.workers[worker].name.clone();
        let refused = match self.guard {
            Some(Guard::Fence) => self.end_unfenced(&ended).await,
            _ => self.broker().finish(&consumer, Ended { queue: QUEUE, held: &held, extras: &[] }).await,
        };
        let now = self.now_ms();
        let Ok(refused) = refused else { return };
        if is_unheard {
            return;
        }
        for token in ended {
            let known = self.jobs.entry(token.id.clone()).or_default();
            if refused.contains(&token.held) {
                continue;
            }
            if known.is_ended {
                self.found.held_twice += 1;
                self.found.problems.push(format!("{} was ended twice", token.id));
            }
            known.is_ended = true;
            self.acknowledged += 1;
            self.unsynced.insert(token.id.clone());
            if let Some(other) = self.holder(&token.id, worker, now) {
                self.found.held_twice += 1;
                self.found.problems.push(format!("{} was ended by one while {other} had it", token.id));
            }
        }
    }

    /// Ends jobs by Redis's own commands, which look at no holder.
    async fn end_unfenced(&self, ended: &[Token]) -> windlass::Result<Vec<Held>> {
        let broker = self.broker();
        let stream = broker.keys().stream(QUEUE);
        for token in ended {
            let Some((_, entry)) = token.id.split_once('/').filter(|(_, entry)| !entry.starts_with('s'))
            else {
                continue;
            };
            for name in ["XACK", "XDEL"] {
                let mut command = redis::cmd(name);
                command.arg(&stream);
                if name == "XACK" {
                    command.arg(windlass::GROUP);
                }
                command.arg(entry).query_async::<u64>(&mut broker.connection().clone()).await?;
            }
        }
        Ok(Vec::new())
    }

    async fn fail(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        let Some(token) = self.workers[worker].tokens.pop() else { return };
        if is_lost {
            return;
        }
        let delay = random.below(3_000) as u64;
        let Ok(id) = JobId::parse(&token.id) else { return };
        let fail = Fail {
            held: token.held,
            id,
            state: State::Retry,
            history: br#"{"state":"retry","failed":1}"#.to_vec(),
            delay: Duration::from_millis(delay),
            result: None,
        };
        let consumer = self.workers[worker].name.clone();
        let (kept, age) = (self.config.ended_max, self.config.ended_age);
        let failed = self.broker().fail(QUEUE, &consumer, &fail, kept, age).await;
        if let Ok(true) = failed
            && !is_unheard
        {
            self.synced();
            self.jobs.entry(token.id).or_default().due_ms = self.now_ms() + delay;
        }
    }

    async fn renew(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, is_unheard) = self.loss(random);
        if is_lost {
            return;
        }
        let broker = self.broker();
        let now = self.now_ms();
        let Worker { name, tokens, .. } = &mut self.workers[worker];
        tokens.sort_by_key(|token| token.held);
        let held: Vec<Held> = tokens.iter().map(|token| token.held).collect();
        let fields = [("busy", held.len().to_string())];
        if broker.beat(name, Duration::from_millis(LEASE_MS), &fields).await.is_err() {
            return;
        }
        let lost = match held.is_empty() {
            true => Vec::new(),
            false => match broker.renew(QUEUE, name, &held).await {
                Ok(lost) => lost,
                Err(_) => return,
            },
        };
        if is_unheard {
            return;
        }
        let worker = &mut self.workers[worker];
        worker.beat_ms = now;
        worker.tokens.retain(|token| !lost.contains(&token.held));
        worker.tokens.iter_mut().for_each(|token| token.valid_until_ms = now + LEASE_MS);
        self.synced();
    }

    async fn release(&mut self, worker: usize, random: &mut Random) {
        let (is_lost, _) = self.loss(random);
        let mut tokens = std::mem::take(&mut self.workers[worker].tokens);
        tokens.sort_by_key(|token| token.held);
        let held: Vec<Held> = tokens.iter().map(|token| token.held).collect();
        if !is_lost && !held.is_empty() {
            // Whether or not it was heard, the worker has them no more.
            let _ = self.broker().release(QUEUE, &self.workers[worker].name, &held).await;
        }
    }

    pub async fn recover(&mut self) {
        let lease = if self.guard == Some(Guard::Lease) { Duration::ZERO } else { self.config.lease };
        let config = Config { lease, ..self.config.clone() };
        // What fails now is done by the next one.
        let _ = self.broker().recover(QUEUE, &config, &[]).await;
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
        // The store's leases go with the clock, if it was set by enough to show.
        if by >= JUMP_MS_MIN {
            let tokens = self.workers.iter_mut().flat_map(|worker| &mut worker.tokens);
            tokens.for_each(|token| token.valid_until_ms = (token.valid_until_ms + to).saturating_sub(now));
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
