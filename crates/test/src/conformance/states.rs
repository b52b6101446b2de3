//! The table of states and verbs, cell by cell: a job is brought into the state, the verb is done to it, and it is where
//! the table says, there and nowhere else. A verb that is refused says so in the table's words and has changed nothing.

use std::time::{Duration, SystemTime};

use windlass::broker::{Ended, Extra, Fail, Held, Passed, Taken};
use windlass::{
    Actor, Batch, Becomes, Config, Context, Details, Ending, Error, Failure, Filter, JobId, Keep, Push,
    Pushed, Retention, Retry, State, Unique, Verb,
};

use super::world::{Beside, Store, World, json};

const A: &str = "a.1.1.a.2";
const B: &str = "b.1.1.b.2";
/// The last part of the name: a worker that runs none at once has begun none.
const IDLE: &str = "i.1.1.i.0";
const HOUR: Duration = Duration::from_secs(3600);
const QUEUE: &str = "default";

/// Where a job waits that is enqueued. In the other states it is what the job comes from, and goes back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The stream.
    Stream,
    /// A lane of its queue.
    Lane,
    /// The stream, in front of others, since a worker gave it back.
    GivenBack,
    /// The stream, until it can run alone, since a worker died of it.
    Suspected,
}

pub(super) async fn a_service_makes_of_a_job_what_the_table_says(store: &Store) {
    try_all(store, Actor::Service).await;
}

pub(super) async fn a_worker_makes_of_a_job_what_the_table_says(store: &Store) {
    try_all(store, Actor::Worker).await;
}

pub(super) async fn a_hand_makes_of_a_job_what_the_table_says(store: &Store) {
    try_all(store, Actor::Hand).await;
}

async fn try_all(store: &Store, actor: Actor) {
    // A queue that had lanes may have rules for a while, and so each place has its own.
    for places in [&[Place::Stream, Place::GivenBack, Place::Suspected][..], &[Place::Lane]] {
        let world = store.world().await;
        for verb in Verb::all().filter(|verb| verb.by() == actor) {
            for place in places {
                let waits = matches!(place, Place::Stream | Place::Lane);
                let states = State::ALL.into_iter().filter(|state| waits || *state == State::Enqueued);
                for state in states {
                    try_cell(&world, *place, state, verb).await;
                }
            }
        }
    }
}

async fn try_cell(world: &World, place: Place, state: State, verb: Verb) {
    let cell = format!("{state} ({place:?}), {verb:?}");
    let becomes = state.after(verb);
    let (id, before, answer) = if state == State::Active && is_for_a_handler(verb) {
        let Becomes::In(next) = becomes else { panic!("{cell}: a handler is heeded") };
        (run(world, place, verb, next).await, None, String::new())
    } else {
        let job = bring(world, place, state, verb).await;
        let before = look(world, &job.id).await;
        before.check(Some(state), &cell);
        let answer = act(world, &job, state, verb).await;
        // The one cell that a lane makes another: its queue does not ask for kinds.
        if place == Place::Lane && state == State::Active && verb == Verb::HandOver {
            assert_eq!(answer, "Unknown", "{cell}");
            assert_eq!(Some(look(world, &job.id).await), Some(before), "{cell}");
            return clear(world, &job.id, &cell).await;
        }
        (job.id, Some(before), answer)
    };
    let after = look(world, &id).await;
    match becomes {
        Becomes::In(next) => after.check(Some(next), &cell),
        Becomes::Gone => after.check(None, &cell),
        Becomes::Asked => {
            assert_eq!(answer, "Asked", "{cell}");
            assert_eq!(Some(after), before, "{cell}");
        }
        Becomes::Refused(refusal) => {
            assert_eq!(answer, refusal, "{cell}");
            assert_eq!(Some(after), before, "{cell}: what was refused changed something");
        }
        _ => panic!("{cell}: {becomes:?} is not known here"),
    }
    clear(world, &id, &cell).await;
}

/// A job, and what was held of it when it was last taken.
struct Job {
    id: JobId,
    holder: &'static str,
    taken: Taken,
    /// The batch that it is one of, if it is to be.
    batch: Option<Batch>,
}

