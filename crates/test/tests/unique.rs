//! Uniqueness against a small model: whatever is pushed, taken, ended, failed, lost, moved by hand and delayed, a push
//! answers what the locks of the model say, no two jobs live under one lock that is on, and of what has ended no lock is
//! left that keeps others out.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::value::RawValue;
use windlass::broker::{Broker, Ended, Extra, Fail, Held, Request, Taken};
use windlass::{
    Client, Config, Connection, Ending, Envelope, Error, Filter, History, JobId, Push, Pushed, Rescheduled,
    Retention, State, Unique,
};
use windlass_db::Database;
use windlass_db::faults::Random;
use windlass_test::clock::Clock;
use windlass_test::invariants::Snapshot;

const SEEDS: std::ops::Range<u64> = 0..80;
const STEPS: usize = 200;
/// After so many steps every job is looked for.
const LOOK_EVERY: usize = 20;
const QUEUE: &str = "default";
const WORKERS: [&str; 3] = ["a.1.1.a.2", "b.1.1.b.3", "c.1.1.c.4"];
const LEASE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;
const WINDOW: u64 = 60 * SECOND;
/// How long a lock lasts that a job gets when it is put back.
const AGAIN: u64 = 7 * DAY;

/// A kind of each scope, so that all jobs of a lock agree on it.
const WINDOWED: &str = "window";
const EVER: &str = "ever";
const STARTED: &str = "started";
const DONE: &str = "done";
const KINDS: [&str; 6] = [WINDOWED, EVER, STARTED, STARTED, DONE, DONE];

/// What makes jobs equal, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Lock {
    kind: &'static str,
    by: By,
    value: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum By {
    Args,
    Fields,
    Key,
}

impl Lock {
    fn has_window(&self) -> bool {
        self.kind == WINDOWED || self.kind == EVER
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Keep,
    Replace,
    Refuse,
}

/// Who holds a lock, and until when at most; `None` for ever.
#[derive(Debug, Clone)]
struct Holder {
    id: String,
    until: Option<u64>,
}

/// A job as the model has it.
#[derive(Debug, Clone)]
struct Job {
    lock: Lock,
    state: State,
    /// When it is due, where it waits for that.
    due: u64,
    /// How many attempts the store counts.
    attempts: u32,
    /// Whether a worker has had it since it got its lock.
    was_taken: bool,
    /// Until when its lock lasts at most.
    on_until: u64,
}

impl Job {
    fn lives(&self) -> bool {
        !self.state.is_final()
    }
}

struct Play {
    random: Random,
    client: Client,
    broker: Broker,
    clock: Clock,
    now: u64,
    /// How long a lock lasts beyond the time of its job.
    life: u64,
    has_lanes: bool,
    jobs: BTreeMap<String, Job>,
    locks: HashMap<Lock, Holder>,
    held: Vec<(&'static str, Taken)>,
    /// Locks of ended jobs that a worker has not forgotten yet.
    releases: Vec<(String, JobId, Lock)>,
    pushed: usize,
}

impl Play {
    async fn begin(seed: u64) -> Self {
        let (clock, manual) = Clock::manual();
        let database =
            Database::memory_with(windlass_db::Config::default(), manual).expect("a database opens");
        let config = Config::default();
        let client = Client::with_config(Connection::to(database.clone()), config.clone()).await.unwrap();
        let broker = Broker::new(Connection::to(database), &config).unwrap();
        Self {
            random: Random::new(seed),
            client,
            broker,
            clock,
            now: 0,
            life: if seed.is_multiple_of(2) { 7 * DAY } else { 30 * SECOND },
            has_lanes: seed.is_multiple_of(3),
            jobs: BTreeMap::new(),
            locks: HashMap::new(),
            held: Vec::new(),
            releases: Vec::new(),
            pushed: 0,
        }
    }

    async fn act(&mut self) {
        match self.random.below(30) {
            0..=9 => self.push().await,
            10..=13 => self.take().await,
            14..=15 => self.end().await,
            16..=18 => self.fail().await,
            19..=20 => self.promote().await,
            21 => self.lose_a_worker().await,
            22..=26 => self.move_by_hand().await,
            27 => self.put_all_back().await,
            28 => self.release().await,
            _ => {
                let most = self.random.pick(&[5 * SECOND, 5 * SECOND, 90 * SECOND, DAY]);
                let by = self.random.below(most as usize) as u64;
                self.advance(by);
            }
        }
        self.check();
    }

