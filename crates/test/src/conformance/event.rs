//! What is told of single jobs, in the process and in the store.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use windlass::{
    Ending, Event, Failure, JobEvent, JobStep, News, Outcome, Push, Retry, Rule, Subscription, Target,
};

use super::act::job;
use super::world::{Beside, Store, World, eventually, json};

/// Does as the arguments say.
fn worker(world: &World) -> windlass::Worker {
    let (retry, has_snoozed) = (Retry::Fixed(Duration::from_millis(1)), Arc::new(AtomicBool::new(false)));
    world.worker().concurrency(1).register_raw("k", retry, move |args, context| {
        let has_snoozed = has_snoozed.clone();
        async move { act(args.get(), context.attempt(), &has_snoozed) }
    })
}

fn act(args: &str, attempt: u32, has_snoozed: &AtomicBool) -> Outcome<Box<RawValue>> {
    match (args, attempt) {
        ("1", _) => Ok(json("1")),
        ("2", 1) => Err(Failure::retry("not yet")),
        ("2", _) => Err(Failure::kill("no")),
        // A snooze is not an attempt: the next one is the first again.
        ("3", _) if !has_snoozed.swap(true, Ordering::SeqCst) => {
            Err(Failure::snooze(Duration::from_millis(1)))
        }
        ("3", _) => Err(Failure::discard("done with")),
        _ => Err(Failure::cancel()),
    }
}

/// The steps of jobs so far: their arguments are their numbers.
fn steps(subscription: &mut Subscription) -> Vec<JobEvent> {
    let job = |news| match news {
        News::Job(event) => Some(event),
        _ => None,
    };
    std::iter::from_fn(|| subscription.try_next()).filter_map(job).collect()
}

pub(super) async fn every_step_of_a_job_is_told(store: &Store) {
    let world = store.world().await;
    let subscription = world.client.subscribe(1000);
    let heard: Arc<Mutex<Vec<JobEvent>>> = Arc::default();
    let also = heard.clone();
    world.client.on_job_event(move |event| also.lock().unwrap().push(event.clone()));
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let mut ids = world.push_numbers(5).await;
    ids.push(world.push("k", "6", Push::new().expires_at(past)).await);
    ids.push(world.push("k", "1", Push::new().delay(Duration::from_millis(1))).await);
    ids.push(world.push("unknown", "1", Push::new()).await);
    let worker = Beside::start(worker(&world));
    let seen = RefCell::new((subscription, Vec::new()));
    // Every job but the two that end their first attempt with a wait ends in one of these.
    eventually(async || {
        let (subscription, all) = &mut *seen.borrow_mut();
        all.extend(steps(subscription));
        use JobStep::*;
        let ends = [Completed, Dead, Discarded, Cancelled, Expired, Parked];
        let ended = all.iter().filter(|event| ends.contains(&event.step)).count();
        (ended == ids.len()).then_some(())
    })
    .await;
    worker.stop().await;
    let (_subscription, all) = seen.into_inner();
    let of = |number: usize| -> Vec<_> {
        all.iter().filter(|event| event.id == ids[number]).map(|event| (event.step, event.attempt)).collect()
    };
    use JobStep::*;
    assert_eq!(of(0), [(Enqueued, 0), (Started, 1), (Cancelled, 1)]);
    assert_eq!(of(1), [(Enqueued, 0), (Started, 1), (Completed, 1)]);
    let retried = [(Enqueued, 0), (Started, 1), (Failed, 1), (Retrying, 1), (Started, 2), (Dead, 2)];
    assert_eq!(of(2), retried);
    assert_eq!(of(3), [(Enqueued, 0), (Started, 1), (Snoozed, 1), (Started, 1), (Discarded, 1)]);
    assert_eq!(of(5), [(Enqueued, 0), (Expired, 1)]);
    assert_eq!(of(6), [(Scheduled, 0), (Started, 1), (Completed, 1)]);
    assert_eq!(of(7), [(Enqueued, 0), (Parked, 1)]);
    let failed = all.iter().find(|event| event.step == Failed).unwrap();
    assert_eq!((failed.kind.as_str(), failed.message.as_deref()), ("k", Some("not yet")));
    assert_eq!(all.iter().find(|event| event.step == Retrying).unwrap().delay_ms, Some(1));
    assert!(all.iter().filter(|event| event.step == Completed).all(|event| event.took_ms.is_some()));
    assert_eq!(*heard.lock().unwrap(), all, "a listener hears the same");
}

