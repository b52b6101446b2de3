//! What a push middleware sees of batches, groups, chains and cron entries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::{Chain, Cron, Error, Event, Push, PushMiddleware, Pushing, Retry, State};

use super::working::Sum;
use super::world::{Beside, Store, World, eventually, json};

/// Notes what it sees, marks it, and does as the arguments of a sum say.
#[derive(Clone, Default)]
struct Watcher(Arc<Mutex<Vec<String>>>);

impl PushMiddleware for Watcher {
    async fn push(&self, job: &mut Pushing) -> windlass::Result<()> {
        self.0.lock().unwrap().push(job.args().get().to_owned());
        job.set_meta("seen", true);
        job.add_tag("seen");
        match job.args().get() {
            "[0]" => return Err(Error::Refused("nothing is not pushed".into())),
            "[2]" => job.set_queue("second"),
            "[3]" => job.set_delay(Duration::from_secs(3600)),
            "[4]" => job.set_args(&vec![40])?,
            _ => {}
        }
        Ok(())
    }
}

impl Watcher {
    fn saw(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn sums(numbers: impl IntoIterator<Item = u64>) -> Vec<Sum> {
    numbers.into_iter().map(|number| Sum(vec![number])).collect()
}

fn client(world: &World) -> (windlass::Client, Watcher) {
    let watcher = Watcher::default();
    (world.client.clone().middleware(watcher.clone()), watcher)
}

async fn enqueued(world: &World, queue: &str) -> u64 {
    world.client.inspector().queue(queue).await.unwrap().enqueued
}

fn is_refused<T>(pushed: windlass::Result<T>) -> bool {
    matches!(pushed, Err(Error::Refused(_)))
}

/// Runs everything that is enqueued; answers the arguments of what ran, in order, all of which were marked.
async fn ran(world: &World) -> Vec<String> {
    let ran: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = ran.clone();
    let worker = world.worker().queue("default").queue("second").concurrency(1);
    let worker = worker.register_raw("sum", Retry::Never, move |args, context| {
        assert_eq!(
            (context.meta()["seen"].as_bool(), context.tags()),
            (Some(true), &["seen".to_owned()][..])
        );
        note.lock().unwrap().push(args.get().to_owned());
        async { Ok(json("1")) }
    });
    worker.exit_when_empty().run().await.unwrap();
    std::mem::take(&mut *ran.lock().unwrap())
}

pub(super) async fn a_middleware_sees_each_job_of_a_batch(store: &Store) {
    let world = store.world().await;
    let (client, watcher) = client(&world);
    let batch = client.batch().on_success(Sum(vec![9])).push_all(sums([1, 2, 3, 4, 5])).await.unwrap();
    assert_eq!(watcher.saw(), ["[9]", "[1]", "[2]", "[3]", "[4]", "[5]"]);
    let stats = world.client.inspector().stats().await.unwrap();
    assert_eq!((enqueued(&world, "default").await, enqueued(&world, "second").await), (3, 1));
    assert_eq!((stats.stored[0], batch.status().await.unwrap().unwrap().total), ((State::Scheduled, 1), 5));
    let delayed = world.client.inspector().list(State::Scheduled, None, None, 1).await.unwrap().jobs;
    assert!(world.client.inspector().retry(&delayed[0].id).await.unwrap());
    assert_eq!(ran(&world).await, ["[1]", "[40]", "[5]", "[3]", "[2]", "[9]"], "the callback is marked, too");
    // More than a call holds, in order, with some that go elsewhere.
    let group = client.group().push(sums((0..1200).map(|number| 2 + number % 2 * 5))).await.unwrap();
    assert_eq!((watcher.saw().len(), group.status().await.unwrap().unwrap().total), (1200, 1200));
    assert_eq!((enqueued(&world, "default").await, enqueued(&world, "second").await), (600, 600));
}

pub(super) async fn a_middleware_stops_batches_and_chains_whole(store: &Store) {
    let world = store.world().await;
    let (client, _) = client(&world);
    assert!(is_refused(client.batch().on_dead(Sum(vec![0])).open().await), "a callback");
    assert!(is_refused(client.batch().push_all(sums([1, 0])).await), "a job");
    assert!(is_refused(client.group().then(Sum(vec![0])).push(sums([1])).await), "the callback of a group");
    assert!(
        is_refused(client.push_chain(Chain::new().then(Sum(vec![1])).then(Sum(vec![0]))).await),
        "a later job"
    );
    assert!(
        is_refused(client.push_chain(Chain::new().then(Sum(vec![1])).catch(Sum(vec![0]))).await),
        "a branch"
    );
    let delayed = client.push_chain(Chain::new().then(Sum(vec![1])).then(Sum(vec![3]))).await;
    let sentence = delayed.unwrap_err().to_string();
    assert_eq!(sentence, "a middleware refused the push: it delayed sum, which comes when others have ended");
    assert!(world.is_empty().await);
}

pub(super) async fn a_middleware_sees_each_job_of_a_chain(store: &Store) {
    let world = store.world().await;
    let (client, watcher) = client(&world);
    let chain = || Chain::new().then(Sum(vec![1])).then(Sum(vec![2])).then(Sum(vec![4])).catch(Sum(vec![5]));
    client.push_chain(chain()).await.unwrap();
    assert_eq!(watcher.saw(), ["[1]", "[2]", "[4]", "[5]"]);
    assert_eq!(ran(&world).await, ["[1]", "[2]", "[40]"], "each was changed before, and is not seen again");
    let batch = client.batch().open().await.unwrap();
    batch.push_chain(chain()).await.unwrap();
    batch.close().await.unwrap();
    assert_eq!(ran(&world).await, ["[1]", "[2]", "[40]"]);
    assert_eq!((watcher.saw().len(), batch.status().await.unwrap().unwrap().succeeded), (4, 3));
    // The first one can be delayed.
    client.push_chain(Chain::new().then(Sum(vec![3])).then(Sum(vec![1]))).await.unwrap();
    assert_eq!(world.client.inspector().stats().await.unwrap().stored[0], (State::Scheduled, 1));
}

pub(super) async fn a_middleware_sees_what_cron_pushes(store: &Store) {
    let world = store.world().await;
    let (client, watcher) = client(&world);
    let cron = |name: &str, number: u64| {
        Cron::new(name, "* * * * * *").unwrap().job(&Sum(vec![number]), Push::new())
    };
    client.cron().put(&cron("moved", 2).unwrap()).await.unwrap();
    client.cron().put(&cron("refused", 0).unwrap()).await.unwrap();
    assert!(is_refused(client.cron().run_now("refused").await));
    assert_eq!(client.cron().run_now("moved").await.unwrap().queue(), "second");
    assert_eq!(watcher.saw(), ["[0]", "[2]"]);
    // A worker of the client fires them.
    let refused = Arc::new(Mutex::new(None));
    let note = refused.clone();
    let worker =
        windlass::Worker::new(&client).register_raw("else", Retry::Never, |_, _| async { Ok(json("1")) });
    let worker = Beside::start(worker.on_event(move |event| {
        if let Event::CronRefused { name, message } = event {
            *note.lock().unwrap() = Some((name.clone(), message.clone()));
        }
    }));
    let told = eventually(async || {
        let pushed = enqueued(&world, "second").await >= 2;
        refused.lock().unwrap().clone().filter(|_| pushed)
    });
    let sentence = "a middleware refused the push: nothing is not pushed".to_owned();
    assert_eq!(told.await, ("refused".to_owned(), sentence));
    worker.stop().await;
    for entry in ["moved", "refused"] {
        client.cron().remove(entry).await.unwrap();
    }
    assert_eq!(enqueued(&world, "default").await, 0);
    assert!(ran(&world).await.iter().all(|args| args == "[2]"));
}
