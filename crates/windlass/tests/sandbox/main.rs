//! The sandbox for users' tests: what it says about pushes, runs, retries and crashes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass::testing::{Performed, Sandbox};
use windlass::{
    Capsule, Client, Config, Context, Error, Failure, Job, JobStep, Keep, Outcome, Push, Rate, Retry, Rule,
    State, Target, Unique, Worker,
};

#[derive(Debug, Serialize, Deserialize)]
struct Greet {
    name: String,
    times: u32,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    type Output = String;

    async fn run(self, _: Context) -> Outcome<String> {
        match self.times {
            0 => Err(Failure::discard("nobody to greet")),
            _ => Ok(format!("Hello, {}", self.name)),
        }
    }
}

/// Pushes another job when it runs.
#[derive(Serialize, Deserialize)]
struct Meet {
    names: Vec<String>,
}

impl Job for Meet {
    const KIND: &'static str = "meet";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        for name in self.names {
            context.client().push_with(ada(&name), Push::new().queue("greetings")).await?;
        }
        Ok(())
    }
}

/// Goes on for ever.
#[derive(Serialize, Deserialize)]
struct Again;

impl Job for Again {
    const KIND: &'static str = "again";
    type Output = ();

    async fn run(self, context: Context) -> Outcome<()> {
        context.client().push(Again).await?;
        Ok(())
    }
}

fn ada(name: &str) -> Greet {
    Greet { name: name.into(), times: 1 }
}

fn worker(client: &Client) -> Worker {
    let greetings = Capsule::new("greetings").concurrency(2);
    let worker = Worker::new(client).concurrency(3).capsule(greetings);
    let worker = worker.register::<Greet>().register::<Meet>().register::<Again>();
    worker.register_raw("fail", Retry::Never, |_, _| async { Err(Failure::retry("no")) })
}

async fn sandbox() -> Sandbox {
    Sandbox::new(worker).await.unwrap()
}

/// The message of an assertion that does not hold.
async fn message(asserting: impl Future<Output = ()>) -> String {
    let mut asserting = std::pin::pin!(asserting);
    let caught = std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| asserting.as_mut().poll(context)));
        polled.map_or_else(|panic| Poll::Ready(Some(panic)), |polled| polled.map(|()| None))
    });
    *caught.await.expect("it holds").downcast::<String>().unwrap()
}

#[tokio::test]
async fn what_is_pushed_waits_until_it_is_drained() {
    let sandbox = sandbox().await;
    let client = sandbox.client();
    client.push(ada("Ada")).await.unwrap();
    client.push_with(ada("Bob"), Push::new().queue("greetings").meta("by", "test")).await.unwrap();
    client.push_with(ada("Eve"), Push::new().delay(Duration::from_secs(60))).await.unwrap();
    sandbox.assert_pushed(&ada("Ada")).await;
    sandbox.assert_pushed_to("greetings", &ada("Bob")).await;
    sandbox.assert_pushed_in(Duration::from_secs(60), &ada("Eve")).await;
    sandbox.assert_pushed_count::<Greet, _>(3).await;
    sandbox.assert_pushed_count::<Meet, _>(0).await;
    let waiting = sandbox.waiting_of::<Greet, _>().await.unwrap();
    let states: Vec<_> = waiting.iter().map(|job| (job.queue(), job.state)).collect();
    let all = [("default", State::Enqueued), ("greetings", State::Enqueued), ("default", State::Scheduled)];
    assert_eq!(states, all);
    assert_eq!(waiting[1].meta["by"], "test");
    assert_eq!(sandbox.drain().await.unwrap().completed(), 2);
    sandbox.assert_pushed_count::<Greet, _>(1).await;
}

#[tokio::test]
async fn a_failed_assertion_shows_what_is_there() {
    let sandbox = sandbox().await;
    let nothing = message(sandbox.assert_pushed(&ada("Ada"))).await;
    assert!(
        nothing.contains("no job `greet` {\"name\":\"Ada\",\"times\":1} waits\nnothing waits"),
        "{nothing}"
    );
    sandbox.client().push_with(ada("Bob"), Push::new().delay(Duration::from_secs(5))).await.unwrap();
    let other = message(sandbox.assert_pushed(&ada("Ada"))).await;
    assert!(other.starts_with("crates/windlass/tests/sandbox/main.rs:"), "{other}");
    assert!(other.contains("  args.name: wanted \"Ada\", found \"Bob\"\n1 jobs wait:\n"), "{other}");
    assert!(
        other.contains("greet {\"name\":\"Bob\",\"times\":1} in default, scheduled, due in 5s"),
        "{other}"
    );
    let late = message(sandbox.assert_pushed_in(Duration::from_secs(6), &ada("Bob"))).await;
    assert!(late.contains("waits") && late.contains(", due in 6s"), "{late}");
    let count = message(sandbox.assert_pushed_count::<Meet, _>(2)).await;
    assert!(count.contains("2 jobs of the kind `meet` should wait, 0 do"), "{count}");
}

