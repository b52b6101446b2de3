//! Lanes and limits against a small model: whatever is pushed, taken, ended, failed, lost, moved by hand and ruled, no
//! job is lost or held twice, no cap is exceeded, the order holds, and every counter says what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use windlass::broker::{Broker, Due, Ended, Extra, Fail, Held, Request, Sparse, Taken};
use windlass::{Client, Config, Connection, JobId, Order, Push, Rate, Retention, Rule, State, Target};
use windlass_db::Database;
use windlass_db::faults::Random;
use windlass_test::clock::Clock;
use windlass_test::invariants::Snapshot;

const SEEDS: std::ops::Range<u64> = 0..100;
const STEPS: usize = 250;
/// After so many steps every counter is compared with what is there.
const LOOK_EVERY: usize = 25;
const QUEUE: &str = "default";
/// The rank of jobs that have no priority.
const USUAL_RANK: usize = 129;
/// The rates that are set.
const RATE_JOBS: u64 = 3;
const RATE_PER_MS: u64 = 2000;
const HOUR: Duration = Duration::from_secs(3600);
const WORKERS: [&str; 3] = ["a.1.1.a.2", "b.1.1.b.3", "c.1.1.c.4"];
const KINDS: [&str; 2] = ["k", "m"];
const KEYS: [&str; 4] = ["", "", "x", "y"];

/// A job as the model has it.
#[derive(Debug, Clone)]
struct Job {
    number: usize,
    kind: &'static str,
    key: &'static str,
    rank: usize,
    state: State,
    /// Whether it was never anywhere but in its queue.
    is_fresh: bool,
    /// The step at which it was taken last, while it is in the stream.
    admitted: Option<usize>,
}

impl Job {
    /// Whether it waits for its turn among those of the usual priority.
    fn waits(&self) -> bool {
        self.state == State::Enqueued && self.admitted.is_none() && self.rank == USUAL_RANK
    }
}