    fn advance(&mut self, by: u64) {
        self.clock.advance(Duration::from_millis(by));
        self.now += by;
    }

    /// No two jobs live under one lock that is on.
    fn check(&self) {
        let mut on: HashMap<Lock, Vec<&String>> = HashMap::new();
        for (id, job) in self.jobs.iter().filter(|(_, job)| job.lives() && job.on_until > self.now) {
            let is_on = match job.lock.kind {
                DONE => true,
                STARTED => job.attempts == 0 && !job.was_taken && job.state != State::Active,
                _ => false,
            };
            if is_on {
                on.entry(job.lock).or_default().push(id);
            }
        }
        for (lock, ids) in on {
            assert!(ids.len() < 2, "{ids:?} live under {lock:?}");
        }
    }

    fn holder(&self, lock: Lock) -> Option<&Holder> {
        self.locks.get(&lock).filter(|holder| holder.until.is_none_or(|until| self.now <= until))
    }

    /// The job that keeps others out of a lock, and whether it can be replaced.
    fn blocking(&self, lock: Lock) -> Option<(String, bool)> {
        let holder = self.holder(lock)?;
        let job = self.jobs.get(&holder.id);
        let blocks = match lock.kind {
            WINDOWED | EVER => true,
            DONE => job.is_some_and(Job::lives),
            _ => job.is_some_and(|job| job.lives() && job.state != State::Active && job.attempts == 0),
        };
        let waits = job.is_some_and(|job| job.lives() && job.state != State::Active);
        blocks.then(|| (holder.id.clone(), waits))
    }

    async fn push(&mut self) {
        let kind = self.random.pick(&KINDS);
        let by = self.random.pick(&[By::Args, By::Fields, By::Key]);
        let second = self.random.pick(&[Second::Keep, Second::Keep, Second::Replace, Second::Refuse]);
        let delay = self.random.pick(&[None, None, Some(5 * SECOND), Some(10 * DAY)]);
        let count = self.random.pick(&[1, 1, 1, 3]);
        let locks: Vec<_> = (0..count)
            .map(|_| match by {
                // The key is one of the whole push.
                By::Key => Lock { kind, by, value: 0 },
                by => Lock { kind, by, value: self.random.below(2) },
            })
            .collect();
        let args: Vec<_> = locks.iter().map(|lock| self.args(*lock)).collect();
        let mut options = Push::new().unique(self.unique(kind, by, second));
        if let Some(delay) = delay {
            options = options.delay(Duration::from_millis(delay));
        }
        if self.has_lanes && self.random.below(3) == 0 {
            options = options.priority(self.random.pick(&[5, 200]));
        }
        let told: Vec<(JobId, Pushed)> = match (count, second) {
            (1, Second::Refuse) => match self.client.push_raw(kind, &args[0], options).await {
                Err(Error::Duplicate(id)) => vec![(id, Pushed::Kept)],
                other => vec![(other.unwrap().id().clone(), Pushed::New)],
            },
            (1, _) => {
                let handle = self.client.push_raw(kind, &args[0], options).await.unwrap();
                vec![(handle.id().clone(), handle.pushed().expect("the handle is a push's"))]
            }
            _ => {
                let told = self.client.push_many_unique_raw(kind, args.iter().map(|args| &**args), options);
                told.await.unwrap().into_iter().map(|job| (job.id, job.pushed)).collect()
            }
        };
        assert_eq!(told.len(), locks.len());
        for (lock, (id, pushed)) in locks.into_iter().zip(told) {
            self.note_pushed(lock, second, delay, id, pushed);
        }
    }