fn options(place: Place) -> Push {
    let options = Push::new().result_ttl(HOUR);
    if place == Place::Lane { options.priority(200) } else { options }
}

/// Pushes a job and brings it into a state, as far as `verb` needs it there.
async fn bring(world: &World, place: Place, state: State, verb: Verb) -> Job {
    let (mut batch, mut options) = (None, options(place));
    if verb == Verb::Replace {
        options = options.unique(Unique::until_done().replace());
    }
    let id = if verb == Verb::CancelBatch {
        let batch = batch.insert(world.client.batch().open().await.unwrap());
        batch.push_with(super::act::job("1"), options).await.unwrap()
    } else {
        world.push("k", "1", options).await
    };
    let holder = if (state, verb) == (State::Active, Verb::Recover) { IDLE } else { A };
    let job = Job { id, holder, taken: world.take(holder, 1).await.remove(0), batch };
    match (state, place) {
        (State::Active, _) => {}
        (State::Completed, _) => assert!(succeed(world, &job).await),
        (State::Enqueued, Place::GivenBack) => assert!(release(world, &job).await),
        (State::Enqueued, Place::Suspected) => assert_eq!(world.recover(&[A]).await.suspects, 1),
        (State::Enqueued, _) => {
            assert!(fail(world, &job, State::Retry, Duration::ZERO).await);
            assert_eq!(promote(world).await, 1);
        }
        _ => {
            let wait = if verb == Verb::Promote { Duration::ZERO } else { HOUR };
            assert!(fail(world, &job, state, wait).await);
        }
    }
    job
}

/// Whether a real worker does it to a job that it runs.
fn is_for_a_handler(verb: Verb) -> bool {
    verb.by() == Actor::Worker && !matches!(verb, Verb::Take | Verb::HandOver | Verb::Release)
}

/// Has a worker do it to a job until that is in the state `next`.
async fn run(world: &World, place: Place, verb: Verb, next: State) -> JobId {
    let options = match verb {
        Verb::FailLast => options(place).max_attempts(1),
        Verb::Expire => options(place).expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
        _ => options(place),
    };
    let id = world.push("k", "1", options).await;
    let known = if verb == Verb::Park { "else" } else { "k" };
    let answer = move |_, context: Context| async move {
        match verb {
            Verb::Succeed => return Ok(json("7")),
            Verb::Snooze => return Err(Failure::snooze(HOUR)),
            Verb::Discard => return Err(Failure::discard("needless")),
            Verb::Stop => context.cancelled().await,
            _ => {}
        }
        Err(Failure::retry("no"))
    };
    let worker = Beside::start(world.worker().register_raw(known, Retry::Fixed(HOUR), answer));
    if verb == Verb::Stop {
        world.until(&id, State::Active).await;
        assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), Ending::Asked);
    }
    world.until(&id, next).await;
    worker.stop().await;
    id
}

