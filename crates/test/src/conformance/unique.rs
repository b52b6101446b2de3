//! Jobs of which there is to be one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::broker::{Fail, Held};
use windlass::{
    Context, Ending, Envelope, Error, Failure, Filter, Handle, Job, JobId, Outcome, Push, Pushed,
    Rescheduled, Retry, State, Unique,
};

use super::time::{MARGIN, almost};
use super::world::{Beside, Run, Store, World, json};

const A: &str = "a.1.1.a.2";
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Serialize, Deserialize)]
struct Report {
    user: u32,
    day: u32,
}

impl Job for Report {
    const KIND: &'static str = "k";
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        Ok(())
    }
}

async fn push(world: &World, user: u32, day: u32, unique: Unique) -> Handle<()> {
    push_with(world, user, day, Push::new().unique(unique)).await
}

async fn push_with(world: &World, user: u32, day: u32, options: Push) -> Handle<()> {
    world.client.push_with(Report { user, day }, options).await.expect("the push is answered")
}

fn what(handle: &Handle<()>) -> Pushed {
    handle.pushed().expect("the handle is a push's")
}

/// The arguments of a job that waits.
async fn args(world: &World, handle: &Handle<()>) -> String {
    let job = world.client.inspector().show(handle.id()).await.unwrap().unwrap();
    Envelope::parse(&job.envelope).unwrap().args.get().to_owned()
}

pub(super) async fn an_equal_job_is_kept_out_until_the_first_is_done(store: &Store) {
    let world = store.world().await;
    let first = push(&world, 1, 1, Unique::until_done()).await;
    assert_eq!(what(&first), Pushed::New);
    let second = push(&world, 1, 1, Unique::until_done()).await;
    assert_eq!((what(&second), second.id()), (Pushed::Kept, first.id()));
    assert_eq!(what(&push(&world, 1, 2, Unique::until_done()).await), Pushed::New);
    let elsewhere = Push::new().queue("other").unique(Unique::until_done());
    assert_eq!(what(&push_with(&world, 1, 1, elsewhere).await), Pushed::New, "another queue");
    let taken = world.take(A, 1).await;
    assert_eq!(what(&push(&world, 1, 1, Unique::until_done()).await), Pushed::Kept, "it runs");
    world.finish(A, &taken).await;
    assert_eq!(what(&push(&world, 1, 1, Unique::until_done()).await), Pushed::New, "it is done");
}

pub(super) async fn an_equal_job_is_kept_out_until_the_first_has_started(store: &Store) {
    let world = store.world().await;
    let first = push(&world, 1, 1, Unique::until_started()).await;
    assert_eq!(push(&world, 1, 1, Unique::until_started()).await.id(), first.id());
    let (worker, mut runs) = world.recorder(|_| async { Err(Failure::retry("again").retry_in(HOUR)) });
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    world.until(first.id(), State::Retry).await;
    worker.stop().await;
    let second = push(&world, 1, 1, Unique::until_started()).await;
    assert_eq!(what(&second), Pushed::New, "the first has begun once");
    world.take(A, 1).await;
    assert_eq!(what(&push(&world, 1, 1, Unique::until_started()).await), Pushed::New, "the second runs");
}

pub(super) async fn a_second_push_is_refused_when_told_so(store: &Store) {
    let world = store.world().await;
    let unique = Push::new().unique(Unique::until_done().refuse());
    let first = push_with(&world, 1, 1, unique.clone()).await;
    match world.client.push_with(Report { user: 1, day: 1 }, unique.clone()).await {
        Err(Error::Duplicate(id)) => assert_eq!(id, *first.id()),
        other => panic!("{other:?}"),
    }
    let keyed = world.client.push_with(Report { user: 1, day: 1 }, unique.key("x")).await;
    assert!(matches!(keyed, Err(Error::Config(_))));
    assert_eq!(world.take(A, 9).await.len(), 1);
}