    /// Arguments that are equal where the lock compares them, and else not.
    fn args(&mut self, lock: Lock) -> Box<RawValue> {
        self.pushed += 1;
        let (value, other) = match lock.by {
            By::Args => (lock.value, 0),
            By::Fields => (lock.value, self.pushed),
            By::Key => (self.pushed, self.pushed),
        };
        RawValue::from_string(format!(r#"{{"value":{value},"other":{other}}}"#)).unwrap()
    }

    fn unique(&self, kind: &str, by: By, second: Second) -> Unique {
        let life = Duration::from_millis(self.life);
        let unique = match kind {
            WINDOWED => Unique::window(Duration::from_millis(WINDOW)),
            EVER => Unique::forever(),
            STARTED => Unique::until_started().at_most(life),
            _ => Unique::until_done().at_most(life),
        };
        let unique = match by {
            By::Args => unique,
            By::Fields => unique.by_fields(["value"]),
            By::Key => unique.by_key("the key"),
        };
        match second {
            Second::Keep => unique,
            Second::Replace => unique.replace(),
            Second::Refuse => unique.refuse(),
        }
    }

    fn note_pushed(&mut self, lock: Lock, second: Second, delay: Option<u64>, id: JobId, pushed: Pushed) {
        let state = if delay.is_some() { State::Scheduled } else { State::Enqueued };
        let due = self.now + delay.unwrap_or(0);
        let on_until = due + self.life;
        let job = Job { lock, state, due, attempts: 0, was_taken: false, on_until };
        let until = match lock.kind {
            WINDOWED => Some(self.now + WINDOW),
            EVER => None,
            _ => Some(on_until),
        };
        match self.blocking(lock) {
            None => {
                assert_eq!(pushed, Pushed::New, "nobody keeps {id} out of {lock:?}");
                assert!(self.jobs.insert(id.to_string(), job).is_none(), "an id is given once");
                self.locks.insert(lock, Holder { id: id.to_string(), until });
            }
            Some((first, true)) if second == Second::Replace => {
                assert_eq!((pushed, id.as_str()), (Pushed::Replaced, first.as_str()), "{lock:?}");
                self.jobs.insert(first.clone(), job);
                if !lock.has_window() {
                    self.locks.insert(lock, Holder { id: first, until });
                }
            }
            Some((first, _)) => {
                assert_eq!((pushed, id.as_str()), (Pushed::Kept, first.as_str()), "{lock:?}")
            }
        }
    }

    async fn take(&mut self) {
        let (worker, count) = (self.random.pick(&WORKERS), 1 + self.random.below(4));
        let request = Request { consumer: worker, count, may_suspect: true, woken: None };
        for one in self.broker.fetch(&[QUEUE], request).await.unwrap() {
            let id = one.job_id(QUEUE).to_string();
            let job = self.jobs.get_mut(&id).expect("what is taken was pushed and has not ended");
            assert_eq!(job.state, State::Enqueued, "{id} is held twice");
            (job.state, job.was_taken) = (State::Active, true);
            self.held.push((worker, one));
        }
    }

    fn drop_held(&mut self) -> Option<(&'static str, Taken)> {
        if self.held.is_empty() {
            return None;
        }
        let at = self.random.below(self.held.len());
        Some(self.held.swap_remove(at))
    }

    async fn end(&mut self) {
        if let Some((worker, taken)) = self.drop_held() {
            self.finish(worker, &taken).await;
        }
    }

    async fn finish(&mut self, worker: &str, taken: &Taken) {
        let id = taken.job_id(QUEUE);
        let extra = [Extra::of(taken, id.clone(), None)];
        let held = [Held::of(taken)];
        let refused = self.broker.finish(worker, Ended { queue: QUEUE, held: &held, extras: &extra }).await;
        assert!(refused.unwrap().is_empty(), "{id} is held");
        let job = self.jobs.remove(id.as_str()).expect("it is there");
        self.note_release(taken, id, job.lock);
    }

    /// The worker is to forget the lock; it does so some time later, or dies before.
    fn note_release(&mut self, taken: &Taken, id: JobId, lock: Lock) {
        let name = Envelope::parse(&taken.envelope).unwrap().unique;
        assert_eq!(name.is_some(), !lock.has_window());
        if let Some(name) = name
            && self.random.below(4) > 0
        {
            self.releases.push((name, id, lock));
        }
    }

    async fn release(&mut self) {
        if self.releases.is_empty() {
            return;
        }
        let at = self.random.below(self.releases.len());
        let (name, id, lock) = self.releases.swap_remove(at);
        self.broker.release_unique(&[(&name, &id)]).await.unwrap();
        let lives = self.jobs.get(id.as_str()).is_some_and(Job::lives);
        if !lives && self.holder(lock).is_some_and(|holder| holder.id == id.as_str()) {
            self.locks.remove(&lock);
        }
    }

    async fn fail(&mut self) {
        let Some((worker, taken)) = self.drop_held() else { return };
        let states =
            [State::Retry, State::Scheduled, State::Parked, State::Dead, State::Discarded, State::Cancelled];
        let state = self.random.pick(&states);
        let id = taken.job_id(QUEUE);
        let history = taken.history.as_deref().map(|json| serde_json::from_slice::<History>(json).unwrap());
        let attempt = history.unwrap_or_default().attempts + taken.count;
        // A snoozed job and a parked one have spent none.
        let attempts = attempt - u32::from(matches!(state, State::Scheduled | State::Parked));
        let waits = matches!(state, State::Retry | State::Scheduled);
        let delay = if waits { self.random.below(5000) as u64 } else { 0 };
        let fail = Fail {
            held: Held::of(&taken),
            id: id.clone(),
            state,
            history: format!(r#"{{"state":"{state}","attempts":{attempts}}}"#).into_bytes(),
            delay: Duration::from_millis(delay),
            result: None,
        };
        let kept = Retention::new();
        let was_held = match taken.is_ruled {
            true => self.broker.fail_ruled(QUEUE, worker, &fail, &kept, None).await,
            false => self.broker.fail(QUEUE, worker, &fail, &kept).await,
        };
        assert!(was_held.unwrap(), "{id} is held");
        let due = self.now + delay;
        let job = self.job(&id);
        (job.state, job.attempts, job.due) = (state, attempts, due);
        let lock = job.lock;
        // It might be put back before somebody else had the lock forgotten.
        let is_its = self.holder(lock).is_some_and(|holder| holder.id == id.as_str());
        if state.is_final() && is_its && !lock.has_window() {
            self.locks.remove(&lock);
        }
    }

    fn job(&mut self, id: &JobId) -> &mut Job {
        self.jobs.get_mut(id.as_str()).expect("it is there")
    }

    async fn promote(&mut self) {
        for state in [State::Retry, State::Scheduled] {
            self.broker.promote(state, &[QUEUE.to_owned()]).await.unwrap();
        }
        let now = self.now;
        for job in self.jobs.values_mut() {
            if matches!(job.state, State::Retry | State::Scheduled) && job.due <= now {
                job.state = State::Enqueued;
            }
        }
    }

    /// A worker dies with everything that it has, or stops and gives it back.
    async fn lose_a_worker(&mut self) {
        let worker = self.random.pick(&WORKERS);
        let (lost, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(holder, _)| *holder == worker);
        self.held = kept;
        if self.random.below(2) == 0 {
            let crash_limit = self.random.pick(&[1, 1000]);
            // Nobody else is lost, however far the clock has gone.
            let config = Config { crash_limit, lease: LEASE_MAX, ..Config::default() };
            self.broker.recover(QUEUE, &config, &[worker.to_owned()]).await.unwrap();
        } else if !lost.is_empty() {
            let mut held: Vec<_> = lost.iter().map(|(_, taken)| Held::of(taken)).collect();
            held.sort();
            assert_eq!(self.broker.release(QUEUE, worker, &held).await.unwrap(), held.len());
        }
        for (_, taken) in lost {
            let id = taken.job_id(QUEUE);
            // Which of them had begun is not what this model is about.
            let shown = self.client.inspector().show(&id).await.unwrap().expect("it is there");
            assert!(matches!(shown.state, State::Enqueued | State::Dead), "{shown:?}");
            let job = self.job(&id);
            (job.state, job.attempts) = (shown.state, shown.attempts);
        }
    }

    /// The job that keeps an ended one from being put back.
    fn keeps_out(&self, id: &JobId) -> Option<String> {
        let job = &self.jobs[id.as_str()];
        if job.lives() || job.lock.has_window() {
            return None;
        }
        let holder = self.holder(job.lock)?;
        let lives = self.jobs.get(&holder.id).is_some_and(Job::lives);
        (holder.id != id.as_str() && lives).then(|| holder.id.clone())
    }

    /// A job goes to another state by hand, and has its lock again if it had ended.
    fn note_put(&mut self, id: &JobId, state: State, wait: u64) {
        let job = self.jobs[id.as_str()].clone();
        let mut on_until = job.on_until;
        let has_lock = self.holder(job.lock).is_some_and(|holder| holder.id == id.as_str());
        if !job.lives() && !job.lock.has_window() {
            on_until = self.now + AGAIN + wait;
            let own = self.holder(job.lock).filter(|_| has_lock).and_then(|holder| holder.until);
            on_until = on_until.max(own.unwrap_or(0));
            self.locks.insert(job.lock, Holder { id: id.to_string(), until: Some(on_until) });
        } else if !job.lock.has_window() && state == State::Scheduled {
            // It is not forgotten before the job is due.
            let waits = matches!(job.state, State::Scheduled | State::Retry);
            let was_due = if waits { job.due.max(self.now) } else { self.now };
            let later = (self.now + wait).saturating_sub(was_due);
            if has_lock && let Some(Holder { until: Some(until), .. }) = self.locks.get_mut(&job.lock) {
                *until += later;
                on_until = *until;
            }
        }
        let due = self.now + wait;
        let job = self.job(id);
        job.was_taken &= job.lives();
        (job.state, job.due, job.on_until) = (state, due, on_until);
    }

    /// What became of a job that was to be put back: that an equal one kept it out is for the model to say.
    fn is_put<T>(&self, id: &JobId, put: windlass::Result<T>) -> Option<T> {
        match (put, self.keeps_out(id)) {
            (Err(Error::Duplicate(equal)), Some(expected)) => {
                assert_eq!(equal.as_str(), expected);
                None
            }
            (Ok(put), None) => Some(put),
            (put, expected) => {
                let put = put.map(drop);
                panic!("{id} {:?}: {put:?}, and the model has {expected:?}", self.jobs[id.as_str()])
            }
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
        match self.random.below(8) {
            0 => {
                assert_eq!(inspector.remove(&id).await.unwrap(), (!is_active).then_some(true), "{job:?}");
                if !is_active {
                    self.jobs.remove(id.as_str());
                }
            }
            1 | 2 => {
                let kills = self.random.below(2) == 0;
                let ending = if kills { inspector.kill(&id).await } else { inspector.cancel(&id).await };
                if !is_active && job.lives() {
                    assert_eq!(ending.unwrap(), Ending::Ended, "{job:?}");
                    self.job(&id).state = if kills { State::Dead } else { State::Cancelled };
                }
            }
            3 | 4 => {
                let put = inspector.retry(&id).await;
                if let Some(was_stored) = self.is_put(&id, put) {
                    assert_eq!(was_stored, State::STORED.contains(&job.state), "{job:?}");
                    if was_stored {
                        self.note_put(&id, State::Enqueued, 0);
                    }
                }
            }
            5 | 6 => {
                let wait = self.random.pick(&[0, SECOND, 10 * DAY]);
                let put = inspector.reschedule_in(&id, Duration::from_millis(wait)).await;
                if let Some(put) = self.is_put(&id, put) {
                    assert_eq!(put == Rescheduled::Active, is_active, "{job:?}");
                    if !is_active {
                        let retries = job.state == State::Retry;
                        self.note_put(&id, State::Scheduled, wait);
                        if retries {
                            self.job(&id).state = State::Retry;
                        }
                    }
                }
            }
            _ => {
                let (args, retries) = (self.args(job.lock), self.random.below(2) == 0);
                let put = match retries {
                    true => inspector.edit_and_retry(&id, &args).await,
                    false => inspector.edit(&id, &args).await,
                };
                let is_stored = State::STORED.contains(&job.state);
                if !(retries && is_stored) {
                    put.unwrap();
                } else if self.is_put(&id, put).is_some() {
                    self.note_put(&id, State::Enqueued, 0);
                }
            }
        }
    }

    /// All of a state are put back: of those under one lock that had ended one at most, and none where another lives.
    async fn put_all_back(&mut self) {
        let states =
            [State::Dead, State::Dead, State::Discarded, State::Cancelled, State::Retry, State::Parked];
        let state = self.random.pick(&states);
        let there: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.state == state)
            .map(|(id, _)| JobId::parse(id).unwrap())
            .collect();
        let kept_out: HashMap<_, _> = there.iter().map(|id| (id.clone(), self.keeps_out(id))).collect();
        let answer = self.client.inspector().retry_all(&Filter { state, ..Filter::default() }).await.unwrap();
        let (mut moved, mut of_lock) = (0, HashMap::new());
        for id in &there {
            let lock = self.jobs[id.as_str()].lock;
            let shown = self.client.inspector().show(id).await.unwrap().expect("it is there");
            let has_moved = shown.state == State::Enqueued;
            assert!(has_moved || shown.state == state, "{id} is {}", shown.state);
            assert!(!has_moved || kept_out[id].is_none(), "{id} is put back beside {:?}", kept_out[id]);
            let is_alone = !state.is_final() || lock.has_window();
            let (lock_moved, could) = of_lock.entry(lock).or_insert((0, 0));
            *lock_moved += u64::from(has_moved);
            *could += u64::from(kept_out[id].is_none());
            assert!(has_moved || !is_alone, "nothing keeps {id} out");
            moved += u64::from(has_moved);
            if has_moved {
                self.note_put(id, State::Enqueued, 0);
            }
        }
        if state.is_final() {
            for (lock, (moved, could)) in of_lock.into_iter().filter(|(lock, _)| !lock.has_window()) {
                assert_eq!(moved, could.min(1), "of {could} under {lock:?}");
            }
        }
        assert_eq!((answer.moved, answer.kept_out), (moved, there.len() as u64 - moved));
    }

    /// Every job is where the model has it, and the store fits together.
    async fn look(&self) {
        let mut problems = Snapshot::read(&self.broker).await.problems();
        // Of locks the model knows more: that one for ever outlives its job, and one until its job has started does not.
        problems.retain(|problem| !problem.contains(" equal "));
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        for (id, job) in &self.jobs {
            let shown = self.client.inspector().show(&JobId::parse(id).unwrap()).await.unwrap();
            let shown = shown.unwrap_or_else(|| panic!("{id} is lost: {job:?}"));
            assert_eq!((shown.state, shown.attempts), (job.state, job.attempts + self.count_of(id)), "{id}");
        }
    }

    /// What counts of an attempt that runs.
    fn count_of(&self, id: &str) -> u32 {
        let held = self.held.iter().find(|(_, taken)| taken.job_id(QUEUE).as_str() == id);
        let before = |taken: &Taken| {
            let history = taken.history.as_deref();
            history.map_or(0, |json| serde_json::from_slice::<History>(json).unwrap().attempts)
        };
        held.map_or(0, |(_, taken)| before(taken) + taken.count - self.jobs[id].attempts)
    }

    /// Everything ends, in one way or another; then only windows keep anybody out, as long as they last.
    async fn end_all(&mut self) {
        while let Some((worker, taken)) = self.drop_held() {
            self.finish(worker, &taken).await;
        }
        let left: Vec<_> =
            self.jobs.iter().filter(|(_, job)| job.lives()).map(|(id, _)| id.clone()).collect();
        for id in left {
            let id = JobId::parse(&id).unwrap();
            assert_eq!(self.client.inspector().cancel(&id).await.unwrap(), Ending::Ended);
            self.job(&id).state = State::Cancelled;
        }
        self.look().await;
        let mut locks: Vec<_> = self.locks.keys().copied().collect();
        locks.sort();
        for lock in locks {
            let args = self.args(lock);
            let options = Push::new().unique(self.unique(lock.kind, lock.by, Second::Keep));
            let handle = self.client.push_raw(lock.kind, &args, options).await.unwrap();
            let pushed = handle.pushed().unwrap();
            assert!(
                lock.has_window() || pushed == Pushed::New,
                "{lock:?} keeps others out, and all have ended"
            );
            self.note_pushed(lock, Second::Keep, None, handle.id().clone(), pushed);
        }
    }
}

#[tokio::test]
async fn whatever_happens_a_unique_job_is_alone() {
    for seed in SEEDS {
        println!("seed {seed}");
        let mut play = Play::begin(seed).await;
        for step in 0..STEPS {
            play.act().await;
            if step % LOOK_EVERY == 0 {
                play.look().await;
            }
        }
        play.end_all().await;
    }
}
