//! Histories and records that nobody can read: whoever wrote them, no job is lost by them, and nothing stands still.

use std::time::Duration;

use windlass::broker::{Due, Recovered};
use windlass::{Details, Edited, Ending, Filter, JobId, Push, Rescheduled, State};

use super::act::{counts, job};
use super::lane::{A, args_of};
use super::world::{Store, World, json};

/// Texts that are no history.
const HISTORIES: [&str; 9] = [
    "{",
    "",
    "7",
    "null",
    "\"dead\"",
    r#"{"attempts":{}}"#,
    r#"{"attempts":"many"}"#,
    r#"{"attempts":1e999}"#,
    "{\"state\":\n",
];

const HOUR: Duration = Duration::from_secs(3600);

/// The envelope of a job of the kind `k`.
const ENVELOPE: &str = r#"{"v":1,"kind":"k","args":1}"#;

/// Adds a job to its queue that has `history` for a history, as one that was moved there.
async fn enqueue(world: &World, number: usize, history: &str) -> JobId {
    let (keys, id) = (world.broker.keys(), format!("default/s{}", 1000 + number));
    let entry: String =
        world.ask("XADD", &[&keys.stream("default"), "*", "j", ENVELOPE, "i", &id, "s", history]).await;
    let _: u64 = world.ask("HSET", &[&keys.moved(), &id, &format!("default/{entry}")]).await;
    world.broker.add_queue("default").await.unwrap();
    JobId::parse(&id).unwrap()
}

/// Stores a job in the set of a state, as `record`.
async fn store_as(world: &World, number: usize, state: State, record: &str) -> JobId {
    let (keys, id) = (world.broker.keys(), format!("default/s{}", 1000 + number));
    let _: u64 = world.ask("HSET", &[&keys.jobs(), &id, record]).await;
    let at = (world.broker_now().await - 10).to_string();
    let _: u64 = world.ask("ZADD", &[&keys.set(state).unwrap(), &at, &id]).await;
    world.broker.add_queue("default").await.unwrap();
    JobId::parse(&id).unwrap()
}

/// Records of which nobody can read the history, each with whether its envelope is still the job's.
fn records() -> Vec<(String, bool)> {
    let histories = HISTORIES.iter().filter(|history| !history.contains('\n'));
    let mut records: Vec<_> = histories.map(|history| (format!("{history}\n{ENVELOPE}"), true)).collect();
    // Without a line end all of it is the envelope.
    records.extend([(ENVELOPE.to_owned(), true), (String::new(), false), ("rubbish".to_owned(), false)]);
    records
}

/// That nothing was lost: the job has its envelope, and says what became of its history.
fn assert_kept(job: &Details, reason: &str, why: &str) {
    assert_eq!(job.envelope, ENVELOPE.as_bytes(), "{why}");
    assert_eq!(job.history.reason.as_deref(), Some(reason), "{why}");
    let error = &job.history.errors[0];
    assert_eq!(error.class, "History", "{why}");
    assert!(error.message.starts_with("its history could not be read"), "{}", error.message);
}

pub(super) async fn a_job_whose_history_is_garbage_dies_of_its_crashes_and_is_kept(store: &Store) {
    for (number, history) in HISTORIES.iter().enumerate() {
        let world = store.world_with(|config| config.crash_limit = 1).await;
        let id = enqueue(&world, number, history).await;
        let good = world.push("k", "2", Push::new()).await;
        assert_eq!(world.take("w.1.1.w.1", 2).await.len(), 2);
        let recovered = world.recover(&["w.1.1.w.1"]).await;
        assert_eq!(recovered, Recovered { suspects: 0, unstarted: 1, killed: 1 }, "{history}");
        let dead = world.until(&id, State::Dead).await;
        assert_kept(&dead, "its process ended 1 times while it ran", history);
        assert_eq!((dead.history.attempts, dead.history.crashes), (1, 1), "{history}");
        assert_eq!(world.take(A, 2).await[0].job_id("default"), good);
    }
}

