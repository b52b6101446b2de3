//! What a person does to single jobs, in whatever state they are: cancel, kill, reschedule, edit, put back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::broker::{Ended, Extra, Held, Request};
use windlass::{
    BlockingJob, Context, Edit, Edited, Ending, Error, Failure, Filter, JobId, Outcome, Push, QueueRemoval,
    Rescheduled, Retry, Rule, State, Target,
};

use super::world::{Beside, Run, Store, World, json};

const A: &str = "a.1.1.a.2";
const HOUR: Duration = Duration::from_secs(3600);

/// A job in each state in which it does not run and has not ended.
async fn one_of_each(world: &World) -> Vec<(JobId, State)> {
    let retried = world.push("fails", "0", Push::new()).await;
    let parked = world.push("unknown", "0", Push::new()).await;
    let fail = |_, _| async { Err(Failure::retry("not yet")) };
    let worker = Beside::start(world.worker().register_raw("fails", Retry::Fixed(HOUR), fail));
    world.until(&retried, State::Retry).await;
    world.until(&parked, State::Parked).await;
    worker.stop().await;
    let recovered = world.push("k", "0", Push::new()).await;
    assert_eq!(world.take(A, 1).await.len(), 1);
    world.recover(&[A]).await;
    let scheduled = world.push("k", "0", Push::new().delay(HOUR)).await;
    let enqueued = world.push("k", "0", Push::new()).await;
    vec![
        (retried, State::Retry),
        (parked, State::Parked),
        (recovered, State::Enqueued),
        (scheduled, State::Scheduled),
        (enqueued, State::Enqueued),
    ]
}

/// A worker whose jobs of the kind `k` wait until they are told to stop, and answer what `answer` says.
fn waits_for_cancel(world: &World, answer: fn() -> Outcome<()>) -> windlass::Worker {
    let run = move |_, context: Context| async move {
        context.cancelled().await;
        answer().map(|()| json("\"done\""))
    };
    world.worker().register_raw("k", Retry::Fixed(HOUR), run)
}

pub(super) async fn a_job_that_does_not_run_is_cancelled_in_any_state(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for (id, state) in one_of_each(&world).await {
        let before = world.until(&id, state).await;
        assert_eq!(inspector.cancel(&id).await.unwrap(), Ending::Ended, "{state}");
        let after = world.until(&id, State::Cancelled).await;
        assert_eq!(after.envelope, before.envelope, "{state}");
        assert_eq!((after.attempts, &after.history.errors), (before.attempts, &before.history.errors));
        assert_eq!(after.history.reason.as_deref(), Some("it was cancelled"));
        assert_eq!(inspector.cancel(&id).await.unwrap(), Ending::Over);
        assert!(inspector.remove(&id).await.unwrap().unwrap());
        assert_eq!(inspector.cancel(&id).await.unwrap(), Ending::Missing);
    }
    assert!(world.take(A, 9).await.is_empty());
    assert!(world.is_empty().await);
}

pub(super) async fn a_cancelled_job_can_be_tried_again(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "7", Push::new()).await;
    world.client.handle::<()>(id.clone()).cancel().await.unwrap();
    assert!(world.client.inspector().retry(&id).await.unwrap());
    let (worker, mut runs) = world.recorder(|_| async { Ok(()) });
    let worker = Beside::start(worker);
    assert_eq!(runs.recv().await.unwrap(), Run { id, attempt: 1, args: "7".into() });
    worker.stop().await;
    assert!(world.is_empty().await);
}

pub(super) async fn the_token_of_a_cancelled_job_fires_and_its_failure_is_final(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    let worker = Beside::start(waits_for_cancel(&world, || Err(Failure::retry("cut short"))));
    world.until(&id, State::Active).await;
    assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), Ending::Asked);
    let cancelled = world.until(&id, State::Cancelled).await;
    assert_eq!(cancelled.history.reason.as_deref(), Some("cancelled: cut short"));
    assert_eq!(cancelled.attempts, 1);
    worker.stop().await;
}

/// A blocking job that runs until it is cancelled.
#[derive(Serialize, Deserialize)]
struct Grind;

impl BlockingJob for Grind {
    const KIND: &'static str = "grind";
    type Output = ();

    fn run(self, context: &Context) -> Outcome<()> {
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        Err(Failure::cancel())
    }
}