pub(super) async fn a_waiting_job_is_replaced_under_its_id(store: &Store) {
    let world = store.world().await;
    let unique = || Unique::until_done().by_fields(["user"]).replace();
    let scheduled = push_with(&world, 1, 1, Push::new().delay(HOUR).unique(unique())).await;
    let later = push_with(&world, 1, 2, Push::new().delay(2 * HOUR).unique(unique())).await;
    assert_eq!((what(&later), later.id()), (Pushed::Replaced, scheduled.id()));
    assert_eq!(args(&world, &scheduled).await, r#"{"user":1,"day":2}"#);
    assert_eq!(scheduled.state().await.unwrap(), Some(State::Scheduled));
    let now = push_with(&world, 1, 3, Push::new().unique(unique())).await;
    assert_eq!((what(&now), now.id()), (Pushed::Replaced, scheduled.id()));
    assert_eq!(scheduled.state().await.unwrap(), Some(State::Enqueued));
    let again = push_with(&world, 1, 4, Push::new().unique(unique())).await;
    assert_eq!((what(&again), again.id()), (Pushed::Replaced, scheduled.id()));
    let taken = world.take(A, 9).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].job_id("default"), *scheduled.id());
    assert_eq!(Envelope::parse(&taken[0].envelope).unwrap().args.get(), r#"{"user":1,"day":4}"#);
    assert_eq!(what(&push(&world, 1, 5, unique()).await), Pushed::Kept, "what runs is not replaced");
}

pub(super) async fn jobs_are_unique_by_fields_or_by_a_key(store: &Store) {
    let world = store.world().await;
    let by_user = || Unique::until_done().by_fields(["user"]);
    assert_eq!(what(&push(&world, 1, 1, by_user()).await), Pushed::New);
    assert_eq!(what(&push(&world, 1, 2, by_user()).await), Pushed::Kept);
    assert_eq!(what(&push(&world, 2, 1, by_user()).await), Pushed::New);
    let by_key = |key: &str| Unique::forever().by_key(key);
    assert_eq!(what(&push(&world, 1, 1, by_key("a")).await), Pushed::New);
    assert_eq!(what(&push(&world, 2, 2, by_key("a")).await), Pushed::Kept);
    assert_eq!(what(&push(&world, 1, 1, by_key("b")).await), Pushed::New);
}

pub(super) async fn many_unique_jobs_are_pushed_at_once(store: &Store) {
    let world = store.world().await;
    let options = || Push::new().unique(Unique::until_done());
    let jobs = || (0..1300).map(|number| Report { user: number % 650, day: 1 });
    assert_eq!(world.client.push_many_with(jobs(), options()).await.unwrap(), 650);
    assert_eq!(world.client.push_many_with(jobs(), options()).await.unwrap(), 0);
    let refuse = Push::new().unique(Unique::until_done().refuse());
    let more = (600..700).map(|user| Report { user, day: 1 });
    assert_eq!(world.client.push_many_with(more, refuse).await.unwrap(), 50);
    let args: Vec<_> = (0..20).map(|number| json(&(number % 4).to_string())).collect();
    let raw = world.client.push_many_raw("raw", args.iter().map(|args| &**args), options().delay(HOUR));
    assert_eq!(raw.await.unwrap(), 4);
    assert_eq!(world.ask::<u64>("XLEN", &[&world.broker.keys().stream("default")]).await, 700);
}

pub(super) async fn equal_pushes_at_once_make_one_job(store: &Store) {
    let world = store.world().await;
    let (a, b, c) = tokio::join!(
        push(&world, 1, 1, Unique::until_done()),
        push(&world, 1, 1, Unique::until_done()),
        push(&world, 1, 1, Unique::until_done())
    );
    let new = [&a, &b, &c].into_iter().filter(|handle| what(handle) == Pushed::New).count();
    assert_eq!((new, a.id() == b.id(), b.id() == c.id()), (1, true, true));
}

pub(super) async fn a_job_that_ended_in_any_way_keeps_nobody_out(store: &Store) {
    let world = store.world_with(|config| config.crash_limit = 1).await;
    let inspector = world.client.inspector();
    for way in ["cancelled", "killed", "removed", "crashed"] {
        let handle = push(&world, 1, 1, Unique::until_done()).await;
        assert_eq!(what(&handle), Pushed::New, "before it is {way}");
        match way {
            "cancelled" => assert_eq!(handle.cancel().await.unwrap(), Ending::Ended),
            "killed" => assert_eq!(inspector.kill(handle.id()).await.unwrap(), Ending::Ended),
            "removed" => assert_eq!(inspector.remove(handle.id()).await.unwrap(), Some(true)),
            _ => {
                world.take(A, 1).await;
                assert_eq!(world.recover(&[A]).await.killed, 1);
            }
        }
    }
    assert_eq!(what(&push(&world, 1, 1, Unique::until_done()).await), Pushed::New);
}