pub(super) async fn a_job_in_its_queue_is_managed_whatever_its_history_is(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for (number, history) in HISTORIES.iter().enumerate() {
        let fresh = async || {
            let id = enqueue(&world, number, history).await;
            let shown = world.until(&id, State::Enqueued).await;
            assert_kept(&shown, "its history could not be read", history);
            id
        };
        let listed = inspector.list(State::Enqueued, Some("default"), None, 9).await.unwrap();
        assert!(listed.jobs.is_empty());
        let id = fresh().await;
        assert_eq!(inspector.list(State::Enqueued, Some("default"), None, 9).await.unwrap().jobs.len(), 1);
        assert_eq!(inspector.cancel(&id).await.unwrap(), Ending::Ended, "{history}");
        assert_kept(&world.until(&id, State::Cancelled).await, "it was cancelled", history);
        assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
        let id = fresh().await;
        assert_eq!(inspector.reschedule_in(&id, HOUR).await.unwrap(), Rescheduled::Scheduled, "{history}");
        assert_eq!(world.until(&id, State::Scheduled).await.envelope, ENVELOPE.as_bytes());
        assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
        let id = fresh().await;
        assert_eq!(inspector.edit(&id, &json("2")).await.unwrap(), Edited::Repushed, "{history}");
        assert_eq!(inspector.remove(&id).await.unwrap(), Some(true));
        let id = fresh().await;
        assert_eq!(inspector.remove(&id).await.unwrap(), Some(true), "{history}");
        assert!(world.is_empty().await, "{history}");
    }
}

pub(super) async fn a_stored_job_is_managed_whatever_its_record_is(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    for (number, (record, is_whole)) in records().into_iter().enumerate() {
        for state in State::STORED {
            let fresh = async || {
                let id = store_as(&world, number, state, &record).await;
                let shown = inspector.list(state, None, None, 9).await.unwrap();
                assert_eq!(shown.jobs.len(), 1, "{record} {state}");
                assert_eq!((&shown.jobs[0].id, shown.jobs[0].state), (&id, state));
                id
            };
            let id = fresh().await;
            let ending = inspector.cancel(&id).await.unwrap();
            let expected = if state.is_final() { Ending::Over } else { Ending::Ended };
            assert_eq!(ending, expected, "{record} {state}");
            assert_eq!(inspector.remove(&id).await.unwrap(), Some(true), "{record} {state}");
            let id = fresh().await;
            assert_eq!(inspector.reschedule_in(&id, HOUR).await.unwrap(), Rescheduled::Scheduled);
            assert_eq!(inspector.remove(&id).await.unwrap(), Some(true), "{record} {state}");
            let id = fresh().await;
            assert!(inspector.retry(&id).await.unwrap(), "{record} {state}");
            let taken = world.take(A, 9).await;
            assert_eq!((taken.len(), taken[0].job_id("default")), (1, id.clone()));
            assert_eq!(taken[0].envelope == ENVELOPE.as_bytes(), is_whole, "{record} {state}");
            assert_eq!(world.finish(A, &taken).await, 0);
            let _: u64 = world.ask("HDEL", &[&world.broker.keys().moved(), id.as_str()]).await;
            assert!(world.is_empty().await, "{record} {state}");
        }
    }
}

pub(super) async fn garbage_among_the_dead_is_listed_and_put_back(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let mut ids = Vec::new();
    for (number, (record, _)) in records().into_iter().enumerate() {
        ids.push(store_as(&world, number, State::Dead, &record).await);
    }
    let good = world.push("k", "1", Push::new()).await;
    assert_eq!(inspector.kill(&good).await.unwrap(), Ending::Ended);
    ids.push(good);
    // What is no id has no job to show.
    let _: u64 = world.ask("ZADD", &[&world.broker.keys().set(State::Dead).unwrap(), "1", "no id"]).await;
    let listed = inspector.list(State::Dead, None, None, 99).await.unwrap().jobs;
    let mut seen: Vec<_> = listed.into_iter().map(|job| job.id).collect();
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    inspector.retry_all(&Filter::default()).await.unwrap();
    let mut taken: Vec<_> = world.take(A, 99).await.iter().map(|job| job.job_id("default")).collect();
    taken.sort();
    assert_eq!(taken, ids);
}