struct Play {
    random: Random,
    client: Client,
    broker: Broker,
    clock: Clock,
    /// How long the clock has gone.
    now_ms: u64,
    jobs: BTreeMap<String, Job>,
    held: Vec<(&'static str, Taken)>,
    pushed: usize,
    step: usize,
    /// The caps there are, each with the step since which there is one.
    caps: HashMap<String, (u64, usize)>,
    /// Kinds of which nothing may begin.
    paused: BTreeSet<String>,
    /// The rates of kinds and of the queue: whether it is a bucket, and when jobs began under it.
    rates: HashMap<String, (bool, Vec<u64>)>,
    /// Since which step each group has had jobs of the usual priority that wait; the group of those without one is "".
    waiting: BTreeMap<&'static str, usize>,
    /// Of which group a job of that priority was taken, and at which step.
    turns: Vec<(usize, &'static str)>,
    /// Whether only the order of lanes decides.
    is_ruleless: bool,
}

impl Play {
    async fn begin(seed: u64) -> Self {
        let (clock, manual) = Clock::manual();
        let database =
            Database::memory_with(windlass_db::Config::default(), manual).expect("a database opens");
        let config = Config::default();
        let client = Client::with_config(Connection::to(database.clone()), config.clone()).await.unwrap();
        let broker = Broker::new(Connection::to(database), &config).unwrap();
        let (jobs, held, caps) = (BTreeMap::new(), Vec::new(), HashMap::new());
        let is_ruleless = seed.is_multiple_of(3);
        Self {
            random: Random::new(seed),
            client,
            broker,
            clock,
            now_ms: 0,
            jobs,
            held,
            pushed: 0,
            step: 0,
            caps,
            paused: BTreeSet::new(),
            rates: HashMap::new(),
            waiting: BTreeMap::new(),
            turns: Vec::new(),
            is_ruleless,
        }
    }

    async fn act(&mut self) {
        match self.random.below(25) {
            0..=6 => self.push().await,
            7..=12 => self.take().await,
            13..=15 => self.end().await,
            16..=17 => self.fail().await,
            18 => self.promote().await,
            19 => self.lose_a_worker().await,
            20 => self.move_by_hand().await,
            21 => {
                let by = Duration::from_millis(self.random.below(4000) as u64);
                self.advance(by);
            }
            22 => _ = self.broker.compact(QUEUE, Sparse { nodes_min: 1, times: 0 }).await.unwrap(),
            _ if self.is_ruleless => self.push().await,
            _ => self.change_a_rule().await,
        }
    }

    async fn push(&mut self) {
        let (kind, key) = (self.random.pick(&KINDS), self.random.pick(&KEYS));
        let (options, rank) = match self.random.below(6) {
            0 => (Push::new().priority(5), 6),
            1 => (Push::new().priority(200), 201),
            2 => (Push::new().front(), 0),
            _ => (Push::new(), USUAL_RANK),
        };
        let options = if key.is_empty() { options } else { options.group_key(key) };
        let args = serde_json::value::RawValue::from_string(self.pushed.to_string()).unwrap();
        let id = self.client.push_raw(kind, &args, options).await.unwrap().id().clone();
        let (number, state) = (self.pushed, State::Enqueued);
        let job = Job { number, kind, key, rank, state, is_fresh: true, admitted: None };
        assert!(self.jobs.insert(id.to_string(), job).is_none(), "an id is given once");
        self.pushed += 1;
    }

    async fn take(&mut self) {
        let (worker, count) = (self.random.pick(&WORKERS), 1 + self.random.below(4));
        let taken = self.fetch(worker, count).await;
        assert!(taken.len() <= count);
        self.note_taken(worker, taken);
    }

    async fn fetch(&self, worker: &str, count: usize) -> Vec<Taken> {
        let request = Request { consumer: worker, count, may_suspect: true, woken: None };
        self.broker.fetch(&[QUEUE], request).await.unwrap()
    }

    fn note_taken(&mut self, worker: &'static str, taken: Vec<Taken>) {
        for one in taken {
            let id = one.job_id(QUEUE).to_string();
            let job = self.jobs.get_mut(&id).expect("what is taken was pushed and has not ended");
            assert_eq!(job.state, State::Enqueued, "{id} is held twice");
            job.state = State::Active;
            let is_new = job.admitted.replace(self.step).is_none();
            let job = job.clone();
            if is_new {
                self.check_order(&job);
                self.check_turns(&job);
            }
            self.check_caps(&job);
            assert!(!self.paused.contains(&format!("kind:{}", job.kind)), "{job:?} is of a paused kind");
            self.check_rates(&job, is_new);
            self.held.push((worker, one));
        }
    }

    /// With no rules nothing that comes before a job is left behind by it.
    fn check_order(&self, job: &Job) {
        if !self.is_ruleless || !job.is_fresh {
            return;
        }
        for other in self
            .jobs
            .values()
            .filter(|other| other.state == State::Enqueued && other.is_fresh && other.admitted.is_none())
        {
            let same = other.rank == job.rank && other.key == job.key;
            assert!(other.rank >= job.rank, "{job:?} goes before {other:?}");
            assert!(!same || other.number > job.number, "{job:?} goes before {other:?}");
        }
    }

    /// Groups that wait have turns one after the other: none has two more than another that waited as long.
    fn check_turns(&mut self, job: &Job) {
        if !self.is_ruleless || job.rank != USUAL_RANK {
            return;
        }
        self.turns.push((self.step, job.key));
        let Some(own) = self.waiting.get(job.key) else { return };
        let waits = |key| self.jobs.values().any(|job| job.key == key && job.waits());
        for (other, since) in self.waiting.iter().filter(|(other, _)| **other != job.key && waits(**other)) {
            let since = *since.max(own);
            let count = |key| self.turns.iter().filter(|(step, of)| *step > since && *of == key).count();
            let (taken, others) = (count(job.key), count(other));
            assert!(
                taken <= others + 2,
                "{taken} turns of {:?} and {others} of {other:?} since {since}",
                job.key
            );
        }
    }

    /// Which groups have jobs that wait, after a step.
    fn note_waiting(&mut self) {
        let is_waiting =
            |job: &&Job| job.state == State::Enqueued && job.admitted.is_none() && job.rank == USUAL_RANK;
        let keys: BTreeSet<_> = self.jobs.values().filter(is_waiting).map(|job| job.key).collect();
        self.waiting.retain(|key, _| keys.contains(key));
        for key in keys {
            self.waiting.entry(key).or_insert(self.step);
        }
    }

    fn check_caps(&self, job: &Job) {
        let limits = [format!("kind:{}", job.kind), format!("key:{QUEUE}/{}", job.key)];
        for limit in limits.iter().filter(|limit| !limit.ends_with('/')) {
            let Some((cap, since)) = self.cap_of(limit) else { continue };
            let is_under = |other: &&Job| {
                let name = format!("key:{QUEUE}/{}", other.key);
                let is_its = *limit == format!("kind:{}", other.kind) || *limit == name;
                is_its && other.state == State::Active && other.admitted.is_some_and(|at| at >= since)
            };
            let count = self.jobs.values().filter(is_under).count() as u64;
            assert!(count <= cap, "{count} of {limit} with a cap of {cap}");
        }
        if let Some((cap, _)) = self.caps.get(&format!("queue:{QUEUE}")) {
            let active = self.jobs.values().filter(|job| job.state == State::Active).count() as u64;
            assert!(active <= *cap, "{active} in the queue with a cap of {cap}");
        }
    }

    /// No bucket gives more than its burst and what has run into it, and a sliding window at most twice its number.
    fn check_rates(&mut self, job: &Job, is_new: bool) {
        for name in [format!("queue:{QUEUE}"), format!("kind:{}", job.kind)] {
            let Some((is_bucket, begun)) = self.rates.get_mut(&name) else { continue };
            // The sliding one comes with a cap: what came back holds its place under that, and is counted already.
            if !*is_bucket && !is_new {
                continue;
            }
            begun.push(self.now_ms);
            for (at, since) in begun.iter().enumerate() {
                let (count, passed) = ((begun.len() - at) as u64, self.now_ms - since);
                let most = match is_bucket {
                    true => RATE_JOBS + passed * RATE_JOBS / RATE_PER_MS,
                    false => 2 * RATE_JOBS * (1 + passed / RATE_PER_MS),
                };
                assert!(
                    count <= most,
                    "{count} of {name} in {passed} ms, {}",
                    if *is_bucket { "bucket" } else { "sliding" }
                );
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.now_ms += by.as_millis() as u64;
    }

    fn cap_of(&self, limit: &str) -> Option<(u64, usize)> {
        let each = limit.starts_with("key:").then(|| self.caps.get(&format!("key:{QUEUE}"))).flatten();
        let own = self.caps.get(limit);
        own.or(each).map(|(cap, since)| (*cap, *since.max(&each.map_or(0, |(_, since)| *since))))
    }

    fn drop_held(&mut self) -> Option<(&'static str, Taken)> {
        if self.held.is_empty() {
            return None;
        }
        let at = self.random.below(self.held.len());
        Some(self.held.swap_remove(at))
    }

    async fn finish(&mut self, worker: &str, taken: &Taken) {
        let id = taken.job_id(QUEUE);
        let extra = [Extra::of(taken, id.clone(), None)];
        let held = [Held::of(taken)];
        let refused = self.broker.finish(worker, Ended { queue: QUEUE, held: &held, extras: &extra }).await;
        assert!(refused.unwrap().is_empty(), "{id} is held");
        self.jobs.remove(id.as_str());
    }

    async fn end(&mut self) {
        if let Some((worker, taken)) = self.drop_held() {
            self.finish(worker, &taken).await;
        }
    }

    async fn fail(&mut self) {
        let Some((worker, taken)) = self.drop_held() else { return };
        let state = self.random.pick(&[State::Retry, State::Retry, State::Scheduled, State::Dead]);
        let id = taken.job_id(QUEUE);
        let history = format!(r#"{{"state":"{state}"}}"#).into_bytes();
        let held = Held::of(&taken);
        let fail = Fail { held, id: id.clone(), state, history, delay: Duration::ZERO, result: None };
        let kept = Retention::new();
        let was_held = match taken.is_ruled {
            true => self.broker.fail_ruled(QUEUE, worker, &fail, &kept, None).await,
            false => self.broker.fail(QUEUE, worker, &fail, &kept).await,
        };
        assert!(was_held.unwrap());
        self.set_state(&id, state);
    }

    fn set_state(&mut self, id: &JobId, state: State) {
        let job = self.jobs.get_mut(id.as_str()).expect("it is there");
        (job.state, job.is_fresh, job.admitted) = (state, false, None);
    }

    async fn promote(&mut self) {
        for state in [State::Retry, State::Scheduled] {
            self.broker.promote(state, &[QUEUE.to_owned()]).await.unwrap();
        }
        for job in self.jobs.values_mut() {
            if matches!(job.state, State::Retry | State::Scheduled) {
                job.state = State::Enqueued;
            }
        }
    }

    /// A worker dies with everything that it has, or stops and gives it back.
    async fn lose_a_worker(&mut self) {
        let worker = self.random.pick(&WORKERS);
        let (lost, kept) =
            std::mem::take(&mut self.held).into_iter().partition(|(holder, _)| *holder == worker);
        self.held = kept;
        if self.random.below(2) == 0 {
            // So often that nobody dies of it.
            let config = Config { crash_limit: 1000, ..Config::default() };
            self.broker.recover(QUEUE, &config, &[worker.to_owned()]).await.unwrap();
        } else {
            let lost: &Vec<(&str, Taken)> = &lost;
            let mut held: Vec<_> = lost.iter().map(|(_, taken)| Held::of(taken)).collect();
            held.sort();
            if !held.is_empty() {
                assert_eq!(self.broker.release(QUEUE, worker, &held).await.unwrap(), held.len());
            }
        }
        for (_, taken) in lost {
            let id = taken.job_id(QUEUE);
            let job = self.jobs.get_mut(id.as_str()).expect("it is there");
            (job.state, job.is_fresh) = (State::Enqueued, false);
        }
    }

    async fn move_by_hand(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let at = self.random.below(self.jobs.len());
        let (id, job) = self.jobs.iter().nth(at).map(|(id, job)| (id.clone(), job.clone())).unwrap();
        let id = JobId::parse(&id).unwrap();
        let is_active = job.state == State::Active;
        let inspector = self.client.inspector();
        match self.random.below(4) {
            0 => {
                let removed = inspector.remove(&id).await.unwrap();
                assert_eq!(removed, (!is_active).then_some(true), "{job:?}");
                if !is_active {
                    self.jobs.remove(id.as_str());
                }
            }
            1 => {
                let ending = inspector.cancel(&id).await.unwrap();
                if !is_active && !job.state.is_final() {
                    assert_eq!(ending, windlass::Ending::Ended, "{job:?}");
                    self.set_state(&id, State::Cancelled);
                }
            }
            2 => {
                let was_stored = inspector.retry(&id).await.unwrap();
                assert_eq!(was_stored, State::STORED.contains(&job.state), "{job:?}");
                if was_stored {
                    self.set_state(&id, State::Enqueued);
                }
            }
            _ => {
                self.broker.reschedule(&id, Due::In(Duration::ZERO)).await.unwrap();
                if !is_active && job.state != State::Retry {
                    self.set_state(&id, State::Scheduled);
                }
            }
        }
    }

    async fn change_a_rule(&mut self) {
        let targets = [
            Target::queue(QUEUE),
            Target::kind("k"),
            Target::kind("m"),
            Target::each_key(QUEUE),
            Target::key(QUEUE, "x"),
        ];
        let target = targets[self.random.below(targets.len())].clone();
        let is_key = matches!(target, Target::EachKey(_) | Target::Key(..));
        let is_kind = matches!(target, Target::Kind(_));
        let (limits, name) = (self.client.limits(), target.to_string());
        let (choice, per) = (self.random.below(8), Duration::from_millis(RATE_PER_MS));
        self.paused.remove(&name);
        self.rates.remove(&name);
        let rule = match choice {
            0 => Rule::new().rate(Rate::bucket(RATE_JOBS, per)),
            1 => Rule::new().rate(Rate::sliding(RATE_JOBS, per)).cap(2),
            2 if is_key => Rule::new().order(Order::Wait),
            3 if is_key => Rule::new().order(Order::Skip),
            2 if is_kind => Rule::new().paused(),
            3 if is_kind => Rule::new().breaker(1, HOUR, Duration::from_secs(2)),
            4 | 5 => Rule::new().cap(1 + self.random.below(3) as u64),
            6 if is_key => Rule::new().weight(2.0),
            _ => {
                limits.remove(&target).await.unwrap();
                self.caps.remove(&name);
                if matches!(target, Target::Key(..)) {
                    self.begin_anew(&Target::each_key(QUEUE).to_string());
                }
                return;
            }
        };
        let cap = if rule.order.is_some() { Some(1) } else { rule.cap };
        limits.set(&target, rule).await.unwrap();
        match choice {
            0 | 1 if !is_key => drop(self.rates.insert(name.clone(), (choice == 0, Vec::new()))),
            2 if is_kind => drop(self.paused.insert(name.clone())),
            _ => {}
        }
        match cap {
            // What was taken without a cap does not count towards one.
            Some(cap) => {
                // More than a lower cap allows may be active from before.
                let old = self.caps.get(&name).filter(|(old, _)| *old <= cap);
                let since = old.map_or(self.step + 1, |(_, since)| *since);
                self.caps.insert(name, (cap, since));
            }
            // A rule of one key goes before that of all, also when it has no cap.
            None if matches!(target, Target::Key(..)) => {
                self.caps.insert(name, (u64::MAX, self.step + 1));
            }
            None => drop(self.caps.remove(&name)),
        }
    }

    /// What was taken before does not count towards this cap.
    fn begin_anew(&mut self, name: &str) {
        if let Some((_, since)) = self.caps.get_mut(name) {
            *since = self.step + 1;
        }
    }

    /// Compares every counter with what is there, and what is there with the model.
    async fn look(&self) {
        let found = Snapshot::read(&self.broker).await;
        let problems = found.problems();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        let known: BTreeSet<&String> = self.jobs.keys().collect();
        assert_eq!(found.places().keys().collect::<BTreeSet<_>>(), known);
        let in_lanes = found.lanes.values().map(|lane| lane.len() as u64).sum::<u64>();
        assert_eq!(self.broker.jobs_in_lanes(QUEUE).await.unwrap(), in_lanes);
        for (id, job) in &self.jobs {
            let shown = self.client.inspector().show(&JobId::parse(id).unwrap()).await.unwrap();
            let shown = shown.unwrap_or_else(|| panic!("{id} is lost: {job:?}"));
            assert_eq!((shown.state, shown.kind.as_str()), (job.state, job.kind), "{id}");
        }
    }

    /// Under the rules that there are everything can be taken in time.
    async fn drain(&mut self) {
        for kind in KINDS {
            self.client.limits().resume_kind(kind).await.unwrap();
        }
        self.paused.clear();
        let mut idle = 0;
        while idle < 3 {
            self.step += 1;
            self.promote().await;
            let taken = self.fetch(WORKERS[0], 10).await;
            idle = if taken.is_empty() && self.held.is_empty() { idle + 1 } else { 0 };
            self.note_taken(WORKERS[0], taken);
            while let Some((worker, taken)) = self.drop_held() {
                self.finish(worker, &taken).await;
            }
            self.advance(HOUR);
            self.note_waiting();
            self.look().await;
        }
        let left: Vec<_> = self.jobs.values().filter(|job| !job.state.is_final()).collect();
        assert!(left.is_empty(), "nobody can take {left:?}");
    }
}

#[tokio::test]
async fn whatever_happens_lanes_and_limits_keep_their_word() {
    for seed in SEEDS {
        let mut play = Play::begin(seed).await;
        println!("seed {seed}");
        for step in 0..STEPS {
            play.step = step;
            play.act().await;
            play.note_waiting();
            if step % LOOK_EVERY == 0 {
                play.look().await;
            }
        }
        play.drain().await;
    }
}
