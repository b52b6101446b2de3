//! What is told of that no push and no run brings about: what follows from other jobs, what is moved by hand, what limits
//! hold up.

use std::cell::RefCell;
use std::time::Duration;

use windlass::{
    Chain, Client, Cron, Edit, Event, Filter, JobEvent, JobId, JobStep, News, Push, Rate, Retry, Rule,
    Subscription, Target,
};

use super::act::{actors, job, mortal, play};
use super::limit::set;
use super::world::{Beside, Store, World, eventually, json};

const HOUR: Duration = Duration::from_secs(3600);

/// What has been told of jobs.
fn told(events: &mut Subscription) -> Vec<JobEvent> {
    let job = |news| match news {
        News::Job(event) => Some(event),
        _ => None,
    };
    std::iter::from_fn(|| events.try_next()).filter_map(job).collect()
}

/// The same as steps with ids. Each is of the kind that all jobs here have.
fn steps(events: &mut Subscription) -> Vec<(JobStep, JobId)> {
    let step = |event: JobEvent| {
        assert_eq!(event.kind, "k", "{event}");
        (event.step, event.id)
    };
    told(events).into_iter().map(step).collect()
}

pub(super) async fn what_follows_from_a_job_is_told(store: &Store) {
    let world = store.world().await;
    let mut events = world.client.subscribe(100);
    let chain = Chain::new().then(job("a")).then_with(job("b"), Push::new().priority(9)).then(mortal("c"));
    world.client.push_chain(chain.catch(job("d"))).await.unwrap();
    let on_complete = job("e");
    let batch = world.client.batch().on_complete(on_complete).open().await.unwrap();
    batch.push(job("f")).await.unwrap();
    batch.close().await.unwrap();
    let seen = play(&world).await;
    assert_eq!(seen.len(), 6);
    let all = told(&mut events);
    for job in &seen {
        let of = |step| all.iter().filter(|event| event.step == step && event.id == job.id).count();
        assert_eq!((of(JobStep::Enqueued), of(JobStep::Started)), (1, 1), "{job:?} of {all:?}");
    }
    assert!(all.iter().all(|event| event.kind == "k"), "{all:?}");
    // Ended by hand, too.
    let chain = Chain::new().then_with(job("a"), Push::new().delay(HOUR)).catch(job("b"));
    let id = world.client.push_chain(chain).await.unwrap();
    told(&mut events);
    world.client.inspector().kill(&id).await.unwrap();
    let all = steps(&mut events);
    assert_eq!((all.len(), &all[0]), (2, &(JobStep::Dead, id)));
    assert_eq!((all[1].0, &all[1].1), (JobStep::Enqueued, &play(&world).await[0].id));
}

pub(super) async fn what_cron_pushes_is_told(store: &Store) {
    let world = store.world().await;
    let events = RefCell::new(world.client.subscribe(100));
    let cron = Cron::new("c", "* * * * * *").unwrap().raw("k", &json("{\"answer\":1}"), Push::new()).unwrap();
    world.client.cron().put(&cron).await.unwrap();
    let by_hand = world.client.cron().run_now("c").await.unwrap();
    assert_eq!(steps(&mut events.borrow_mut()), [(JobStep::Enqueued, by_hand)]);
    let worker = Beside::start(actors(&world).0);
    let fired = eventually(async || {
        let all = steps(&mut events.borrow_mut());
        all.into_iter().find(|(step, _)| *step == JobStep::Enqueued)
    });
    let (_, fired) = fired.await;
    assert_eq!(fired.queue(), "default");
    worker.stop().await;
}

pub(super) async fn what_is_put_back_by_hand_is_told(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let later = || Push::new().delay(HOUR);
    let [a, b] = [world.push("k", "1", later()).await, world.push("k", "2", later()).await];
    let mut events = world.client.subscribe(100);
    let args = json("3");
    inspector.edit(&a, &args).await.unwrap();
    inspector.reschedule_in(&a, HOUR).await.unwrap();
    inspector.retry(&a).await.unwrap();
    inspector.edit_with(&a, Edit::new().args(&args).retry()).await.unwrap();
    inspector.kill(&b).await.unwrap();
    assert_eq!(inspector.retry_all(&Filter::default()).await.unwrap().moved, 1);
    inspector.remove(&b).await.unwrap();
    use JobStep::*;
    let of_a = [Edited, Scheduled, Enqueued, Enqueued].map(|step| (step, a.clone()));
    let of_b = [Dead, Enqueued, Removed].map(|step| (step, b.clone()));
    assert_eq!(steps(&mut events), [&of_a[..], &of_b[..]].concat());
    let batch = world.client.batch().open().await.unwrap();
    let id = batch.push_with(job("c"), later()).await.unwrap();
    batch.cancel().await.unwrap();
    assert_eq!(steps(&mut events), [(Scheduled, id.clone()), (Cancelled, id)]);
    inspector.pause("default").await.unwrap();
    assert!(inspector.resume("default").await.unwrap() && !inspector.resume("default").await.unwrap());
    let of_queue: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|news| format!("{news:?}")).collect();
    assert_eq!(of_queue.len(), 2, "{of_queue:?}");
}