pub(super) async fn garbage_holds_up_no_service(store: &Store) {
    let world = store.world_with(|config| config.parked_age = Duration::from_millis(1)).await;
    let queues = ["default".to_owned()];
    let count = records().len();
    for (number, (record, _)) in records().into_iter().enumerate() {
        store_as(&world, number, State::Scheduled, &record).await;
    }
    let now = Due::In(Duration::ZERO);
    world.broker.schedule("default", &[(now, ENVELOPE.as_bytes())]).await.unwrap();
    let moved = world.broker.promote(State::Scheduled, &queues).await.unwrap().moved;
    assert_eq!((moved, world.take(A, 99).await.len()), (count + 1, count + 1));
    let unreadable = records().iter().filter(|(_, is_whole)| !is_whole).count();
    for (number, (record, _)) in records().into_iter().enumerate() {
        store_as(&world, 100 + number, State::Parked, &record).await;
    }
    // The envelope says the kind where the history does not.
    let (looked, moved) = world.broker.unpark(0, &queues, &["k:1".to_owned()]).await.unwrap();
    assert_eq!((looked, moved), (count, count - unreadable));
    world.broker.prune(&world.config).await.unwrap();
    let dead = world.client.inspector().list(State::Dead, None, None, 99).await.unwrap().jobs;
    assert_eq!(dead.len(), unreadable);
    let reason = Some("no worker came that knows its kind");
    assert!(dead.iter().all(|job| job.history.reason.as_deref() == reason), "{dead:?}");
}

pub(super) async fn garbage_in_a_lane_is_taken(store: &Store) {
    let world = store.world().await;
    let mut expected = Vec::new();
    for (record, is_whole) in records() {
        let id = world.push("k", "1", Push::new().group_key("g")).await;
        let _: u64 = world.ask("HSET", &[&world.broker.keys().jobs(), id.as_str(), &record]).await;
        expected.push((id, is_whole));
    }
    let last = world.push("k", "7", Push::new().group_key("g")).await;
    let listed =
        world.client.inspector().list(State::Enqueued, Some("default"), Some("lanes:0"), 99).await.unwrap();
    assert_eq!(listed.jobs.len(), expected.len() + 1);
    let taken = world.take(A, 99).await;
    let seen: Vec<_> = taken
        .iter()
        .map(|job| (job.job_id("default"), job.envelope == ENVELOPE.as_bytes()))
        .take(expected.len())
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(taken.last().map(|job| job.job_id("default")), Some(last));
    assert_eq!(args_of(&taken[taken.len() - 1..]), ["7"]);
}

pub(super) async fn a_batch_counts_a_job_whose_history_is_garbage(store: &Store) {
    let world = store.world().await;
    let inspector = world.client.inspector();
    let batch = world.client.batch().on_complete(job("complete")).open().await.unwrap();
    let jobs = world.broker.keys().jobs();
    let spoil = async |id: &JobId| {
        let record: String = world.ask("HGET", &[&jobs, id.as_str()]).await;
        let (_, envelope) = record.split_once('\n').unwrap();
        let _: u64 = world.ask("HSET", &[&jobs, id.as_str(), &format!("{{\n{envelope}")]).await;
    };
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = batch.push_with(job("a"), Push::new().delay(HOUR)).await.unwrap();
        spoil(&id).await;
        assert_eq!(inspector.kill(&id).await.unwrap(), Ending::Ended);
        spoil(&id).await;
        ids.push(id);
    }
    assert_eq!(counts(&batch).await, [4, 0, 0, 4, 0]);
    // They have ended, as the set says, and count no second time.
    assert_eq!(inspector.remove(&ids[0]).await.unwrap(), Some(true));
    assert_eq!(counts(&batch).await, [4, 0, 0, 4, 0]);
    assert!(inspector.retry(&ids[1]).await.unwrap());
    assert_eq!(inspector.reschedule_in(&ids[2], HOUR).await.unwrap(), Rescheduled::Scheduled);
    assert_eq!(counts(&batch).await, [4, 2, 0, 2, 0]);
    assert_eq!(inspector.retry_all(&Filter::default()).await.unwrap().moved, 1);
    assert_eq!(counts(&batch).await, [4, 3, 0, 1, 0]);
}