/// The success makes the worker ask for one job more than it has room for once the other is there, so that it does not
/// wait for more; and a job that fails is told of by itself.
pub(super) async fn a_worker_whose_last_job_failed_takes_more(store: &Store) {
    let world = store.world().await;
    let mut subscription = world.client.subscribe(100);
    let both = [json("1"), json("4")];
    world.client.push_many_raw("k", both.iter().map(|args| &**args), Push::new()).await.unwrap();
    let worker = Beside::start(worker(&world));
    let subscription = RefCell::new(&mut subscription);
    let sees = async |step| {
        let is_told = || steps(*subscription.borrow_mut()).iter().any(|event| event.step == step);
        eventually(async || is_told().then_some(())).await;
    };
    sees(JobStep::Cancelled).await;
    world.push("k", "1", Push::new()).await;
    sees(JobStep::Completed).await;
    worker.stop().await;
}

pub(super) async fn bulk_pushes_are_told_of_one_by_one(store: &Store) {
    let world = store.world().await;
    let one = json("1");
    world.client.push_many_raw("k", [&*one, &*one], Push::new()).await.unwrap();
    let mut subscription = world.client.subscribe(3);
    world.client.push_many_raw("k", [&*one, &*one], Push::new()).await.unwrap();
    let delayed = Push::new().delay(Duration::from_secs(9));
    world.client.push_many_raw("k", [&*one], delayed).await.unwrap();
    let told: Vec<_> = steps(&mut subscription).into_iter().map(|event| (event.step, event.id)).collect();
    assert_eq!(
        told.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        [JobStep::Enqueued, JobStep::Enqueued, JobStep::Scheduled]
    );
    let batch = world.client.batch().open().await.unwrap();
    let added = batch.push(job("a")).await.unwrap();
    let of_batch = steps(&mut subscription);
    assert_eq!(of_batch.len(), 1);
    assert_eq!((of_batch[0].step, &of_batch[0].id, &*of_batch[0].kind), (JobStep::Enqueued, &added, "k"));
    for (_, id) in told {
        assert!(world.client.inspector().show(&id).await.unwrap().is_some());
    }
}

pub(super) async fn events_are_recorded_in_the_store_on_request(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    world.push("k", "1", Push::new()).await;
    worker(&world).exit_when_empty().run().await.unwrap();
    assert!(inspector.events(None, 9).await.unwrap().is_empty(), "off unless asked for");
    let first = world.push("k", "1", Push::new()).await;
    let recorded = worker(&world).record_events(100).exit_when_empty();
    let summary = recorded.run().await.unwrap();
    let events = inspector.events(None, 9).await.unwrap();
    let told = events.iter().filter_map(|stored| stored.event.clone());
    let told: Vec<_> = told.map(|event| (event.step, event.id, event.attempt)).collect();
    assert_eq!(told, [(JobStep::Started, first.clone(), 1), (JobStep::Completed, first, 1)]);
    let of_worker: Vec<_> = events.iter().filter_map(|stored| stored.of_worker.clone()).collect();
    let started = Event::Started { worker: summary.worker.clone(), queues: vec!["default".into()] };
    assert_eq!(
        (of_worker.first(), of_worker.last()),
        (Some(&started), Some(&Event::Stopped { released: 0 }))
    );
    assert_eq!(events.len(), told.len() + of_worker.len(), "nothing is missed");
    assert!(events.iter().all(|stored| stored.worker == summary.worker && stored.at_ms > 0));
    let rest = inspector.events(Some(&events[0].place), 9).await.unwrap();
    assert_eq!(rest, events[1..], "read on from a place");
    assert!(inspector.events(Some("nowhere"), 9).await.is_err());
    // The stream is bounded: it keeps about as many as asked for.
    let one = json("1");
    world.client.push_many_raw("k", (0..1000).map(|_| &*one), Push::new()).await.unwrap();
    worker(&world).record_events(100).exit_when_empty().run().await.unwrap();
    let kept: u64 = world.ask("XLEN", &[&world.broker.keys().events()]).await;
    assert!((100..=400).contains(&kept), "{kept}");
}