pub(super) async fn a_blocking_job_sees_that_it_is_cancelled(store: &Store) {
    let world = store.world().await;
    let handle = world.client.push(Grind).await.unwrap();
    let worker = Beside::start(world.worker().register_blocking::<Grind>());
    world.until(handle.id(), State::Active).await;
    assert_eq!(handle.cancel().await.unwrap(), Ending::Asked);
    world.until(handle.id(), State::Cancelled).await;
    worker.stop().await;
}

pub(super) async fn a_job_that_succeeds_in_spite_of_its_cancel_is_completed(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().result_ttl(HOUR)).await;
    let worker = Beside::start(waits_for_cancel(&world, || Ok(())));
    world.until(&id, State::Active).await;
    assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), Ending::Asked);
    assert_eq!(world.client.handle::<String>(id).result().await.unwrap(), "done");
    assert_eq!(worker.stop().await.completed, 1);
}

pub(super) async fn a_cancelled_job_that_a_worker_has_not_begun_does_not_run(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let ids = world.push_numbers(3).await;
    let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let run = move |args: Box<serde_json::value::RawValue>, context: Context| {
        sender.send(args.get().to_owned()).ok();
        async move {
            if args.get() != "0" {
                context.cancelled().await;
            }
            Ok(json("null"))
        }
    };
    // The first has ended when more are taken: one that runs, and one that is to run after it.
    let worker = world.worker().concurrency(1).register_raw("k", Retry::Never, run);
    let worker = Beside::start(worker);
    world.until(&ids[2], State::Active).await;
    assert_eq!(inspector.cancel(&ids[2]).await.unwrap(), Ending::Asked);
    // Requests are heard in their order, so that the last one is known before the second ends.
    assert_eq!(inspector.cancel(&ids[1]).await.unwrap(), Ending::Asked);
    assert_eq!(world.until(&ids[2], State::Cancelled).await.history.reason.as_deref(), Some("cancelled"));
    assert_eq!(worker.stop().await.completed, 2);
    let mut ran = Vec::new();
    begun.recv_many(&mut ran, 9).await;
    assert_eq!(ran, ["0", "1"]);
}

pub(super) async fn a_cancel_reaches_whoever_takes_over_from_a_dead_worker(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    world.take(A, 1).await;
    assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), Ending::Asked);
    world.recover(&[A]).await;
    let worker = Beside::start(waits_for_cancel(&world, || Err(Failure::retry("cut short"))));
    assert_eq!(world.until(&id, State::Cancelled).await.attempts, 2);
    worker.stop().await;
    let ttl: i64 = world.ask("PTTL", &[&world.broker.keys().cancels()]).await;
    assert!(ttl > 0, "the request does not stay for ever");
}