/// Does it to a job, and answers what the caller is told; "done" where that is no word.
async fn act(world: &World, job: &Job, state: State, verb: Verb) -> String {
    let (inspector, id) = (world.client.inspector(), &job.id);
    let passed = |is_done: bool| if is_done { "done" } else { "passed over" }.to_owned();
    let heeded = |is_held: bool| if is_held { "done" } else { "not held" }.to_owned();
    match verb {
        Verb::Promote => passed(promote(world).await == 1),
        Verb::Unpark => {
            let (queues, kinds) = ([QUEUE.to_owned()], ["k:1".to_owned()]);
            passed(world.broker.unpark(0, &queues, &kinds).await.unwrap().1 == 1)
        }
        Verb::Suspect => passed(world.recover(&[job.holder]).await.suspects == 1),
        Verb::Recover => passed(world.recover(&[job.holder]).await.unstarted == 1),
        Verb::Quarantine => {
            let strict = Config { crash_limit: 1, ..world.config.clone() };
            let dead = [job.holder.to_owned()];
            passed(world.broker.recover(QUEUE, &strict, &dead).await.unwrap().killed == 1)
        }
        Verb::Prune => {
            let none = Keep { count: 0, ..Keep::default() };
            let ended = [State::Dead, State::Discarded, State::Cancelled];
            let retention = ended.into_iter().fold(Retention::new(), |all, state| all.of(state, none));
            let strict = Config { retention, parked_age: Duration::ZERO, ..world.config.clone() };
            passed(world.broker.prune(&strict).await.unwrap() == 1)
        }
        Verb::Take => passed(world.take(B, 1).await.len() == 1),
        Verb::Succeed => heeded(succeed(world, job).await),
        Verb::Fail => heeded(fail(world, job, State::Retry, HOUR).await),
        Verb::FailLast => heeded(fail(world, job, State::Dead, HOUR).await),
        Verb::Snooze => heeded(fail(world, job, State::Scheduled, HOUR).await),
        Verb::Discard | Verb::Expire => heeded(fail(world, job, State::Discarded, HOUR).await),
        Verb::Stop => heeded(fail(world, job, State::Cancelled, HOUR).await),
        Verb::Park => heeded(fail(world, job, State::Parked, HOUR).await),
        Verb::HandOver => hand_over(world, job).await,
        Verb::Release => heeded(release(world, job).await),
        Verb::Requeue => inspector.retry(id).await.unwrap().to_string(),
        Verb::RequeueAll => match inspector.retry_all(&Filter { state, ..Filter::default() }).await {
            Ok(requeued) => requeued.moved.to_string(),
            Err(Error::Config(_)) => "Error::Config".to_owned(),
            Err(error) => panic!("{error}"),
        },
        Verb::Reschedule => format!("{:?}", inspector.reschedule_in(id, HOUR).await.unwrap()),
        Verb::Edit => format!("{:?}", inspector.edit(id, &json("2")).await.unwrap()),
        Verb::EditAndRetry => format!("{:?}", inspector.edit_and_retry(id, &json("2")).await.unwrap()),
        Verb::Remove => format!("{:?}", inspector.remove(id).await.unwrap()),
        Verb::Cancel => {
            format!("{:?}", world.client.handle::<()>(id.clone()).cancel().await.unwrap())
        }
        Verb::CancelBatch => {
            assert!(job.batch.as_ref().unwrap().cancel().await.unwrap());
            // The answer is about the batch and not about one job.
            if state == State::Active { "Asked" } else { "passed over" }.to_owned()
        }
        Verb::Replace => {
            let options = Push::new().result_ttl(HOUR).unique(Unique::until_done().replace());
            let pushed = world.client.push_raw("k", &json("1"), options).await.unwrap();
            let what = pushed.pushed().unwrap();
            if what == Pushed::New {
                assert_eq!(inspector.remove(pushed.id()).await.unwrap(), Some(true));
            }
            format!("{what:?}")
        }
        Verb::Kill => format!("{:?}", inspector.kill(id).await.unwrap()),
        _ => panic!("{verb:?} has no arm here"),
    }
}

async fn promote(world: &World) -> usize {
    let mut moved = 0;
    for state in [State::Scheduled, State::Retry] {
        moved += world.broker.promote(state, &[QUEUE.to_owned()]).await.unwrap().moved;
    }
    moved
}

async fn succeed(world: &World, job: &Job) -> bool {
    let result = Some((b"7".to_vec(), HOUR));
    let extras = [Extra::of(&job.taken, job.id.clone(), result)];
    let ended = Ended { queue: QUEUE, held: &[Held::of(&job.taken)], extras: &extras };
    world.broker.finish(job.holder, ended).await.unwrap().is_empty()
}