pub(super) async fn moves_of_others_are_recorded_where_workers_record(store: &Store) {
    let world = store.world().await;
    let other = Client::with_config(store.connect().await, world.config.clone()).await.unwrap();
    let (inspector, mut events) = (other.inspector(), other.subscribe(9));
    let later = Push::new().delay(HOUR);
    let [a, b] = [world.push("k", "1", later.clone()).await, world.push("k", "2", later).await];
    inspector.cancel(&a).await.unwrap();
    assert_eq!(inspector.record("admin", &mut events).await.unwrap(), 0, "no worker records");
    world.worker().record_events(100).exit_when_empty().run().await.unwrap();
    let before = inspector.events(None, 100).await.unwrap().len();
    inspector.cancel(&b).await.unwrap();
    inspector.pause("default").await.unwrap();
    assert_eq!(inspector.record("admin", &mut events).await.unwrap(), 2);
    let all = inspector.events(None, 100).await.unwrap();
    assert!(all[before..].iter().all(|stored| stored.worker == "admin"));
    let cancelled = all[before].event.as_ref().unwrap();
    assert_eq!((cancelled.step, &cancelled.id), (JobStep::Cancelled, &b));
    assert_eq!(all[before + 1].of_worker, Some(Event::QueuePaused { queue: "default".into() }));
}

/// The limits that are told to hold jobs up, until there are as many; each with what of its rule does, and whether an end is
/// known.
async fn held(events: &RefCell<Subscription>, count: usize) -> Vec<(String, String, bool)> {
    let all = RefCell::new(Vec::new());
    eventually(async || {
        let mut events = events.borrow_mut();
        all.borrow_mut().extend(std::iter::from_fn(|| events.try_next()).filter_map(|news| match news {
            News::Worker(Event::Held { limit, rule, until_ms }) => Some((limit, rule, until_ms.is_some())),
            _ => None,
        }));
        (all.borrow().len() >= count).then_some(())
    })
    .await;
    all.into_inner()
}

fn slow(world: &World) -> windlass::Worker {
    let run = |args, context: windlass::Context| async move {
        context.cancelled().await;
        Ok(args)
    };
    let worker = world.worker().concurrency(9).register_raw("k", Retry::Never, run);
    worker.register_raw("p", Retry::Never, |args, _| async { Ok(args) })
}

pub(super) async fn a_limit_that_holds_jobs_up_is_told_once(store: &Store) {
    let world = store.world().await;
    set(&world, Target::kind("k"), Rule::new().cap(1)).await;
    set(&world, Target::each_key("default"), Rule::new().rate(Rate::window(1, 100 * HOUR))).await;
    world.client.limits().pause_kind("p").await.unwrap();
    for (kind, options) in [
        ("k", Push::new()),
        ("k", Push::new()),
        ("p", Push::new()),
        ("other", Push::new().group_key("x")),
        ("other", Push::new().group_key("x")),
    ] {
        world.push(kind, "1", options).await;
    }
    let events = RefCell::new(world.client.subscribe(100));
    let worker = Beside::start(slow(&world));
    let mut all = held(&events, 3).await;
    all.sort();
    let expected = [("key:default/x", "rate", true), ("kind:k", "cap", false), ("kind:p", "paused", false)];
    assert_eq!(all, expected.map(|(limit, rule, ends)| (limit.to_owned(), rule.to_owned(), ends)));
    // The cap of the queue is another limit; what was told is not told again.
    set(&world, Target::queue("default"), Rule::new().cap(1)).await;
    world.push("p", "2", Push::new()).await;
    assert_eq!(held(&events, 1).await, [("queue:default".to_owned(), "cap".to_owned(), false)]);
    worker.control().force();
    worker.stop().await;
}