pub(super) async fn whoever_waits_for_a_cancelled_job_is_told(store: &Store) {
    let world = store.world().await;
    let later = Push::new().delay(HOUR).result_ttl(HOUR);
    let id = world.push("k", "1", later).await;
    let handle = world.client.handle::<()>(id.clone());
    let cancel = async {
        // The waiter is polled first, so that it looks before the job is cancelled, or else meets its record.
        tokio::task::yield_now().await;
        world.client.inspector().cancel(&id).await.unwrap()
    };
    let (result, ending) = tokio::join!(handle.result(), cancel);
    assert_eq!(ending, Ending::Ended);
    match result {
        Err(Error::Ended { state, message, .. }) => {
            assert_eq!((state, message.as_str()), (State::Cancelled, "it was cancelled"));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn whoever_waits_for_a_removed_job_is_told(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for options in [Push::new(), Push::new().delay(HOUR), Push::new().priority(1)] {
        let id = world.push("k", "1", options.result_ttl(HOUR)).await;
        let handle = world.client.handle::<()>(id.clone());
        let remove = async {
            tokio::task::yield_now().await;
            inspector.remove(&id).await.unwrap()
        };
        let (result, removed) = tokio::join!(handle.result(), remove);
        assert_eq!(removed, Some(true));
        match result {
            Err(Error::Ended { state, message, .. }) => {
                assert_eq!((state, message.as_str()), (State::Cancelled, "it was removed"));
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn a_job_that_is_put_back_has_the_result_of_its_last_end(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let mut ids = Vec::new();
    for way in ["retry", "all", "reschedule", "edit"] {
        let id = world.push("k", "1", Push::new().result_ttl(HOUR)).await;
        let handle = world.client.handle::<String>(id.clone());
        inspector.kill(&id).await.unwrap();
        assert!(matches!(handle.result().await, Err(Error::Ended { state: State::Dead, .. })));
        match way {
            "retry" => assert!(inspector.retry(&id).await.unwrap()),
            "all" => assert_eq!(inspector.retry_all(&Filter::default()).await.unwrap().moved, 1),
            "reschedule" => {
                assert_eq!(
                    inspector.reschedule_in(&id, Duration::ZERO).await.unwrap(),
                    Rescheduled::Scheduled
                );
            }
            _ => {
                assert_eq!(inspector.edit_and_retry(&id, &json("2")).await.unwrap(), Edited::Enqueued);
            }
        }
        ids.push(id);
    }
    // They are asked before the jobs run again, and do not hear of the ends before.
    let handles: Vec<_> = ids.iter().map(|id| world.client.handle::<String>(id.clone())).collect();
    let worker = async {
        tokio::task::yield_now().await;
        let run = |_, _| async { Ok(json("\"done\"")) };
        Beside::start(world.worker().register_raw("k", Retry::Never, run))
    };
    let waiting = async {
        for handle in &handles {
            assert_eq!(handle.result().await.unwrap(), "done");
            assert_eq!(handle.state().await.unwrap(), Some(State::Completed));
        }
    };
    let (worker, ()) = tokio::join!(worker, waiting);
    worker.stop().await;
    for id in &ids {
        assert_eq!(world.ask::<u64>("XLEN", &[&world.broker.keys().result(id)]).await, 1);
    }
}

pub(super) async fn only_a_job_that_does_not_run_is_killed(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for (id, state) in one_of_each(&world).await {
        assert_eq!(inspector.kill(&id).await.unwrap(), Ending::Ended, "{state}");
        assert_eq!(world.until(&id, State::Dead).await.history.reason.as_deref(), Some("it was killed"));
    }
    let id = world.push("k", "1", Push::new()).await;
    let taken = world.take(A, 1).await;
    assert_eq!(inspector.kill(&id).await.unwrap(), Ending::Active);
    assert_eq!(world.finish(A, &taken).await, 0, "it is still its worker's");
}

pub(super) async fn a_job_is_rescheduled_in_any_state(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let kept = |state| if state == State::Retry { State::Retry } else { State::Scheduled };
    let mut jobs = one_of_each(&world).await;
    let dead = world.push("k", "0", Push::new()).await;
    inspector.kill(&dead).await.unwrap();
    jobs.push((dead, State::Dead));
    for (id, state) in &jobs {
        let before = world.until(id, *state).await;
        let (seconds, _): (u64, u64) = world.ask("TIME", &[]).await;
        assert_eq!(inspector.reschedule_in(id, 5 * HOUR).await.unwrap(), Rescheduled::Scheduled);
        let after = world.until(id, kept(*state)).await;
        assert_eq!((&after.envelope, after.attempts), (&before.envelope, before.attempts), "{state}");
        let wait = after.at_ms.unwrap() / 1000 - seconds;
        assert!((5 * 3600..5 * 3600 + 60).contains(&wait), "{state}: {wait}");
    }
    for (id, state) in jobs {
        assert_eq!(inspector.reschedule_in(&id, Duration::ZERO).await.unwrap(), Rescheduled::Scheduled);
        let promoted = world.broker.promote(kept(state), &["default".to_owned()]).await.unwrap();
        assert_eq!(promoted.moved, 1, "{state}");
        let taken = world.take(A, 1).await;
        assert_eq!(taken[0].job_id("default"), id);
        assert_eq!(inspector.reschedule_in(&id, HOUR).await.unwrap(), Rescheduled::Active);
        assert_eq!(world.finish(A, &taken).await, 0);
        // A redirect is taken away by whoever knows of it, which a hand-made finish does not.
        assert_eq!(inspector.reschedule_in(&id, HOUR).await.unwrap(), Rescheduled::Missing);
    }
}

pub(super) async fn an_edited_job_runs_with_its_new_arguments(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let args = json(r#"{"to":"bob","number":12345678901234567890}"#);
    for (id, state) in one_of_each(&world).await {
        let before = world.until(&id, state).await;
        let edited = inspector.edit(&id, &args).await.unwrap();
        let wanted = if state == State::Enqueued { Edited::Repushed } else { Edited::Edited };
        assert_eq!(edited, wanted, "{state}");
        let after = world.until(&id, state).await;
        assert_eq!((&after.kind, after.attempts), (&before.kind, before.attempts), "{state}");
        let envelope = windlass::Envelope::parse(&after.envelope).unwrap();
        assert_eq!(envelope.args.get(), args.get(), "{state}");
    }
    let later = world.push("k", "1", Push::new().delay(HOUR)).await;
    assert_eq!(inspector.edit_and_retry(&later, &json("2")).await.unwrap(), Edited::Enqueued);
    let taken = world.take(A, 9).await;
    assert!(taken.iter().any(|job| job.job_id("default") == later));
    assert_eq!(inspector.edit(&later, &json("3")).await.unwrap(), Edited::Active);
    let nobody = JobId::parse("default/1-1").unwrap();
    assert_eq!(inspector.edit(&nobody, &json("3")).await.unwrap(), Edited::Missing);
}

pub(super) async fn more_than_the_arguments_can_be_edited(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let soon = std::time::SystemTime::now() + HOUR;
    for (id, state) in one_of_each(&world).await {
        let edit = Edit::new().max_attempts(3).expires_at(soon);
        let wanted = if state == State::Enqueued { Edited::Repushed } else { Edited::Edited };
        assert_eq!(inspector.edit_with(&id, edit).await.unwrap(), wanted, "{state}");
        let edited = world.until(&id, state).await;
        let envelope = windlass::Envelope::parse(&edited.envelope).unwrap();
        assert_eq!((envelope.max, envelope.args.get()), (3, "0"), "{state}");
        assert!(envelope.expires.is_some(), "{state}");
        inspector.edit_with(&id, Edit::new().never_expires()).await.unwrap();
        let edited = world.until(&id, state).await;
        assert_eq!(windlass::Envelope::parse(&edited.envelope).unwrap().expires, None);
        inspector.remove(&id).await.unwrap();
    }
    // A priority moves a job among those that wait.
    let ids = [
        world.push("k", "0", Push::new().group_key("g")).await,
        world.push("k", "1", Push::new().front()).await,
        world.push("k", "2", Push::new()).await,
    ];
    let to = async |at: usize, priority| inspector.edit_with(&ids[at], Edit::new().priority(priority)).await;
    for (at, priority) in [(0, 2), (1, 3), (2, 1)] {
        assert_eq!(to(at, priority).await.unwrap(), Edited::Repushed);
    }
    let taken = world.take(A, 9).await;
    let order: Vec<_> = taken.iter().map(|job| job.job_id("default")).collect();
    assert_eq!(order, [ids[2].clone(), ids[0].clone(), ids[1].clone()]);
    let first = windlass::Envelope::parse(&taken[1].envelope).unwrap().lane.unwrap();
    assert_eq!((first.p, first.key.as_deref()), (Some(2), Some("g")));
}

pub(super) async fn an_edit_that_does_not_fit_is_refused(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let sum = || super::working::Sum(vec![1, 2]);
    let later = || Push::new().delay(HOUR);
    let (other, handle) = (
        world.push("k", "1", later()).await,
        world.client.push_with(super::working::Sum(vec![]), later()).await.unwrap(),
    );
    let typed = || Edit::new().job(&sum()).unwrap();
    let refused = inspector.edit_with(&other, typed()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the kind of the edit is `sum`, and the job is of the kind `k`");
    let refused = inspector.edit_with(&other, Edit::new().max_attempts(0)).await.unwrap_err();
    assert!(matches!(refused, Error::Edit { field: "max_attempts", .. }), "{refused}");
    assert_eq!(inspector.edit_with(handle.id(), typed().retry()).await.unwrap(), Edited::Enqueued);
    let taken = world.take(A, 1).await;
    assert_eq!(windlass::Envelope::parse(&taken[0].envelope).unwrap().args.get(), "[1,2]");
    let before = world.until(&other, State::Scheduled).await.envelope;
    assert_eq!(windlass::Envelope::parse(&before).unwrap().args.get(), "1", "nothing was done");
}

pub(super) async fn an_edit_does_not_overwrite_another(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new().delay(HOUR)).await;
    let before = world.until(&id, State::Scheduled).await.envelope;
    let edit = async |old: &[u8], new: &[u8]| world.broker.edit(&id, old, new, false).await.unwrap();
    assert_eq!(edit(&before, br#"{"v":1,"kind":"k","args":2}"#).await, Some(Edited::Edited));
    assert_eq!(edit(&before, br#"{"v":1,"kind":"k","args":3}"#).await, None);
    assert_eq!(world.until(&id, State::Scheduled).await.envelope, br#"{"v":1,"kind":"k","args":2}"#);
}

pub(super) async fn the_dead_are_put_back_by_filter(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let mut mails = Vec::new();
    for number in 0..250 {
        let kind = if number % 2 == 0 { "mail" } else { "bill" };
        let queue = if number % 10 == 0 { "slow" } else { "default" };
        let id = world.push(kind, "1", Push::new().queue(queue)).await;
        assert_eq!(inspector.kill(&id).await.unwrap(), Ending::Ended);
        mails.push(id);
    }
    let count = async |filter: Filter| inspector.retry_all(&filter).await.unwrap().moved;
    let mail = Filter { kind: Some("mail".into()), ..Filter::default() };
    assert_eq!(count(Filter { queue: Some("slow".into()), ..mail.clone() }).await, 25);
    assert_eq!(count(mail.clone()).await, 100);
    assert_eq!(count(mail).await, 0);
    assert_eq!(count(Filter { state: State::Cancelled, ..Filter::default() }).await, 0);
    assert_eq!(count(Filter::default()).await, 125);
    assert_eq!(world.take(A, 300).await.len(), 225);
    assert!(inspector.retry_all(&Filter { state: State::Active, ..Filter::default() }).await.is_err());
}

/// In a queue that is paused, what is taken back from a dead worker may wait long.
pub(super) async fn a_cancel_is_remembered_while_its_job_waits(store: &Store) {
    let world = store.world().await;
    let id = world.push("k", "1", Push::new()).await;
    world.take(A, 1).await;
    assert_eq!(world.client.inspector().cancel(&id).await.unwrap(), Ending::Asked);
    world.client.inspector().pause("default").await.unwrap();
    world.recover(&[A]).await;
    store.advance(6 * 24 * HOUR);
    world.client.inspector().resume("default").await.unwrap();
    let worker = Beside::start(waits_for_cancel(&world, || Err(Failure::retry("cut short"))));
    world.until(&id, State::Cancelled).await;
    worker.stop().await;
}

pub(super) async fn a_queue_without_jobs_is_forgotten_when_told_so(store: &Store) {
    let world = store.world().await;
    let (inspector, keys) = (world.client.inspector(), world.broker.keys());
    let in_queue = || Push::new().queue("old");
    world.client.limits().set(&Target::each_key("old"), Rule::new().cap(1)).await.unwrap();
    let batch = world.client.batch().open().await.unwrap();
    for options in [in_queue(), in_queue().priority(3), in_queue().group_key("a"), in_queue().group_key("a")]
    {
        world.push("k", "1", options).await;
    }
    batch.push_with(super::act::job("a"), in_queue()).await.unwrap();
    batch.push_with(super::act::job("b"), in_queue().delay(HOUR)).await.unwrap();
    world.push("k", "1", Push::new()).await;
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::HasJobs(6));
    let request = Request { consumer: A, count: 1, may_suspect: true, woken: None };
    let taken = world.broker.fetch(&["old"], request).await.unwrap();
    assert_eq!(inspector.clear_queue("old").await.unwrap(), 5);
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::HasJobs(1), "a worker has one");
    let id = taken[0].job_id("old");
    let (held, extras) = ([Held::of(&taken[0])], [Extra::of(&taken[0], id, None)]);
    let ended = Ended { queue: "old", held: &held, extras: &extras };
    assert!(world.broker.finish(A, ended).await.unwrap().is_empty());
    assert_eq!(super::act::counts(&batch).await, [2, 0, 0, 0, 2]);
    let worker = Beside::start(waits_for_cancel(&world, || Ok(())).queue("old"));
    worker.control().started().await;
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::HasWorkers(1));
    worker.stop().await;
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::Removed);
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::Missing);
    let queue = "old";
    let left = [
        keys.stream(queue),
        keys.gate(queue),
        keys.wake(queue),
        keys.suspect(queue),
        keys.turns(queue),
        keys.waits(queue),
        keys.pace(queue),
        keys.permits(queue),
    ];
    let left = left.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(world.ask::<u64>("EXISTS", &left).await, 0);
    let names: Vec<_> = inspector.queues().await.unwrap().into_iter().map(|queue| queue.name).collect();
    assert_eq!(names, ["default"]);
    // A client that has known it of late asks no more.
    let id = world.push("k", "1", in_queue()).await;
    assert_eq!(inspector.queues().await.unwrap().len(), 2);
    inspector.remove(&id).await.unwrap();
    assert_eq!(inspector.remove_queue("old").await.unwrap(), QueueRemoval::Removed);
    // It may come again, by a client that had known it, too.
    world.push("k", "1", in_queue().delay(Duration::ZERO)).await;
    let promoted = world.broker.promote(State::Scheduled, &[]).await.unwrap();
    assert_eq!(promoted.unknown, ["old"], "who promotes makes it known");
}