#[tokio::test]
async fn a_drain_runs_what_jobs_push_as_well() {
    let sandbox = sandbox().await;
    sandbox.client().push(Meet { names: vec!["Ada".into(), "Bob".into()] }).await.unwrap();
    let drained = sandbox.drain().await.unwrap();
    let steps: Vec<_> = drained.events.iter().map(|event| (event.kind.as_str(), event.step)).collect();
    let meet = [("meet", JobStep::Started), ("greet", JobStep::Enqueued), ("greet", JobStep::Enqueued)];
    let greet = [("greet", JobStep::Started), ("greet", JobStep::Completed)];
    let all: Vec<_> =
        meet.into_iter().chain([("meet", JobStep::Completed)]).chain(greet).chain(greet).collect();
    assert_eq!(steps, all, "one after the other, in the order of the store");
}

#[tokio::test]
async fn a_job_is_performed_and_answers() {
    let sandbox = sandbox().await;
    assert_eq!(sandbox.perform(ada("Ada")).await.unwrap(), Performed::Completed("Hello, Ada".into()));
    let nobody = sandbox.perform(Greet { name: "nobody".into(), times: 0 }).await.unwrap();
    let message = "nobody to greet".into();
    assert_eq!(nobody, Performed::Failed { state: State::Discarded, message });
}