async fn fail(world: &World, job: &Job, state: State, delay: Duration) -> bool {
    let fail = Fail {
        held: Held::of(&job.taken),
        id: job.id.clone(),
        state,
        history: format!(r#"{{"state":"{state}","attempts":1}}"#).into_bytes(),
        // What is no time at which a job is due is when it came there.
        delay: if matches!(state, State::Scheduled | State::Retry) { delay } else { Duration::ZERO },
        result: state.is_final().then(|| (br#"{"class":"E","message":"no"}"#.to_vec(), HOUR)),
    };
    let kept = &world.config.retention;
    let failed = match job.taken.is_ruled {
        true => world.broker.fail_ruled(QUEUE, job.holder, &fail, kept, None).await,
        false => world.broker.fail(QUEUE, job.holder, &fail, kept).await,
    };
    failed.unwrap()
}

async fn release(world: &World, job: &Job) -> bool {
    world.broker.release(QUEUE, job.holder, &[Held::of(&job.taken)]).await.unwrap() == 1
}

/// Hands a job over in a queue that asks for kinds, one of which a worker knows.
async fn hand_over(world: &World, job: &Job) -> String {
    let (kinds, lease) = (["k:1".to_owned()], world.config.lease);
    world.broker.ask_for_kinds(QUEUE, true).await.unwrap();
    world.broker.know(&[QUEUE], &kinds, lease).await.unwrap();
    let passed = world.broker.pass(QUEUE, job.holder, Held::of(&job.taken), ("k", 1), lease).await;
    world.broker.ask_for_kinds(QUEUE, false).await.unwrap();
    match passed.unwrap() {
        Passed::Lost => "not held".to_owned(),
        passed => format!("{passed:?}"),
    }
}

/// Everything that is stored of the one job in a namespace.
#[derive(Debug, PartialEq)]
struct Seen {
    details: Option<Details>,
    /// How many are in the stream, in lanes, and in each set.
    in_stream: u64,
    in_lanes: u64,
    in_sets: Vec<u64>,
    /// Records, redirects, and marks of suspects.
    beside: [u64; 3],
    /// Entry, holder and count of what is pending.
    pending: Vec<(String, String, u64)>,
}

async fn look(world: &World, id: &JobId) -> Seen {
    let keys = world.broker.keys();
    let stream = keys.stream(QUEUE);
    let pending: Vec<(String, String, u64, u64)> =
        world.ask("XPENDING", &[&stream, "w", "-", "+", "9"]).await;
    let mut in_sets = Vec::new();
    for set in keys.sets() {
        in_sets.push(world.ask("ZCARD", &[&set]).await);
    }
    let mut beside = [0; 3];
    for (count, hash) in beside.iter_mut().zip([keys.jobs(), keys.moved(), keys.suspect(QUEUE)]) {
        *count = world.ask("HLEN", &[&hash]).await;
    }
    Seen {
        details: world.client.inspector().show(id).await.unwrap(),
        in_stream: world.ask("XLEN", &[&stream]).await,
        in_lanes: world.broker.jobs_in_lanes(QUEUE).await.unwrap(),
        in_sets,
        beside,
        pending: pending.into_iter().map(|(entry, holder, _, count)| (entry, holder, count)).collect(),
    }
}

impl Seen {
    /// Asserts that the job is in this state, and in one place; `None` when nothing of it is to be there.
    fn check(&self, state: Option<State>, cell: &str) {
        // A result outlives its job.
        let is_result = |job: &Details| state.is_none() && job.envelope.is_empty();
        let found = self.details.as_ref().filter(|job| !is_result(job));
        assert_eq!(found.map(|job| job.state), state, "{cell}: {self:?}");
        let is_stored = state.is_some_and(|state| State::STORED.contains(&state));
        let is_queued = matches!(state, Some(State::Enqueued | State::Active));
        let stored: u64 = self.in_sets.iter().sum();
        assert_eq!(stored, u64::from(is_stored), "{cell}: {self:?}");
        assert_eq!(self.in_stream + self.in_lanes, u64::from(is_queued), "{cell}: {self:?}");
        let [records, redirects, suspects] = self.beside;
        assert_eq!(records, stored + self.in_lanes, "{cell}: {self:?}");
        assert!(redirects <= self.in_stream && suspects <= self.in_stream, "{cell}: {self:?}");
        assert!(self.pending.len() as u64 <= self.in_stream, "{cell}: {self:?}");
        let is_held = self.pending.iter().any(|(_, holder, _)| !holder.starts_with('~'));
        assert_eq!(is_held, state == Some(State::Active), "{cell}: {self:?}");
    }
}

/// Makes room for the next cell.
async fn clear(world: &World, id: &JobId, cell: &str) {
    world.recover(&[A, B, IDLE]).await;
    world.client.inspector().remove(id).await.unwrap();
    let lanes = world.broker.jobs_in_lanes(QUEUE).await.unwrap();
    assert!(world.is_empty().await && lanes == 0, "{cell}: something is left");
}