pub(super) async fn what_is_ended_by_hand_is_told(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let later = Push::new().delay(Duration::from_secs(3600));
    let ids = [
        world.push("k", "1", Push::new()).await,
        world.push("k", "2", later.clone()).await,
        world.push("k", "3", later).await,
        world.push("k", "4", Push::new()).await,
    ];
    let mut subscription = world.client.subscribe(9);
    assert_eq!(inspector.cancel(&ids[0]).await.unwrap(), Ending::Ended);
    assert_eq!(inspector.cancel(&ids[0]).await.unwrap(), Ending::Over, "and is not told again");
    assert_eq!(inspector.kill(&ids[1]).await.unwrap(), Ending::Ended);
    assert_eq!(inspector.remove(&ids[2]).await.unwrap(), Some(true));
    assert_eq!(inspector.remove(&ids[2]).await.unwrap(), Some(false));
    assert_eq!(world.client.handle::<()>(ids[3].clone()).cancel().await.unwrap(), Ending::Ended);
    let told: Vec<_> = steps(&mut subscription);
    assert!(told.iter().all(|event| event.kind == "k"), "{told:?}");
    let told: Vec<_> = told.into_iter().map(|event| (event.step, event.id)).collect();
    let steps = [JobStep::Cancelled, JobStep::Dead, JobStep::Removed, JobStep::Cancelled];
    assert_eq!(told, steps.into_iter().zip(ids).collect::<Vec<_>>());
}

pub(super) async fn a_job_that_dies_with_its_last_process_is_told(store: &Store) {
    let world = store.world_with(|config| {
        (config.lease, config.crash_limit) = (Duration::from_millis(300), 1);
    });
    let world = world.await;
    let id = world.push("k", "1", Push::new()).await;
    // The last part of the name says that it runs one job at a time.
    assert_eq!(world.take("gone.0.0.0.1", 1).await.len(), 1);
    let subscription = RefCell::new(world.client.subscribe(100));
    let worker = Beside::start(worker(&world));
    let told = eventually(async || {
        let is_dead = |event: &JobEvent| event.step == JobStep::Dead;
        steps(&mut subscription.borrow_mut()).into_iter().find(is_dead)
    });
    let told = told.await;
    assert_eq!((told.id, told.kind.as_str(), told.attempt), (id, "k", 1));
    assert_eq!(told.message.as_deref(), Some("its process ended 1 times while it ran"));
    worker.stop().await;
}

pub(super) async fn a_lost_lease_is_told_with_the_job(store: &Store) {
    let world = store.world_with(|config| config.lease = Duration::from_millis(600)).await;
    // The second attempt comes by another entry than the one that is the job's id.
    let retry = Retry::Fixed(Duration::from_millis(1));
    let worker = world.worker().register_raw("k", retry, |args, context| async move {
        match context.attempt() {
            1 => return Err(Failure::retry("not yet")),
            2 => context.cancelled().await,
            _ => {}
        }
        Ok(args)
    });
    let subscription = RefCell::new((world.client.subscribe(100), Vec::new()));
    let worker = Beside::start(worker);
    let id = world.push("k", "1", Push::new()).await;
    let sees = async |step: JobStep, attempt: u32| {
        eventually(async || {
            let (subscription, all) = &mut *subscription.borrow_mut();
            all.extend(steps(subscription));
            all.iter().find(|event| event.step == step && event.attempt == attempt).cloned()
        })
        .await
    };
    sees(JobStep::Started, 2).await;
    let names = world.broker.workers(9).await.unwrap();
    world.recover(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let lost = sees(JobStep::LeaseLost, 2).await;
    assert_eq!((lost.id, lost.kind.as_str()), (id, "k"));
    sees(JobStep::Completed, 3).await;
    worker.stop().await;
}

pub(super) async fn a_push_that_a_full_queue_refuses_is_told(store: &Store) {
    let world = store.world().await;
    world.client.limits().set(&Target::queue("default"), Rule::new().max_jobs(1)).await.unwrap();
    world.push("k", "1", Push::new()).await;
    let mut subscription = world.client.subscribe(9);
    let one = json("1");
    assert!(world.client.push_raw("k", &one, Push::new()).await.is_err());
    assert!(world.client.push_raw("k", &one, Push::new().key("a")).await.is_err());
    assert!(world.client.push_many_raw("k", [&*one, &*one], Push::new()).await.is_err());
    assert!(world.client.batch().push_all([job("a")]).await.is_err());
    let told: Vec<_> = std::iter::from_fn(|| subscription.try_next()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    for news in told {
        let News::Worker(Event::Limited { queue, kind, rule, limit, actual }) = news else {
            panic!("{news:?}");
        };
        assert_eq!((&*queue, &*kind, &*rule, limit, actual), ("default", "k", "max_jobs", 1, 1));
    }
}