#[tokio::test]
async fn inline_a_push_answers_once_its_job_has_run() {
    let sandbox = sandbox().await;
    sandbox.run_inline();
    let kept = Push::new().result_ttl(Duration::from_secs(60));
    let handle = sandbox.client().push_with(ada("Ada"), kept).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(State::Completed));
    assert_eq!(handle.result().await.unwrap(), "Hello, Ada");
    // What jobs push by the same client runs, too, and so does what is pushed in bulk.
    sandbox.client().push(Meet { names: vec!["Bob".into()] }).await.unwrap();
    sandbox.client().push_many([ada("Eve"), ada("Mia")]).await.unwrap();
    assert!(sandbox.waiting().await.unwrap().is_empty());
    // And so do the jobs of batches and groups, and their callbacks.
    let done = Arc::new(Mutex::new(Vec::new()));
    let also = done.clone();
    sandbox.client().on_job_event(move |event| {
        if event.step == JobStep::Completed {
            also.lock().unwrap().push(event.kind.clone());
        }
    });
    let batch = sandbox.client().batch().on_complete(Meet { names: vec![] });
    batch.push_all([ada("Ada"), ada("Bob")]).await.unwrap();
    assert_eq!(*done.lock().unwrap(), ["greet", "greet", "meet"]);
    assert!(sandbox.waiting().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_drain_that_never_ends_is_an_error() {
    let config = Config { lease: Duration::from_secs(5), ..Config::default() };
    let sandbox = Sandbox::with_config(std::time::SystemTime::now(), config, worker).await.unwrap();
    sandbox.client().push(Again).await.unwrap();
    let error = sandbox.drain().await.unwrap_err().to_string();
    assert!(error.contains("a job pushes itself"), "{error}");
}

#[tokio::test]
async fn what_a_dead_worker_had_begun_runs_again_after_its_lease() {
    let sandbox = sandbox().await;
    let pushed = sandbox.client().push(ada("Ada")).await.unwrap();
    assert_eq!(sandbox.abandon("default").await.unwrap(), [pushed.id().clone()]);
    let lease = sandbox.client().config().lease;
    sandbox.advance(lease - Duration::from_millis(1));
    assert_eq!(sandbox.drain().await.unwrap().completed(), 0, "its lease runs");
    sandbox.advance(Duration::from_millis(2));
    let drained = sandbox.drain().await.unwrap();
    let last = drained.events.last().unwrap();
    assert_eq!((last.step, last.attempt), (JobStep::Completed, 2));
    assert_eq!(drained.count(JobStep::Recovered), 1);
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn time_stops_wherever_a_rate_lets_a_job_go() {
    let sandbox = sandbox().await;
    let one_a_minute = Rule::new().rate(Rate::bucket(1, MINUTE));
    sandbox.client().limits().set(&Target::kind("greet"), one_a_minute).await.unwrap();
    sandbox.client().push_many((0..5).map(|_| ada("Ada"))).await.unwrap();
    let drained = sandbox.drain().await.unwrap();
    assert_eq!((drained.completed(), drained.next_due), (1, Some(MINUTE)));
    let passed = sandbox.pass(3 * MINUTE - SECOND).await.unwrap();
    assert_eq!((passed.completed(), passed.next_due), (2, Some(SECOND)));
    let passed = sandbox.pass(SECOND).await.unwrap();
    assert_eq!(passed.completed(), 1, "what is due at the end runs");
    assert_eq!(sandbox.pass(5 * MINUTE).await.unwrap().completed(), 1);
}

#[tokio::test]
async fn time_stops_where_a_breaker_lets_one_try() {
    let sandbox = sandbox().await;
    let breaker = Rule::new().breaker(1, MINUTE, 5 * MINUTE);
    sandbox.client().limits().set(&Target::kind("fail"), breaker).await.unwrap();
    let args = serde_json::value::RawValue::NULL;
    for _ in 0..2 {
        sandbox.client().push_raw("fail", args, Push::new().max_attempts(1)).await.unwrap();
    }
    let drained = sandbox.drain().await.unwrap();
    assert_eq!((drained.count(JobStep::Dead), drained.next_due), (1, Some(5 * MINUTE)));
    assert_eq!(sandbox.pass(5 * MINUTE - SECOND).await.unwrap().count(JobStep::Dead), 0);
    assert_eq!(sandbox.pass(SECOND).await.unwrap().count(JobStep::Dead), 1);
}

#[tokio::test]
async fn time_stops_where_the_lease_of_a_lost_worker_ends() {
    let sandbox = sandbox().await;
    sandbox.client().push(ada("Ada")).await.unwrap();
    sandbox.abandon("default").await.unwrap();
    let lease = sandbox.client().config().lease;
    assert_eq!(sandbox.drain().await.unwrap().next_due, Some(lease));
    assert_eq!(sandbox.pass(lease).await.unwrap().completed(), 1);
}

#[tokio::test]
async fn a_parked_job_dies_when_nobody_comes_for_it() {
    let sandbox = sandbox().await;
    let id = sandbox
        .client()
        .push_raw("unknown", serde_json::value::RawValue::NULL, Push::new())
        .await
        .unwrap()
        .id()
        .clone();
    let age = sandbox.client().config().parked_age;
    let drained = sandbox.drain().await.unwrap();
    assert_eq!((drained.count(JobStep::Parked), drained.next_due), (1, Some(age)));
    let passed = sandbox.pass(age).await.unwrap();
    let told: Vec<_> =
        passed.events.iter().map(|event| (event.step, &event.id, event.kind.as_str())).collect();
    assert_eq!(told, [(JobStep::Dead, &id, "unknown")]);
    assert_eq!(passed.events[0].message.as_deref(), Some("no worker came that knows its kind"));
    let state = sandbox.client().handle::<()>(id.clone()).state().await.unwrap();
    assert_eq!(state, Some(State::Dead));
    // And is forgotten in its time.
    sandbox.advance(Keep::default().age + SECOND);
    sandbox.drain().await.unwrap();
    assert_eq!(sandbox.client().inspector().show(&id).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_kept_for_a_time_is_gone_after_it() {
    let sandbox = sandbox().await;
    let once = || Push::new().unique(Unique::window(MINUTE)).result_ttl(MINUTE);
    let first = sandbox.client().push_with(ada("Ada"), once()).await.unwrap();
    sandbox.drain().await.unwrap();
    assert_eq!(first.result().await.unwrap(), "Hello, Ada");
    sandbox.advance(MINUTE - Duration::from_millis(1));
    let same = sandbox.client().push_with(ada("Ada"), once()).await.unwrap();
    assert_eq!(same.id(), first.id(), "the window is open");
    sandbox.advance(2 * Duration::from_millis(1));
    let another = sandbox.client().push_with(ada("Ada"), once()).await.unwrap();
    assert_ne!(another.id(), first.id());
    assert!(matches!(first.result().await, Err(Error::Forgotten(_))));
}

#[tokio::test]
async fn what_expires_goes_by_the_time_of_the_test() {
    let long_ago = std::time::UNIX_EPOCH + 1_000_000 * MINUTE;
    let sandbox = Sandbox::at(long_ago, worker).await.unwrap();
    let soon = || Push::new().expires_in(MINUTE);
    sandbox.client().push_with(ada("Ada"), soon()).await.unwrap();
    sandbox.advance(MINUTE - SECOND);
    assert_eq!(sandbox.drain().await.unwrap().completed(), 1);
    sandbox.client().push_with(ada("Ada"), soon()).await.unwrap();
    sandbox.advance(MINUTE + SECOND);
    assert_eq!(sandbox.drain().await.unwrap().count(JobStep::Expired), 1);
}