pub(super) async fn a_lock_is_forgotten_with_its_job(store: &Store) {
    let world = store.world().await;
    let lock = async |handle: &Handle<()>| {
        let job = world.client.inspector().show(handle.id()).await.unwrap().unwrap();
        world.broker.keys().unique(&Envelope::parse(&job.envelope).unwrap().unique.expect("it is unique"))
    };
    let exists = async |lock: &str| world.ask::<u64>("EXISTS", &[lock]).await == 1;
    let done = push(&world, 1, 1, Unique::until_done()).await;
    let dies = push(&world, 2, 2, Unique::until_started()).await;
    let (done_lock, dies_lock) = (lock(&done).await, lock(&dies).await);
    assert!(exists(&done_lock).await && exists(&dies_lock).await);
    let (worker, mut runs) = world.recorder(|run: Run| async move {
        if run.args.contains('2') { Err(Failure::kill("no")) } else { Ok(()) }
    });
    let worker = Beside::start(worker);
    runs.recv().await.unwrap();
    runs.recv().await.unwrap();
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.failed), (1, 1));
    assert!(!exists(&done_lock).await && !exists(&dies_lock).await);
}

pub(super) async fn a_debounced_job_runs_once_with_the_last_arguments(store: &Store) {
    let world = store.world().await;
    let debounce = |quiet| Push::new().unique(Unique::until_started().by_fields(["user"])).debounce(quiet);
    let first = push_with(&world, 1, 1, debounce(HOUR)).await;
    for day in 2..5 {
        let next = push_with(&world, 1, day, debounce(Duration::from_millis(1))).await;
        assert_eq!((what(&next), next.id()), (Pushed::Replaced, first.id()));
    }
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    let run = runs.recv().await.unwrap();
    assert_eq!(run, Run { id: first.id().clone(), attempt: 1, args: r#"{"user":1,"day":4}"#.into() });
    assert_eq!(worker.stop().await.completed, 1);
    assert!(world.is_empty().await);
}

pub(super) async fn a_window_of_uniqueness_ends_with_its_time(store: &Store) {
    let world = store.world().await;
    let unique = || Unique::window(HOUR);
    let first = push(&world, 1, 1, unique()).await;
    let worker = Beside::start(world.worker().register::<Report>());
    almost(store, HOUR);
    let second = push(&world, 1, 1, unique()).await;
    assert_eq!((what(&second), second.id()), (Pushed::Kept, first.id()), "whatever became of the first");
    store.advance(2 * MARGIN);
    assert_eq!(what(&push(&world, 1, 1, unique()).await), Pushed::New);
    worker.stop().await;
}

pub(super) async fn a_lock_lasts_beyond_the_time_of_its_job(store: &Store) {
    let world = store.world().await;
    let unique = || Unique::until_done().at_most(HOUR);
    let options = || Push::new().delay(24 * HOUR).unique(unique());
    push_with(&world, 1, 1, options()).await;
    almost(store, 25 * HOUR);
    assert_eq!(what(&push_with(&world, 1, 1, options()).await), Pushed::Kept);
    store.advance(2 * MARGIN);
    assert_eq!(what(&push_with(&world, 1, 1, options()).await), Pushed::New, "every lock ends");
}

pub(super) async fn a_lock_lasts_until_a_later_time_that_is_set_by_hand(store: &Store) {
    let world = store.world().await;
    let options = |delay| Push::new().delay(delay).unique(Unique::until_done().at_most(HOUR));
    let scheduled = push_with(&world, 1, 1, options(HOUR)).await;
    let enqueued = push(&world, 2, 2, Unique::until_done().at_most(HOUR)).await;
    for job in [&scheduled, &enqueued] {
        let inspector = world.client.inspector();
        assert_eq!(inspector.reschedule_in(job.id(), 24 * HOUR).await.unwrap(), Rescheduled::Scheduled);
    }
    almost(store, 25 * HOUR);
    for (user, job) in [(1, &scheduled), (2, &enqueued)] {
        let second = push_with(&world, user, user, options(HOUR)).await;
        assert_eq!((what(&second), second.id()), (Pushed::Kept, job.id()));
    }
    store.advance(2 * MARGIN);
    assert_eq!(what(&push_with(&world, 1, 1, options(HOUR)).await), Pushed::New, "every lock ends");
}

pub(super) async fn a_lock_is_forgotten_in_the_step_that_ends_its_job(store: &Store) {
    let world = store.world().await;
    for (user, state) in
        [State::Dead, State::Discarded, State::Cancelled, State::Retry].into_iter().enumerate()
    {
        let user = user as u32;
        let job = push(&world, user, 1, Unique::until_done()).await;
        let taken = world.take(A, 1).await;
        let envelope = Envelope::parse(&taken[0].envelope).unwrap();
        let lock = world.broker.keys().unique(&envelope.unique.expect("it is unique"));
        let (held, history) = (Held::of(&taken[0]), format!(r#"{{"state":"{state}"}}"#).into_bytes());
        let fail = Fail { held, id: job.id().clone(), state, history, delay: HOUR, result: None };
        assert!(world.broker.fail("default", A, &fail, &world.config.retention).await.unwrap());
        // Whoever puts it back takes the lock again, so that nobody may take it from there.
        let is_there = world.ask::<u64>("EXISTS", &[&lock]).await == 1;
        assert_eq!(is_there, state == State::Retry, "{state}");
    }
}

pub(super) async fn a_job_that_is_to_be_retried_keeps_equal_ones_out(store: &Store) {
    let world = store.world().await;
    let first = push(&world, 1, 1, Unique::until_done()).await;
    let fail = |_, _| async { Err(Failure::retry("not now")) };
    let worker = Beside::start(world.worker().register_raw("k", Retry::Fixed(HOUR), fail));
    world.until(first.id(), State::Retry).await;
    worker.stop().await;
    assert_eq!(push(&world, 1, 1, Unique::until_done()).await.id(), first.id());
}

/// The ways in which an ended job is put back, each told by whether an equal one kept it out.
async fn put_back(world: &World, way: &str, id: &JobId) -> Result<(), JobId> {
    let inspector = world.client.inspector();
    let put = match way {
        "retry" => inspector.retry(id).await.map(drop),
        "reschedule" => inspector.reschedule_in(id, HOUR).await.map(drop),
        _ => inspector.edit_and_retry(id, &json(r#"{"user":1,"day":1}"#)).await.map(drop),
    };
    match put {
        Err(Error::Duplicate(equal)) => Err(equal),
        put => {
            put.expect("it is put back");
            Ok(())
        }
    }
}

pub(super) async fn a_job_that_is_put_back_is_the_one_that_is_there(store: &Store) {
    let inspector_of = |world: &World| world.client.inspector();
    for (way, until) in [
        ("retry", Unique::until_done()),
        ("reschedule", Unique::until_done()),
        ("edit", Unique::until_done()),
        ("retry", Unique::until_started()),
    ] {
        let world = store.world().await;
        let first = push(&world, 1, 1, until.clone()).await;
        inspector_of(&world).kill(first.id()).await.unwrap();
        // An equal one came meanwhile: it keeps the first out, wherever it waits.
        let options = Push::new().unique(until.clone()).priority(3);
        let second = push_with(&world, 1, 1, options).await;
        assert_eq!(what(&second), Pushed::New, "{way}");
        assert_eq!(put_back(&world, way, first.id()).await, Err(second.id().clone()), "{way}");
        assert_eq!(world.take(A, 9).await.len(), 1, "{way}: the second alone");
        assert_eq!(put_back(&world, way, first.id()).await, Err(second.id().clone()), "{way}: it runs");
        world.recover(&[A]).await;
        inspector_of(&world).cancel(second.id()).await.unwrap();
        // Now nobody is there, and the first has its lock again.
        assert_eq!(put_back(&world, way, first.id()).await, Ok(()), "{way}");
        let third = push(&world, 1, 1, until.clone()).await;
        assert_eq!((what(&third), third.id()), (Pushed::Kept, first.id()), "{way}");
        assert_eq!(put_back(&world, way, second.id()).await, Err(first.id().clone()), "{way}");
    }
}

pub(super) async fn of_equal_jobs_that_ended_one_is_put_back(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for user in [1, 1, 2, 1] {
        let job = push(&world, user, 1, Unique::until_done()).await;
        assert_eq!(what(&job), Pushed::New);
        inspector.kill(job.id()).await.unwrap();
    }
    let again = inspector.retry_all(&Filter::default()).await.unwrap();
    assert_eq!((again.moved, again.kept_out), (2, 2));
    assert_eq!(world.take(A, 9).await.len(), 2);
}

pub(super) async fn a_push_of_many_unique_jobs_says_what_became_of_each(store: &Store) {
    let world = store.world().await;
    let first = push(&world, 7, 1, Unique::until_done()).await;
    let (jobs, client) = (|day| (0..600).map(move |user| Report { user, day }), &world.client);
    let by_user = || Unique::until_done().by_fields(["user"]);
    let options = |unique: Unique| Push::new().unique(unique);
    let all = client.push_many_unique(jobs(1), options(by_user())).await.unwrap();
    assert!(all.iter().all(|job| job.pushed == Pushed::New), "the first is unique by all of its arguments");
    let ids: Vec<_> = all.into_iter().map(|job| job.id).collect();
    let again = client.push_many_unique(jobs(2), options(by_user().refuse())).await.unwrap();
    assert!(again.iter().all(|job| job.pushed == Pushed::Kept));
    assert_eq!(again.into_iter().map(|job| job.id).collect::<Vec<_>>(), ids, "in the order of the push");
    let replaced = client.push_many_unique(jobs(3), options(by_user().replace())).await.unwrap();
    assert!(replaced.iter().zip(&ids).all(|(job, id)| job.pushed == Pushed::Replaced && job.id == *id));
    // The same of jobs without a type, and of those that a middleware sends elsewhere.
    let args = [json(r#"{"user":7,"day":1}"#), json(r#"{"user":8,"day":9}"#), json(r#"{"user":7,"day":1}"#)];
    let raw = || args.iter().map(|args| &**args);
    let told = async |client: &windlass::Client| {
        let told = client.push_many_unique_raw("k", raw(), options(Unique::until_done())).await.unwrap();
        told.into_iter().map(|job| (job.id, job.pushed)).collect::<Vec<_>>()
    };
    let kept = (first.id().clone(), Pushed::Kept);
    let one = told(client).await;
    assert_eq!((&one[0], &one[1].1, &one[2]), (&kept, &Pushed::New, &kept));
    let client = client.clone().middleware(Elsewhere);
    let two = told(&client).await;
    assert_eq!((&two[0], &two[1].1, &two[2]), (&kept, &Pushed::New, &kept));
    assert_eq!(two[1].0.queue(), "other");
    assert!(matches!(
        client.push_many_unique(jobs(1), Push::new()).await,
        Err(Error::Push { option: "unique", .. })
    ));
}

/// Sends what is for the user 8 elsewhere.
struct Elsewhere;

impl windlass::PushMiddleware for Elsewhere {
    async fn push(&self, job: &mut windlass::Pushing) -> windlass::Result<()> {
        if job.args().get().contains(r#""user":8"#) {
            job.set_queue("other");
        }
        Ok(())
    }
}

pub(super) async fn a_debounced_push_beside_a_running_job_is_another(store: &Store) {
    let world = store.world().await;
    // In whatever order it is said.
    let per_user = || Unique::until_started().by_fields(["user"]);
    let orders = [
        Push::new().unique(per_user()).debounce(Duration::ZERO),
        Push::new().debounce(Duration::ZERO).unique(per_user()),
    ];
    for (user, options) in orders.into_iter().enumerate() {
        let push = async |day| push_with(&world, user as u32, day, options.clone()).await;
        let first = push(1).await;
        assert_eq!(what(&push(2).await), Pushed::Replaced);
        assert_eq!(world.broker.promote(State::Scheduled, &["default".to_owned()]).await.unwrap().moved, 1);
        assert_eq!(world.take(A, 1).await[0].job_id("default"), *first.id());
        let second = push(3).await;
        assert_eq!(what(&second), Pushed::New, "the first runs");
        assert_eq!(args(&world, &second).await, format!(r#"{{"user":{user},"day":3}}"#));
        world.client.inspector().remove(second.id()).await.unwrap();
    }
    for lost in [Unique::until_done(), Unique::window(HOUR), Unique::forever()] {
        let refused =
            world.client.push_with(Report { user: 1, day: 1 }, Push::new().unique(lost).debounce(HOUR)).await;
        assert!(matches!(refused, Err(Error::Push { option: "debounce", .. })));
    }
}
